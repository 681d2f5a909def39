using GlooX.Contracts;
using GlooX.Grid;

namespace GlooX.Services;

/// <summary>What an agent answers to other agents only; the service named <c>peer</c>.</summary>
[RpcService]
internal interface IPeerService
{
    public const string ServiceName = "peer";

    /// <summary>Who is there, for the grid's engine.</summary>
    /// <param name="request">Who asks.</param>
    /// <param name="dialled">The host by which the asker reached this node.</param>
    /// <param name="ct">Cancels the operation.</param>
    [Rpc("probe")]
    ValueTask<ProbeReply> ProbeAsync(ProbeRequest request, string dialled, CancellationToken ct = default);

    /// <summary>A node tells how it is.</summary>
    [Rpc("status")]
    ValueTask StatusAsync(NodeInfo node, CancellationToken ct = default);

    /// <summary>Spawns on this node.</summary>
    [Rpc("spawn_here", TimeoutMilliseconds = 600_000)]
    ValueTask<SpawnReply> SpawnHereAsync(SpawnRequest request, CancellationToken ct = default);

    /// <summary>As <see cref="IAgentService.PrepareAsync"/>, on this node; false: it cannot have the files.</summary>
    [Rpc("prepare_here", TimeoutMilliseconds = 600_000)]
    ValueTask<bool> PrepareHereAsync(PrepareRequest request, CancellationToken ct = default);

    /// <summary>As <see cref="IAgentService.ClaimAsync"/>, on this node.</summary>
    [Rpc("claim_here")]
    ValueTask<bool> ClaimHereAsync(string ticket, CancellationToken ct = default);

    /// <summary>As <see cref="IAgentService.AbandonAsync"/>, on this node alone.</summary>
    [Rpc("abandon_here")]
    ValueTask AbandonHereAsync(string ticket, CancellationToken ct = default);
}
