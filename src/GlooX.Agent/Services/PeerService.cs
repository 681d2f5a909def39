using GlooX.Contracts;
using GlooX.Grid;
using GlooX.Processes;
using GlooX.Trust;
using Microsoft.Extensions.Logging;

namespace GlooX.Services;

internal sealed partial class PeerService(Agent agent, ILogger logger) : IPeerService
{
    public static RpcAccess Access { get; } = new() { Roles = RpcRole.Agent };

    public ValueTask<ProbeReply> ProbeAsync(ProbeRequest request, string dialled, CancellationToken ct)
    {
        CheckSpeaker(request.NodeId);
        return new(agent.Grid.AnswerProbe(request, dialled));
    }

    // A node that is no member yet is asked when it is one.
    public ValueTask StatusAsync(NodeInfo node, CancellationToken ct)
    {
        CheckSpeaker(node.NodeId);
        foreach (GridMember member in agent.Grid.Members)
        {
            if (member.Address == node.Url)
            {
                CheckSpeaker(member.NodeId);
                agent.Status.Hear(node);
            }
        }

        return default;
    }

    /// <exception cref="RpcException"><see cref="RpcError.Forbidden"/>: the caller's certificate is of another node.</exception>
    private void CheckSpeaker(string agentId)
    {
        RpcCall call = RpcCall.Current;
        if (!AgentId.IsOf(agentId, call.CallerNode))
        {
            LogSpokeForAnother(logger, call.Caller, agentId, call.CallerNode);
            throw new RpcException(RpcError.Forbidden, $"an agent speaks for itself alone: {agentId} is none of the node {call.CallerNode}, which the certificate names");
        }
    }

    [LoggerMessage(2010, LogLevel.Warning, "{Caller} was refused, which spoke for the agent {Agent}: its certificate names the node {Node}")]
    private static partial void LogSpokeForAnother(ILogger logger, string caller, string agent, string? node);

    public ValueTask<SpawnReply> SpawnHereAsync(SpawnRequest request, CancellationToken ct) =>
        agent.Audit.RunAsync(AuditLog.TargetOf(request), () => new ValueTask<SpawnReply>(agent.Placement.SpawnForPeerAsync(request, ct)), AuditLog.OutcomeOf);

    public async ValueTask<bool> PrepareHereAsync(PrepareRequest request, CancellationToken ct) => await agent.Placement.PrepareHereAsync(request, ct).ConfigureAwait(false);

    public async ValueTask AbandonHereAsync(string ticket, CancellationToken ct) => await agent.Placement.AbandonHereAsync(ticket).ConfigureAwait(false);

    public ValueTask<bool> ClaimHereAsync(string ticket, CancellationToken ct) => new(agent.Placement.ClaimHere(ticket));
}
