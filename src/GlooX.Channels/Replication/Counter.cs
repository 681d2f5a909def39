using System.Buffers.Binary;
using System.Globalization;

namespace GlooX.Channels.Replication;

/// <summary>What one node has added to a counter, as of one of its writes.</summary>
internal readonly record struct CounterShare(ulong Origin, ulong Sequence, long Total);

/// <summary>
/// A counter is one entry for each node that added to it, its part, with that node's running total; that node alone writes there, so
/// nothing is lost when many add at once (the PN-counter of Shapiro et al., INRIA RR-7506, 2011, with totals that may fall). A part can
/// also carry shares of nodes that are gone, whose own parts can then be deleted. Of several totals of one node the one of its latest
/// write counts, so a share that two nodes carry, or that comes back as a part, counts once.
/// </summary>
internal sealed class Counter
{
    private readonly Dictionary<ulong, Entry> _parts = [];
    private int _carrying;

    public long Sum { get; private set; }

    /// <summary>Whether no part carries shares of others.</summary>
    public bool IsPlain => _carrying == 0;

    /// <summary>The live parts, by the node that writes each.</summary>
    public IReadOnlyDictionary<ulong, Entry> Parts => _parts;

    /// <summary>A part takes the place of another.</summary>
    public void Exchange(Entry? old, Entry? now)
    {
        int before = _carrying;
        if (old is { IsLive: true })
        {
            _parts.Remove(old.Stamp.Node);
            _carrying -= CounterKey.IsCarrying(old) ? 1 : 0;
        }

        if (now is { IsLive: true })
        {
            _parts[now.Stamp.Node] = now;
            _carrying += CounterKey.IsCarrying(now) ? 1 : 0;
        }

        unchecked
        {
            Sum = before + _carrying == 0
                ? Sum + CounterKey.Total(now) - CounterKey.Total(old)
                : Shares().Values.Aggregate(0L, static (sum, share) => sum + share.Total);
        }
    }

    /// <summary>What each node has added, however it is known.</summary>
    public Dictionary<ulong, CounterShare> Shares()
    {
        Dictionary<ulong, CounterShare> latest = [];
        foreach ((ulong node, Entry part) in _parts)
        {
            foreach (CounterShare share in CounterKey.Carried(part).Prepend(new CounterShare(node, part.Sequence, CounterKey.Total(part))))
            {
                if (!latest.TryGetValue(share.Origin, out CounterShare known) || known.Sequence < share.Sequence)
                {
                    latest[share.Origin] = share;
                }
            }
        }

        return latest;
    }
}

/// <summary>The keys and values of the parts of counters.</summary>
internal static class CounterKey
{
    /// <summary>No key of a user begins with it.</summary>
    public const char Mark = '\u0001';

    private const int ShareLength = 3 * sizeof(long);

    public static string Of(string key, ulong node) => string.Create(CultureInfo.InvariantCulture, $"{Mark}{key}{Mark}{node:x}");

    public static string UserKey(string key) => key[1..key.LastIndexOf(Mark)];

    public static bool IsWellFormed(string key) => key.Length > 2 && key[0] == Mark && key.LastIndexOf(Mark) > 0;

    public static bool IsCarrying(Entry part) => part.Value is { Length: > sizeof(long) };

    /// <summary>The node's own total.</summary>
    public static long Total(Entry? part) => part?.Value is { Length: >= sizeof(long) } bytes ? BinaryPrimitives.ReadInt64LittleEndian(bytes) : 0;

    /// <summary>The shares of other nodes that a part carries.</summary>
    public static IEnumerable<CounterShare> Carried(Entry? part)
    {
        byte[] bytes = part?.Value ?? [];
        for (int at = sizeof(long); at + ShareLength <= bytes.Length; at += ShareLength)
        {
            yield return new CounterShare(
                BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at)),
                BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(at + 8)),
                BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(at + 16)));
        }
    }

    /// <summary>The value of a part.</summary>
    public static byte[] Value(long total, params IReadOnlyCollection<CounterShare> carried)
    {
        var bytes = new byte[sizeof(long) + (carried.Count * ShareLength)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, total);
        int at = sizeof(long);
        foreach (CounterShare share in carried)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(at), share.Origin);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(at + 8), share.Sequence);
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(at + 16), share.Total);
            at += ShareLength;
        }

        return bytes;
    }

    /// <summary>The number as a value like any other: MessagePack.</summary>
    public static byte[] AsValue(long sum)
    {
        var bytes = new byte[1 + sizeof(long)];
        bytes[0] = 0xD3;
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(1), sum);
        return bytes;
    }
}
