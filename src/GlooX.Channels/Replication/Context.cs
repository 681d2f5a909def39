namespace GlooX.Channels.Replication;

/// <summary>
/// What a replica has seen: for each origin the writes that its state reflects, be it that they are in it or that something later
/// replaced or deleted them. It is what tells a deleted entry from one that is new, even after the tombstone has gone (the causal context
/// of Almeida, Shoker, Baquero: "Delta State Replicated Data Types", 2018).
/// </summary>
internal sealed class Context
{
    private readonly Dictionary<ulong, SequenceSet> _origins = [];

    public IReadOnlyDictionary<ulong, SequenceSet> Origins => _origins;

    public bool Contains(ulong origin, ulong sequence) => _origins.TryGetValue(origin, out SequenceSet? seen) && seen.Contains(sequence);

    /// <summary>Up to which number all writes of the origin were seen.</summary>
    public ulong UpTo(ulong origin) => _origins.TryGetValue(origin, out SequenceSet? seen) ? seen.UpTo : 0;

    public bool HasGap(ulong origin) => _origins.TryGetValue(origin, out SequenceSet? seen) && seen.HasGap;

    public void Add(ulong origin, ulong from, ulong to) => Of(origin).Add(from, to);

    public void Remove(ulong origin, ulong sequence)
    {
        if (_origins.TryGetValue(origin, out SequenceSet? seen))
        {
            seen.Remove(sequence);
        }
    }

    /// <summary>Whether anything of the origin was seen.</summary>
    public bool Lists(ulong origin) => _origins.ContainsKey(origin);

    /// <summary>Claims nothing of an origin any more. To claim less than was seen costs a transfer at most; to claim more would delete.</summary>
    public void Forget(ulong origin) => _origins.Remove(origin);

    public void Union(Context other)
    {
        foreach ((ulong origin, SequenceSet seen) in other._origins)
        {
            Of(origin).Union(seen);
        }
    }

    public bool Covers(Context other)
    {
        foreach ((ulong origin, SequenceSet seen) in other._origins)
        {
            if ((seen.UpTo > 0 || seen.HasGap) && !(_origins.TryGetValue(origin, out SequenceSet? mine) && mine.Covers(seen)))
            {
                return false;
            }
        }

        return true;
    }

    public Context Copy()
    {
        var copy = new Context();
        copy.Union(this);
        return copy;
    }

    private SequenceSet Of(ulong origin)
    {
        if (!_origins.TryGetValue(origin, out SequenceSet? seen))
        {
            _origins[origin] = seen = new SequenceSet();
        }

        return seen;
    }
}
