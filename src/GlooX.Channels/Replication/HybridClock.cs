namespace GlooX.Channels.Replication;

/// <summary>
/// A hybrid logical clock (Kulkarni, Demirbas, Madappa, Avva, Leone: "Logical Physical Clocks and Consistent Snapshots in Globally
/// Distributed Databases", OPODIS 2014), in one number. It never goes back, follows what it has seen, and stays near the wall clock:
/// a time that is more than <paramref name="maxDrift"/> ahead moves it not, so one wrong clock cannot carry off all others.
/// </summary>
/// <param name="maxDrift">How far ahead of the wall clock others may move it, in milliseconds.</param>
internal sealed class HybridClock(long maxDrift)
{
    public const int CounterBits = 16;
    private ulong _last;

    /// <summary>A time for a write, later than all given out before. Even: the lowest bit is for derived stamps.</summary>
    public ulong Next(long wall)
    {
        _last = Math.Max(_last + 2, (ulong)Math.Max(wall, 1) << CounterBits);
        return _last;
    }

    /// <summary>A time for a write over something seen: later than that too, however wrong the clock that it came from.</summary>
    public ulong NextAfter(ulong seen, long wall)
    {
        ulong next = Next(wall);
        if (next > seen)
        {
            return next;
        }

        ulong beyond = (seen | 1) + 1;
        Observe(beyond, wall);
        return beyond;
    }

    /// <summary>Follows a time that was seen.</summary>
    /// <returns>False: it is too far ahead to follow.</returns>
    public bool Observe(ulong time, long wall)
    {
        if ((long)(time >> CounterBits) - wall > maxDrift)
        {
            return false;
        }

        _last = Math.Max(_last, time & ~1UL);
        return true;
    }
}
