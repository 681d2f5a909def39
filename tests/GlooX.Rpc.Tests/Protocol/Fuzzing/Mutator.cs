using GlooX.Protocol;

namespace GlooX.Rpc.Tests.Protocol.Fuzzing;

/// <summary>Spoils frames. The same seed gives the same frames on every machine.</summary>
internal sealed class Mutator(int seed)
{
    // Ends of the ranges of MessagePack's codes and of a varint's bytes, and what stands for lengths and depths.
    private static readonly byte[] s_edges =
    [
        0x00, 0x01, 0x0F, 0x7F, 0x80, 0x81, 0x8F, 0x90, 0x91, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xCB, 0xCC, 0xCF, 0xD0,
        0xD3, 0xD4, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xDE, 0xDF, 0xE0, 0xFF,
    ];

    private static readonly byte[][] s_claims =
    [
        [0xDD, 0xFF, 0xFF, 0xFF, 0xFF], [0xDD, 0x7F, 0xFF, 0xFF, 0xFF], [0xDD, 0x00, 0x10, 0x00, 0x00], [0xDC, 0xFF, 0xFF], // arrays
        [0xDF, 0xFF, 0xFF, 0xFF, 0xFF], [0xDF, 0x40, 0x00, 0x00, 0x00], [0xDE, 0xFF, 0xFF], // maps
        [0xDB, 0xFF, 0xFF, 0xFF, 0xFF], [0xDB, 0x7F, 0xFF, 0xFF, 0xFF], [0xDA, 0xFF, 0xFF], // strings
        [0xC6, 0xFF, 0xFF, 0xFF, 0xFF], [0xC6, 0x7F, 0xFF, 0xFF, 0xFF], [0xC5, 0xFF, 0xFF], // bytes
        [0xC9, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], [0xC7, 0x0C, 0xFF], [0xD6, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], // extensions, timestamps among them
        [0xFF, 0xFF, 0xFF, 0xFF, 0x0F], [0xFF, 0xFF, 0xFF, 0xFF, 0x7F], [0x80, 0x80, 0x80, 0x80, 0x00], // varints
    ];

    private static readonly byte[][] s_nests = [[0x91], [0x81], [0x81, 0xA4, .. "Part"u8], [0x81, 0xA1, .. "x"u8]];

    private readonly Random _random = new(seed);

    /// <summary>A number below <paramref name="limit"/>.</summary>
    public int Next(int limit) => _random.Next(limit);

    /// <summary>A spoiled frame. <paramref name="isFramed"/>: it is still one frame, so that what follows it will be read.</summary>
    public byte[] Frame(IReadOnlyList<Piece> corpus, out bool isFramed)
    {
        Piece piece = corpus[Next(corpus.Count)];
        isFramed = true;
        switch (Next(20))
        {
            case 0:
                return (piece with { Type = (FrameType)Next(20) }).ToBytes();
            case 1:
                return (piece with { Id = (uint)Edge() }).ToBytes();
            case 2 or 3:
                byte[] other = corpus[Next(corpus.Count)].Body;
                return (piece with { Body = [.. piece.Body.AsSpan(0, Next(piece.Body.Length + 1)), .. other.AsSpan(Next(other.Length + 1))] }).ToBytes();
            case 4:
                byte[] noise = new byte[Next(64)];
                _random.NextBytes(noise);
                return (piece with { Body = noise }).ToBytes();
            case 5:
                byte[] level = s_nests[Next(s_nests.Length)];
                byte[] nest = [.. Enumerable.Repeat(level, 1 << Next(Next(200) == 0 ? 17 : 9)).SelectMany(l => l)];
                int at = Next(piece.Body.Length + 1);
                return (piece with { Body = [.. piece.Body.AsSpan(0, at), .. nest, .. piece.Body.AsSpan(at)] }).ToBytes();
            case 6 or 7:
                isFramed = false;
                return Spoil(piece.ToBytes());
            default:
                return (piece with { Body = Spoil(piece.Body) }).ToBytes();
        }
    }

    private int Edge() => Next(4) switch { 0 => Next(10), 1 => 1 << Next(32), 2 => (1 << Next(32)) - 1, _ => _random.Next() };

    private byte[] Spoil(byte[] bytes)
    {
        var spoiled = new List<byte>(bytes);
        for (int i = 1 + Next(3); i > 0; i--)
        {
            int at = Next(spoiled.Count + 1);
            switch (Next(7))
            {
                case 0 when at < spoiled.Count:
                    spoiled[at] ^= (byte)(1 << Next(8));
                    break;
                case 1 when at < spoiled.Count:
                    spoiled[at] = s_edges[Next(s_edges.Length)];
                    break;
                case 2 when at < spoiled.Count:
                    spoiled.RemoveRange(at, 1 + Next(spoiled.Count - at));
                    break;
                case 3:
                    spoiled.InsertRange(at, s_claims[Next(s_claims.Length)]);
                    break;
                case 4:
                    byte[] claim = s_claims[Next(s_claims.Length)];
                    spoiled.RemoveRange(at, Math.Min(claim.Length, spoiled.Count - at));
                    spoiled.InsertRange(at, claim);
                    break;
                case 5:
                    spoiled.InsertRange(at, spoiled.GetRange(at, Next(spoiled.Count - at + 1)));
                    break;
                default:
                    spoiled.Insert(at, (byte)Next(256));
                    break;
            }
        }

        return [.. spoiled];
    }
}
