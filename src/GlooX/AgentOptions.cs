using GlooX.Slots;
using Microsoft.Extensions.Logging;

namespace GlooX;

/// <summary>How an agent behaves. Immutable.</summary>
public sealed record AgentOptions
{
    /// <summary>Who the agent is and whom it trusts. Null (default): <see cref="GlooX.Identity.Load"/>.</summary>
    public Identity? Identity { get; init; }

    /// <summary>
    /// The <c>host:port</c> by which other agents reach this one. Null (default): the bound address, or, when all addresses are bound, the
    /// one by which the first peer is reached. Set it where agents of one grid are on this machine and on others at once, or behind NAT.
    /// </summary>
    public string? AdvertisedUrl { get; init; }

    /// <summary>
    /// Whether <see cref="Agent.StartAsync"/> fails when no peer answers (default), or the agent starts alone and joins as soon as one does.
    /// </summary>
    public bool RequirePeer { get; init; } = true;

    /// <summary>How long joining may take. Default 20 s.</summary>
    public TimeSpan JoinTimeout { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>What the agent may hand out. Null (default): all of the machine's memory, and the disk of its temporary folder.</summary>
    public Capacity? Capacity { get; init; }

    /// <summary>Where the agent logs. Null (default): nowhere.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }
}
