namespace GlooX.Channels.Replication;

/// <summary>What is known of another member.</summary>
internal sealed class Peer(ulong node)
{
    private readonly Dictionary<Replica, Context> _knows = [];

    public ulong Node { get; } = node;

    public bool IsReachable { get; set; } = true;

    /// <summary>What it had seen that was missing here, and since when that is known.</summary>
    public Dictionary<Replica, (Context Has, long Since)> Suspects { get; } = [];

    /// <summary>What it is being sent.</summary>
    public Dictionary<Replica, Serving> Servings { get; } = [];

    /// <summary>What it is known to have seen; it may have seen more.</summary>
    public Context Knows(Replica replica)
    {
        if (!_knows.TryGetValue(replica, out Context? context))
        {
            _knows[replica] = context = new Context();
        }

        return context;
    }

    public bool HasSeen(Replica replica, ulong origin, ulong sequence) => _knows.TryGetValue(replica, out Context? context) && context.Contains(origin, sequence);

    public void Forget(Replica replica)
    {
        _knows.Remove(replica);
        Suspects.Remove(replica);
        Servings.Remove(replica);
    }
}

/// <summary>A replica that another member pulls: what is left to send.</summary>
internal sealed class Serving(ulong session, ulong number, Context has, Context start, ulong[] wanted, List<string> keys, long now)
{
    public ulong Session { get; } = session;

    /// <summary>Its own: the same session may be asked for twice.</summary>
    public ulong Number { get; } = number;

    /// <summary>What the other had seen.</summary>
    public Context Has { get; } = has;

    /// <summary>What was seen here when it began: what the other will have seen at the end.</summary>
    public Context Start { get; } = start;

    /// <summary>The buckets in which both differed, one bit for each.</summary>
    public ulong[] Wanted { get; } = wanted;

    public List<string> Keys { get; } = keys;

    public int Position { get; set; }

    public ulong NextChunk { get; set; }

    public int UnderWay { get; set; }

    public bool IsDone { get; set; }

    public long Progress { get; set; } = now;
}

/// <summary>A replica that is pulled from another member.</summary>
internal sealed class Pulling(ulong source, ulong session, long now)
{
    private readonly HashSet<ulong> _chunks = [];
    private ulong? _last;

    public ulong Source { get; } = source;

    public ulong Session { get; } = session;

    /// <summary>The number of the serving that is taken: the first of which anything comes.</summary>
    public ulong? Serving { get; set; }

    /// <summary>Hashes of the entries that the source has in the buckets in question.</summary>
    public HashSet<ulong> Listed { get; } = [];

    public long Progress { get; set; } = now;

    public bool IsComplete => _last + 1 == (ulong)_chunks.Count;

    public bool Take(ulong chunk, bool isLast)
    {
        _last = isLast ? chunk : _last;
        return _chunks.Add(chunk);
    }
}

/// <summary>Sets of buckets, as four words.</summary>
internal static class BucketBits
{
    public const int Words = Replica.BucketCount / 64;

    public static void Add(ulong[] bits, int bucket) => bits[bucket / 64] |= 1UL << (bucket % 64);

    public static bool Has(ulong[] bits, int bucket) => (bits[bucket / 64] >> (bucket % 64) & 1) != 0;
}
