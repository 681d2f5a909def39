namespace GlooX.Channels.Replication;

/// <summary>
/// For how long the origins of writes have not been members. Nodes tell each other, as durations, so that all forget an origin at
/// about the same time and none brings it back to the others. What counts is the longest time that anybody knows of.
/// </summary>
internal sealed class Absences
{
    private readonly Dictionary<ulong, long> _since = [];

    /// <summary>Origins, and since when each is absent, by this process's monotonic clock.</summary>
    public IReadOnlyDictionary<ulong, long> Since => _since;

    /// <summary>An origin is a member, or this node.</summary>
    public void Present(ulong origin) => _since.Remove(origin);

    /// <summary>An origin is not a member.</summary>
    public void Absent(ulong origin, long since)
    {
        if (!_since.TryGetValue(origin, out long known) || since < known)
        {
            _since[origin] = since;
        }
    }

    public bool IsLongGone(ulong origin, long age, long now) => _since.TryGetValue(origin, out long since) && now - since >= age;

    /// <summary>Forgets all origins but these.</summary>
    public void KeepOnly(HashSet<ulong> origins)
    {
        foreach (ulong origin in _since.Keys.Where(o => !origins.Contains(o)).ToArray())
        {
            _since.Remove(origin);
        }
    }
}
