namespace GlooX.Grid;

/// <summary>
/// Options of a <see cref="GridMembership"/>. The defaults suit agents in one data centre or on one laptop. For slow links raise
/// <see cref="ProbeTimeout"/> and <see cref="ForgetAfter"/>.
/// </summary>
internal sealed record GridOptions
{
    /// <summary>
    /// Distinguishes this process from all others, also from earlier processes at the same address. Default: random.
    /// Two processes with the same id take each other for themselves and never form a grid.
    /// </summary>
    public string NodeId { get; init; } = Guid.NewGuid().ToString("N");

    /// <summary>The port on which the agent listens, for probes and grid streams alike. Default 0: <see cref="IMembership.Listen"/> tells it.</summary>
    public int Port { get; init; }

    /// <summary>
    /// The "host:port" by which others reach this agent. Default: null; then <see cref="IMembership.SetAdvertisedAddress"/> or the first
    /// connection determines it. Until it is known, this agent neither joins nor forms a grid.
    /// </summary>
    public string? AdvertisedAddress { get; init; }

    /// <summary>
    /// How long an agent whose peers do not answer waits before it forms a grid alone. Default 5 s.
    /// Shorter: usable sooner. Longer: fewer grids that must merge later when agents start at different times.
    /// </summary>
    public TimeSpan FormAfter { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// How long a member may be unreachable before it is removed, in whole seconds of this process's running time. Default 45 s.
    /// Shorter: newcomers are admitted sooner while a member is cut off. Longer: longer cuts heal without a merge, which takes the
    /// smaller side about five seconds.
    /// </summary>
    public TimeSpan ForgetAfter { get; init; } = TimeSpan.FromSeconds(45);

    /// <summary>
    /// How long a member must be unreachable before it is shown as unreachable. Default 2 s. A process that wakes from a pause accuses
    /// healthy members for up to a second: below that, false alarms show.
    /// </summary>
    public TimeSpan ShowUnreachableAfter { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Timeout of one probe, connecting included. Default 1.5 s. Longer: tolerates slower links, but delays each decision that needs the
    /// answer of a silent agent. A probe that looks for a grid to join continues in the background for ten times as long, so that a very
    /// busy peer is found all the same.
    /// </summary>
    public TimeSpan ProbeTimeout { get; init; } = TimeSpan.FromSeconds(1.5);

    /// <summary>
    /// How often known peers that are not members are probed. Default 1.5 s, with backoff for peers that do not answer.
    /// Shorter: separate grids merge sooner (after two probes), for more probes.
    /// </summary>
    public TimeSpan MergeInterval { get; init; } = TimeSpan.FromSeconds(1.5);

    /// <summary>
    /// How long after its last answer a peer that was learned, not configured, is still probed. Default 24 h. Longer: heals longer cuts,
    /// for occasional probes of agents that are gone for good: every six seconds for a silent one, once a minute in the end for one whose
    /// port refuses.
    /// </summary>
    public TimeSpan RememberPeersFor { get; init; } = TimeSpan.FromHours(24);

    /// <summary>
    /// Whether another member must confirm that a member is dead when its port refuses connections. Default false: the port refuses only
    /// when the process has ended. Set it behind NAT, port forwarders or firewalls that answer with a reset. It costs about six seconds
    /// for each dead process, and <see cref="ForgetAfter"/> in a grid of two.
    /// </summary>
    public bool ConfirmRefusals { get; init; }
}
