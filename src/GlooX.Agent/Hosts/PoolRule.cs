namespace GlooX.Hosts;

/// <summary>
/// How many hosts are kept warm: enough for the spawns that come while one host becomes warm. Pure: the caller brings the time, by a
/// monotonic clock, and the free memory. Not thread-safe.
/// </summary>
/// <remarks>
/// The base-stock rule of inventories: hold what is asked for during the time that an order takes to come (Arrow, Harris and Marschak,
/// Optimal Inventory Policy, Econometrica 1951). What is asked for is the most spawns that were seen within that time; they are forgotten
/// exponentially (e to the power of minus one a minute), until a half of a spawn is left. Beyond the least, hosts get a tenth of the free
/// memory.
/// </remarks>
/// <param name="least">How many are kept always; 0: there is no pool.</param>
/// <param name="most">How many at most; less than the least counts as that.</param>
internal sealed class PoolRule(int least, int most)
{
    /// <summary>What a warm host takes.</summary>
    public const long HostBytes = 50_000_000;
    private const int RoomShare = 10;
    private const double Forgotten = 0.5;
    private const double Smoothing = 4;
    private static readonly TimeSpan s_forget = TimeSpan.FromMinutes(1);
    private static readonly TimeSpan s_shortest = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_longest = TimeSpan.FromSeconds(30);
    private readonly Queue<TimeSpan> _recent = new();
    private double _peak;
    private TimeSpan _peakAt;

    public int Least { get; } = least;

    /// <summary>How long a host takes to become warm, from when it was missing: smoothed, 1 to 30 s. Before the first: 2 s.</summary>
    public TimeSpan Lead { get; private set; } = TimeSpan.FromSeconds(2);

    private int Bound { get; } = least == 0 ? 0 : Math.Max(least, most);

    /// <summary>A class is spawned.</summary>
    public void Spawned(TimeSpan now)
    {
        while (_recent.TryPeek(out TimeSpan first) && (first + Lead <= now || _recent.Count > Bound))
        {
            _recent.Dequeue();
        }

        _recent.Enqueue(now);
        (_peak, _peakAt) = (Math.Max(Left(now), _recent.Count), now);
    }

    /// <summary>A host has become warm.</summary>
    /// <param name="took">How long that took.</param>
    public void Warmed(TimeSpan took)
    {
        TimeSpan lead = Lead + ((took - Lead) / Smoothing);
        Lead = lead < s_shortest ? s_shortest : lead > s_longest ? s_longest : lead;
    }

    /// <summary>How many hosts are to be kept.</summary>
    /// <param name="now">The time.</param>
    /// <param name="freeBytes">The memory that a new process could be promised.</param>
    /// <param name="prepared">For how many payloads one is wanted that waits for that payload alone.</param>
    /// <returns>How many for any payload, and for how many of those payloads.</returns>
    public (int Any, int Prepared) Wanted(TimeSpan now, long freeBytes, int prepared)
    {
        double left = Left(now);
        int all = (int)Math.Min(Bound, Least + (Math.Max(0, freeBytes) / (RoomShare * HostBytes)));
        int some = Math.Min(prepared, all - Math.Min(all, Least));
        return (Math.Clamp(left < Forgotten ? 0 : (int)Math.Ceiling(left), Math.Min(all, Least), all - some), some);
    }

    private double Left(TimeSpan now) => _peak * Math.Exp((_peakAt - now) / s_forget);
}
