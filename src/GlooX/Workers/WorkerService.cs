using GlooX.Contracts;

namespace GlooX.Workers;

/// <summary>
/// What every worker answers under the same name as an agent: that it lives, and how it describes itself. Nothing else of an agent's verbs.
/// </summary>
internal sealed class WorkerService(Worker worker) : IWorkerService
{
    public static RpcAccess Access { get; } = new() { Roles = RpcRole.Any };

    public ValueTask<bool> AliveAsync(CancellationToken ct) => new(true);

    public ValueTask<NodeInfo> InfoAsync(CancellationToken ct) => new(worker.Describe());
}
