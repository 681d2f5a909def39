namespace GlooX.Channels.Replication;

/// <summary>Which of the writes 1, 2, 3, … of one origin are known: usually all up to one number, and some ranges beyond it.</summary>
internal sealed class SequenceSet
{
    // Sorted, apart from each other and from UpTo.
    private readonly List<(ulong From, ulong To)> _beyond = [];

    /// <summary>All of 1 … UpTo are in it.</summary>
    public ulong UpTo { get; private set; }

    /// <summary>The ranges beyond.</summary>
    public IReadOnlyList<(ulong From, ulong To)> Beyond => _beyond;

    public bool HasGap => _beyond.Count > 0;

    public bool Contains(ulong sequence)
    {
        if (sequence <= UpTo)
        {
            return true;
        }

        foreach ((ulong from, ulong to) in _beyond)
        {
            if (sequence <= to)
            {
                return sequence >= from;
            }
        }

        return false;
    }

    /// <summary>Adds a range.</summary>
    public void Add(ulong from, ulong to)
    {
        if (from > to || to <= UpTo)
        {
            return;
        }

        if (from <= UpTo + 1)
        {
            UpTo = to;
        }
        else
        {
            // What touches or overlaps the range becomes one with it.
            int first = _beyond.FindIndex(r => r.To + 1 >= from);
            if (first < 0)
            {
                _beyond.Add((from, to));
                return;
            }

            int end = first;
            while (end < _beyond.Count && _beyond[end].From <= to + 1)
            {
                (from, to) = (Math.Min(from, _beyond[end].From), Math.Max(to, _beyond[end].To));
                end++;
            }

            _beyond.RemoveRange(first, end - first);
            _beyond.Insert(first, (from, to));
            return;
        }

        while (_beyond.Count > 0 && _beyond[0].From <= UpTo + 1)
        {
            UpTo = Math.Max(UpTo, _beyond[0].To);
            _beyond.RemoveAt(0);
        }
    }

    /// <summary>Takes one out.</summary>
    public void Remove(ulong sequence)
    {
        if (sequence == 0 || !Contains(sequence))
        {
            return;
        }

        if (sequence <= UpTo)
        {
            ulong last = UpTo;
            UpTo = sequence - 1;
            if (sequence < last)
            {
                _beyond.Insert(0, (sequence + 1, last));
            }

            return;
        }

        int at = _beyond.FindIndex(r => r.From <= sequence && sequence <= r.To);
        (ulong from, ulong to) = _beyond[at];
        _beyond.RemoveAt(at);
        if (sequence < to)
        {
            _beyond.Insert(at, (sequence + 1, to));
        }

        if (from < sequence)
        {
            _beyond.Insert(at, (from, sequence - 1));
        }
    }

    public void Union(SequenceSet other)
    {
        Add(1, other.UpTo);
        foreach ((ulong from, ulong to) in other._beyond)
        {
            Add(from, to);
        }
    }

    public bool Covers(SequenceSet other) => other.UpTo <= UpTo
        ? other._beyond.TrueForAll(r => CoversRange(r.From, r.To))
        : CoversRange(1, other.UpTo) && other._beyond.TrueForAll(r => CoversRange(r.From, r.To));

    private bool CoversRange(ulong from, ulong to) => to <= UpTo || _beyond.Exists(r => r.From <= from && to <= r.To);
}
