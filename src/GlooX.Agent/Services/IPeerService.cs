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

    /// <summary>An agent tells what it has revoked, or allowed again: lines of <see cref="Revocation.ToString"/>.</summary>
    [Rpc("revoked", Idempotent = true)]
    ValueTask RevokedAsync(string[] said, CancellationToken ct = default);

    /// <summary>Revokes, if this node has the book of the authority.</summary>
    [Rpc("revoke_issued", Idempotent = true)]
    ValueTask<RevokedReply> RevokeIssuedAsync(string[] targets, CancellationToken ct = default);

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

/// <summary>What came of revoking where the book of the authority is.</summary>
/// <param name="HasBook">Whether it is here; false: nothing was done.</param>
/// <param name="Fault">Why nothing was revoked; empty: it was.</param>
/// <param name="Targets">What was revoked.</param>
internal sealed record RevokedReply(bool HasBook, string Fault, RevokedTarget[] Targets);
