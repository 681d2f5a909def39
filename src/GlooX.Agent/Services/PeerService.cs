using GlooX.Contracts;
using GlooX.Grid;
using GlooX.Processes;

namespace GlooX.Services;

internal sealed class PeerService(Agent agent) : IPeerService
{
    public static RpcAccess Access { get; } = new() { Roles = RpcRole.Agent };

    public ValueTask<ProbeReply> ProbeAsync(ProbeRequest request, string dialled, CancellationToken ct) =>
        new(agent.Grid.AnswerProbe(request, dialled));

    public ValueTask StatusAsync(NodeInfo node, CancellationToken ct)
    {
        agent.Board.Hear(node);
        return default;
    }

    public async ValueTask<SpawnReply> SpawnHereAsync(SpawnRequest request, CancellationToken ct) => await agent.Placement.SpawnForPeerAsync(request, ct).ConfigureAwait(false);

    public async ValueTask<bool> PrepareHereAsync(PrepareRequest request, CancellationToken ct) => await agent.Placement.PrepareHereAsync(request, ct).ConfigureAwait(false);

    public async ValueTask AbandonHereAsync(string ticket, CancellationToken ct) => await agent.Placement.AbandonHereAsync(ticket).ConfigureAwait(false);

    public ValueTask<bool> ClaimHereAsync(string ticket, CancellationToken ct) => new(agent.Placement.ClaimHere(ticket));
}
