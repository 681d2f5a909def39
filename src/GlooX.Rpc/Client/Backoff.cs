namespace GlooX.Client;

/// <summary>
/// The pause before the next attempt to connect: doubles after each failure up to a maximum, with jitter, so that callers that lost the same server
/// do not return all at once (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
/// </summary>
internal static class Backoff
{
    private const double FirstMilliseconds = 20;

    /// <param name="failures">How many attempts have failed in a row; at least 1.</param>
    /// <param name="max">Longest pause.</param>
    /// <param name="random">From 0 to 1.</param>
    public static TimeSpan Pause(int failures, TimeSpan max, double random)
    {
        double ceiling = Math.Min(max.TotalMilliseconds, FirstMilliseconds * Math.Pow(2, Math.Min(failures, 32) - 1));
        return TimeSpan.FromMilliseconds(ceiling * (1 + random) / 2);
    }
}
