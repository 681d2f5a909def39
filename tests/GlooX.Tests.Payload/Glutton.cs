using System.Runtime.InteropServices;

namespace GlooX.Tests.Payload;

/// <summary>Takes as much as it is told to.</summary>
[Provision(Memory = "240MB", Disk = "2MB", Cores = 0.5)]
public sealed class Glutton : Worker
{
    private const int Piece = 1_000_000;
    private readonly List<byte[]> _kept = [];

    /// <summary>Takes memory in pieces and keeps it, if it gets all.</summary>
    [Rpc("take")]
    public ValueTask<long> TakeAsync(int pieces)
    {
        List<byte[]> taken = [];
        for (int i = 0; i < pieces; i++)
        {
            byte[] piece = new byte[Piece];
            Array.Fill(piece, (byte)1);
            taken.Add(piece);
        }

        _kept.AddRange(taken);
        return new(_kept.Count);
    }

    /// <summary>Takes memory that the runtime does not count, and never gives it back.</summary>
    [Rpc("take_native")]
    public ValueTask TakeNativeAsync(int pieces)
    {
        for (int i = 0; i < pieces; i++)
        {
            nint piece = Marshal.AllocHGlobal(Piece);
            for (int at = 0; at < Piece; at += 4096)
            {
                Marshal.WriteByte(piece, at, 1);
            }
        }

        return default;
    }

    [Rpc("write")]
    public async ValueTask WriteAsync(int bytes) => await File.WriteAllBytesAsync(Path.Combine(Options.TmpDir, Guid.NewGuid().ToString("N")), new byte[bytes]);

    [Rpc("folder")]
    public ValueTask<string> FolderAsync() => new(Options.TmpDir);
}
