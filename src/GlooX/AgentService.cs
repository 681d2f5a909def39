using GlooX.Grid;
using GlooX.Slots;

namespace GlooX;

/// <summary>What every agent answers to other agents and clients; the service named <c>agent</c>.</summary>
[RpcService]
internal interface IAgentService
{
    /// <summary>True: it answers.</summary>
    [Rpc("alive?")]
    ValueTask<bool> AliveAsync(CancellationToken ct = default);

    [Rpc("info")]
    ValueTask<NodeInfo> InfoAsync(CancellationToken ct = default);

    /// <summary>Who is there, for the grid's engine.</summary>
    /// <param name="request">Who asks.</param>
    /// <param name="dialled">The host by which the asker reached this node.</param>
    /// <param name="ct">Gives up.</param>
    [Rpc("probe")]
    ValueTask<ProbeReply> ProbeAsync(ProbeRequest request, string dialled, CancellationToken ct = default);
}

internal sealed class AgentService(Agent agent) : IAgentService
{
    public const string Name = "agent";

    public ValueTask<bool> AliveAsync(CancellationToken ct) => new(true);

    public ValueTask<NodeInfo> InfoAsync(CancellationToken ct) => new(agent.Describe());

    public ValueTask<ProbeReply> ProbeAsync(ProbeRequest request, string dialled, CancellationToken ct) =>
        new(agent.Grid.AnswerProbe(request, dialled));
}
