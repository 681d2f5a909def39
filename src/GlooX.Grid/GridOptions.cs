namespace GlooX.Grid;

/// <summary>
/// How a <see cref="GridMembership"/> behaves. The defaults suit agents in one data centre or on one laptop;
/// over slow links raise <see cref="ProbeTimeout"/> and <see cref="ForgetAfter"/>.
/// </summary>
public sealed record GridOptions
{
    /// <summary>
    /// Tells this process from all others, also from its own predecessor at the same address. Default: random.
    /// Two processes with the same id take each other for themselves and never form a grid.
    /// </summary>
    public string NodeId { get; init; } = Guid.NewGuid().ToString("N");

    /// <summary>The port on which the owner listens, the same for probes and for grid streams. No default.</summary>
    public required int Port { get; init; }

    /// <summary>
    /// The "host:port" by which the others reach this agent. Default: none, then <see cref="GridMembership.SetAdvertisedAddress"/>
    /// gives it, or the first connection that shows it. Nothing is joined or formed before it is known.
    /// </summary>
    public string? AdvertisedAddress { get; init; }

    /// <summary>
    /// How long an agent whose peers are all silent waits before it forms a grid alone. Default 5 s.
    /// Shorter: usable sooner; longer: fewer grids that must merge later, when agents start at different times.
    /// </summary>
    public TimeSpan FormAfter { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// How long a member may be silent before it is taken off the list, in whole seconds of this node's own running time.
    /// Default 45 s. Shorter: newcomers are admitted sooner while somebody is cut off; longer: short cuts heal without a merge,
    /// which takes the smaller side about five seconds.
    /// </summary>
    public TimeSpan ForgetAfter { get; init; } = TimeSpan.FromSeconds(45);

    /// <summary>
    /// How long a member must look unreachable before it is shown so. Default 2 s.
    /// A node that wakes from a pause accuses healthy ones for up to a second: below that, false alarms show.
    /// </summary>
    public TimeSpan ShowUnreachableAfter { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// How long an answer to one probe is waited for, connecting included. Default 1.5 s. A probe for a grid to join goes on for ten times as
    /// long meanwhile, so that a peer far too busy for this is found all the same.
    /// Longer tolerates slower links, and delays every decision that needs an answer from a silent node.
    /// </summary>
    public TimeSpan ProbeTimeout { get; init; } = TimeSpan.FromSeconds(1.5);

    /// <summary>
    /// How often known peers that are missing here are looked for. Default 1.5 s, with backoff for those that do not answer.
    /// Shorter: separate grids merge sooner (after two looks), for more probes.
    /// </summary>
    public TimeSpan MergeInterval { get; init; } = TimeSpan.FromSeconds(1.5);

    /// <summary>
    /// How long a peer that was learned, not configured, is looked for since it last answered. Default 24 h.
    /// Longer heals longer cuts, for one probe now and then to agents that are gone for good: every six seconds at most to one that is silent,
    /// and after a quarter of the time again, once a minute in the end, to one whose port refuses.
    /// </summary>
    public TimeSpan RememberPeersFor { get; init; } = TimeSpan.FromHours(24);

    /// <summary>
    /// Whether a refused connection must be confirmed by another member before the refusing one is removed. Default false:
    /// the port outlives everything but its process. Set it behind NAT, port forwarders or firewalls that answer with a reset;
    /// it costs about six seconds for each dead process, and in a grid of two <see cref="ForgetAfter"/>.
    /// </summary>
    public bool RefusalNeedsWitness { get; init; }
}
