using System.Runtime.CompilerServices;
using GlooX.Channels;
using GlooX.Contracts;
using GlooX.Processes;
using GlooX.Slots;
using GlooX.Trust;

namespace GlooX.Services;

internal sealed class AgentService(Agent agent) : IAgentService
{
    private const int MostReads = 256; // of one caller; each may have 1,024 events waiting, and follow all nodes
    private readonly ReadBudgets _reads = new(MostReads, "logs and events");

    public ValueTask<bool> AliveAsync(CancellationToken ct) => new(true);

    public ValueTask<NodeInfo> InfoAsync(CancellationToken ct) => new(Reached().Describe());

    public async ValueTask<NodeInfo[]> NodesAsync(CancellationToken ct) => await Reached().Status.GridAsync(ct).ConfigureAwait(false);

    public ValueTask<ProcessInfo[]> ListAsync(CancellationToken ct) => new([.. Reached().Processes.List()]);

    public ValueTask<SlotCount> SlotsAsync(
        long memoryBytes, long diskBytes, Dictionary<string, decimal> resources, int? maxPerNode, string kind, CancellationToken ct) =>
        new(agent.Slots(Provision.FromBytes(memoryBytes, diskBytes, resources) with { MaxPerNode = maxPerNode, Kind = kind }));

    public ValueTask<SpawnReply> SpawnAsync(SpawnRequest request, CancellationToken ct) =>
        agent.Audit.RunAsync(AuditLog.TargetOf(request), () => new ValueTask<SpawnReply>(Reached().Placement.SpawnAsync(request, ct)), AuditLog.OutcomeOf);

    public async ValueTask<PrepareReply> PrepareAsync(PrepareRequest request, CancellationToken ct) => await Reached().Placement.PrepareAsync(request, ct).ConfigureAwait(false);

    public async ValueTask AbandonAsync(string ticket, CancellationToken ct) =>
        await agent.Placement.AbandonAsync(ticket).ConfigureAwait(false);

    public ValueTask<bool> ClaimAsync(string ticket, CancellationToken ct) => new(agent.Placement.Claim(ticket));

    public ValueTask<bool> KillAsync(string id, CancellationToken ct) => agent.Audit.RunAsync<bool>(id, () => new(agent.Processes.Kill(id)), AuditLog.FoundOf);

    public ValueTask<bool> StopAsync(string id, long graceMilliseconds, CancellationToken ct) => agent.Audit.RunAsync<bool>(id, () =>
        graceMilliseconds >= 0 && graceMilliseconds <= SpawnedProcess.MaxGrace.TotalMilliseconds
            ? new(agent.Processes.Stop(id, TimeSpan.FromMilliseconds(graceMilliseconds)))
            : throw new ArgumentOutOfRangeException(
                nameof(graceMilliseconds), graceMilliseconds, $"the grace must be 0 to {SpawnedProcess.MaxGrace.TotalMinutes} minutes"), AuditLog.FoundOf);

    public async ValueTask<ProcessInfo?> FindAsync(string id, CancellationToken ct) => await Reached().Placement.FindAsync(id, ct).ConfigureAwait(false);

    public ValueTask<ProcessInfo?> FindHereAsync(string id, CancellationToken ct) => new(Reached().Processes.Find(id));

    public IAsyncEnumerable<LogLine[]> LogsAsync(string id, int last, bool follow, CancellationToken ct) =>
        CountedAsync((agent.Processes.OutputOf(id) ?? throw Missing(agent, id)).ReadAsync(last, follow, ct), ct);

    public IAsyncEnumerable<ProcessEvent[]> WatchAsync(string? id, CancellationToken ct) => CountedAsync(Reached().Watch.EverywhereAsync(id, ct), ct);

    public IAsyncEnumerable<ProcessEvent[]> WatchHereAsync(string? id, CancellationToken ct) => CountedAsync(agent.Watch.HereAsync(id, ct), ct);

    // Agents read for all of their callers, whom they count.
    private IAsyncEnumerable<T> CountedAsync<T>(IAsyncEnumerable<T> source, CancellationToken ct) =>
        RpcCall.Current is var call && call.CallerRoles.HasFlag(RpcRole.Agent) ? source : CountedAsync(call.CallerSerial, source, ct);

    private async IAsyncEnumerable<T> CountedAsync<T>(string caller, IAsyncEnumerable<T> source, [EnumeratorCancellation] CancellationToken ct)
    {
        _reads.Begin(caller);
        try
        {
            await foreach (T item in source.WithCancellation(ct).ConfigureAwait(false))
            {
                yield return item;
            }
        }
        finally
        {
            _reads.End(caller);
        }
    }

    public ValueTask<RevokedTarget[]> RevokeAsync(string[] targets, CancellationToken ct) =>
        agent.Audit.RunAsync<RevokedTarget[]>(string.Join(' ', targets), async () => await agent.Revocations.RevokeAsync(targets, ct).ConfigureAwait(false));

    public ValueTask<RevokedTarget[]> AllowAsync(string[] targets, CancellationToken ct) =>
        agent.Audit.RunAsync<RevokedTarget[]>(string.Join(' ', targets), () => new(agent.Revocations.Allow(targets)));

    public ValueTask<string[]> AddonsAsync(CancellationToken ct) => new([.. agent.Addons]);

    public ValueTask<AddonReply> AttachAddonAsync(AddonRequest request, CancellationToken ct) =>
        Audited(request.Name, () => Admitted().AttachAddonAsync(request.Name, request.Source, request.ToOptions(), ct));

    public ValueTask<AddonReply> SpreadAddonAsync(AddonRequest request, CancellationToken ct) =>
        Audited(request.Name, () => Admitted().AttachAddonEverywhereAsync(request.Name, request.Source, request.ToOptions(), ct));

    public ValueTask<AddonReply> WithdrawAddonAsync(string name, CancellationToken ct) =>
        Audited(name, () => agent.DetachAddonEverywhereAsync(name, ct));

    public ValueTask<AddonReply> DetachAddonAsync(string name, CancellationToken ct) =>
        Audited(name, () => agent.DetachAddonAsync(name));

    public async ValueTask<int[]> WaitAsync(string id, CancellationToken ct) =>
        await agent.Processes.WaitAsync(id, ct).ConfigureAwait(false) is { } exit
            ? [exit.Code, exit.Signal]
            : throw Missing(agent, id);

    private ValueTask<AddonReply> Audited(string addon, Func<Task> work) =>
        agent.Audit.RunAsync(addon, () => AddonReply.OfAsync(work), static r => r.Error == AddonError.None ? AuditLog.Done : $"failed: {r.Message}");

    // What is attached runs in the agent itself, as its user.
    private Agent Admitted() => !agent.Spawns
        ? throw new AddonException(AddonError.StartFailed, $"the agent {agent.Url} runs nothing that others send (--no-spawn)")
        : !agent.RequiresUser ? agent
        : throw new AddonException(AddonError.StartFailed, $"the agent {agent.Url} runs no code of others as root (--only-users): have it attached at its start, with --addon");

    // What is answered names this node, by an address that the caller can use.
    private Agent Reached()
    {
        agent.Address.ReachedAt(RpcCall.Current.LocalAddress);
        return agent;
    }

    internal static ArgumentException Missing(Agent agent, string id) => new($"the agent {agent.Url} has no process {id}", nameof(id));
}
