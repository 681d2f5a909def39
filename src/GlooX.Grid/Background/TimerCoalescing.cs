namespace GlooX;

/// <summary>
/// Lets waits end with a whole second of the machine's clock, so that one wake of the process serves many timers (decision 0012).
/// Linux rounds its own timers likewise (<c>round_jiffies</c>). Thread-safe.
/// </summary>
internal static class TimerCoalescing
{
    /// <summary>One second in milliseconds, the unit that ends of waits are rounded to.</summary>
    public const long Second = 1000;

    /// <summary>
    /// The whole second nearest to the end of a wait, but never less than half the wait away. All values in milliseconds, as
    /// <see cref="Environment.TickCount64"/>.
    /// </summary>
    public static long RoundedEnd(long now, long wait)
    {
        long end = (now + wait + (Second / 2)) / Second * Second;
        return end - now >= wait / 2 ? end : end + Second;
    }

    /// <summary>The wait that ends with a whole second. A clock other than the machine's, in tests, gets the wait unchanged.</summary>
    public static TimeSpan Round(TimeSpan wait, TimeProvider time)
    {
        long now = Environment.TickCount64;
        return ReferenceEquals(time, TimeProvider.System)
            ? TimeSpan.FromMilliseconds(RoundedEnd(now, (long)wait.TotalMilliseconds) - now)
            : wait;
    }
}
