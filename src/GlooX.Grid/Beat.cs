namespace GlooX.Grid;

/// <summary>
/// Lets whatever waits a while wait until a whole second of the machine's clock. A process that waits for many things is then woken once for
/// all of them, and each wake of a thread costs more than what there is to do (decision 0012). Linux rounds its own timers likewise
/// (<c>round_jiffies</c>). Thread-safe.
/// </summary>
internal static class Beat
{
    /// <summary>In ms.</summary>
    public const long Second = 1000;

    /// <summary>The whole second nearest to the end of a wait; at least half the wait is kept. Both in ms, as <see cref="Environment.TickCount64"/>.</summary>
    public static long After(long now, long wait)
    {
        long end = (now + wait + (Second / 2)) / Second * Second;
        return end - now >= wait / 2 ? end : end + Second;
    }

    /// <summary>How long to wait instead of a given time. As it is for a clock that is not the machine's.</summary>
    public static TimeSpan Near(TimeSpan wait, TimeProvider time)
    {
        long now = Environment.TickCount64;
        return ReferenceEquals(time, TimeProvider.System) ? TimeSpan.FromMilliseconds(After(now, (long)wait.TotalMilliseconds) - now) : wait;
    }
}
