namespace GlooX.Contracts;

/// <summary>The part of the service named <c>agent</c> that a spawned worker answers.</summary>
[RpcService]
internal interface IWorkerService
{
    public const string ServiceName = IAgentService.ServiceName;

    [Rpc("alive?")]
    ValueTask<bool> AliveAsync(CancellationToken ct = default);

    [Rpc("info")]
    ValueTask<NodeInfo> InfoAsync(CancellationToken ct = default);
}
