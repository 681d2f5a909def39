namespace GlooX;

/// <summary>When a process that has ended is started again.</summary>
public enum RestartMode
{
    /// <summary>Never.</summary>
    Never,

    /// <summary>After a failure: an exit code other than 0, a signal, or an unknown end.</summary>
    OnFailure,

    /// <summary>However it ended.</summary>
    Always,
}

/// <summary>
/// Whether and how a process that has ended is started again, by its node: see <c>docs/spawning.md</c>. The pause before a restart is
/// <see cref="FirstPause"/>, doubled for each restart of the last <see cref="Window"/>, and at most <see cref="LongestPause"/>. Immutable.
/// </summary>
public sealed record RestartPolicy
{
    internal const int MostRestarts = 1_000;
    internal static readonly TimeSpan MaxPause = TimeSpan.FromDays(1);
    internal static readonly TimeSpan MaxWindow = TimeSpan.FromDays(30);

    /// <summary>A process that has ended stays so; the default of a spawn.</summary>
    public static RestartPolicy Never { get; } = new();

    /// <summary>A process that has failed is started again.</summary>
    public static RestartPolicy OnFailure { get; } = new() { Mode = RestartMode.OnFailure };

    /// <summary>A process is started again however it ended, unless it was killed through the grid.</summary>
    public static RestartPolicy Always { get; } = new() { Mode = RestartMode.Always };

    /// <summary>When. Default: never.</summary>
    public RestartMode Mode { get; init; }

    /// <summary>The pause before the first restart: 1 ms to <see cref="LongestPause"/>. Default 1 s.</summary>
    public TimeSpan FirstPause { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>What no pause exceeds: at most a day. Default 1 minute.</summary>
    public TimeSpan LongestPause { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>
    /// By which part of itself, 0 to 1, a pause may be shorter, at random, so that what ended together does not start together. Default
    /// 0.2.
    /// </summary>
    public double Jitter { get; init; } = 0.2;

    /// <summary>
    /// How many restarts within <see cref="Window"/> are enough: a process that ends once more is given up. 0 to 1,000; null: it is never
    /// given up. Default 10. More than the pauses let fit into the window are never reached.
    /// </summary>
    public int? MaxRestarts { get; init; } = 10;

    /// <summary>
    /// How long a restart counts, for <see cref="MaxRestarts"/> and for the pauses: more than 0, at most 30 days. Default 10 minutes.
    /// </summary>
    public TimeSpan Window { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>What is wrong with it; null: nothing.</summary>
    internal string? Fault() =>
        !Enum.IsDefined(Mode) ? $"there is no restart mode {(int)Mode}; there are {string.Join(", ", Enum.GetNames<RestartMode>())}"
        : LongestPause < FirstPause || LongestPause > MaxPause
            ? $"the longest pause before a restart is {LongestPause}: it must be at least the first, {FirstPause}, and at most a day"
        : FirstPause < TimeSpan.FromMilliseconds(1) ? $"the first pause before a restart is {FirstPause}: it must be 1 ms at least"
        : Jitter is not (>= 0 and <= 1) ? $"the jitter of restarts is {Jitter}: it must be 0 to 1"
        : MaxRestarts is < 0 or > MostRestarts
            ? $"{MaxRestarts} restarts cannot be the most: it must be 0 to {MostRestarts}, or null for no limit"
        : Window <= TimeSpan.Zero || Window > MaxWindow
            ? $"the window of restarts is {Window}: it must be more than 0, and at most {MaxWindow.TotalDays} days"
        : null;
}
