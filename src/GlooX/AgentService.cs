using GlooX.Addons;
using GlooX.Grid;
using GlooX.Slots;
using GlooX.Spawning;

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

    /// <summary>A node tells how it is.</summary>
    [Rpc("status")]
    ValueTask StatusAsync(NodeInfo node, CancellationToken ct = default);

    /// <summary>The processes of this node.</summary>
    [Rpc("list")]
    ValueTask<ProcessInfo[]> ListAsync(CancellationToken ct = default);

    /// <summary>How many processes of a kind this node has room for.</summary>
    [Rpc("slots")]
    ValueTask<SlotCount> SlotsAsync(long memoryBytes, long diskBytes, Dictionary<string, decimal> resources, int? maxPerNode, string kind, CancellationToken ct = default);

    /// <summary>Spawns on the node of the grid with the most room.</summary>
    [Rpc("spawn", TimeoutMilliseconds = 600_000)]
    ValueTask<SpawnReply> SpawnAsync(SpawnRequest request, CancellationToken ct = default);

    /// <summary>Spawns on this node.</summary>
    [Rpc("spawn_here", TimeoutMilliseconds = 600_000)]
    ValueTask<SpawnReply> SpawnHereAsync(SpawnRequest request, CancellationToken ct = default);

    /// <summary>Gets a payload's files to all nodes of the grid, and has them keep a host that has loaded it.</summary>
    [Rpc("prepare", TimeoutMilliseconds = 600_000)]
    ValueTask<PrepareReply> PrepareAsync(PrepareRequest request, CancellationToken ct = default);

    /// <summary>As <see cref="PrepareAsync"/>, on this node; false: it cannot have the files.</summary>
    [Rpc("prepare_here", TimeoutMilliseconds = 600_000)]
    ValueTask<bool> PrepareHereAsync(PrepareRequest request, CancellationToken ct = default);

    /// <summary>Kills what a spawn has started, wherever in the grid, that its caller gave up.</summary>
    [Rpc("abandon")]
    ValueTask AbandonAsync(string ticket, CancellationToken ct = default);

    /// <summary>As <see cref="AbandonAsync"/>, on this node alone.</summary>
    [Rpc("abandon_here")]
    ValueTask AbandonHereAsync(string ticket, CancellationToken ct = default);

    /// <summary>Kills a process of this node; false: there is none.</summary>
    [Rpc("kill")]
    ValueTask<bool> KillAsync(string id, CancellationToken ct = default);

    /// <summary>Asks a process of this node to end, and kills it after the grace; false: there is none.</summary>
    [Rpc("stop")]
    ValueTask<bool> StopAsync(string id, long graceMilliseconds, CancellationToken ct = default);

    /// <summary>A process of the grid, also one that has ended not long ago; null: there is none.</summary>
    [Rpc("find")]
    ValueTask<ProcessInfo?> FindAsync(string id, CancellationToken ct = default);

    /// <summary>As <see cref="FindAsync"/>, of this node alone.</summary>
    [Rpc("find_here")]
    ValueTask<ProcessInfo?> FindHereAsync(string id, CancellationToken ct = default);

    /// <summary>What a process of this node wrote, and, if wanted, what it writes until it ends.</summary>
    [Rpc("logs")]
    IAsyncEnumerable<LogLine[]> LogsAsync(string id, int last, bool follow, CancellationToken ct = default);

    /// <summary>What happens to a process of the grid, until it has ended for good; null: to all.</summary>
    [Rpc("watch")]
    IAsyncEnumerable<ProcessEvent[]> WatchAsync(string? id, CancellationToken ct = default);

    /// <summary>As <see cref="WatchAsync"/>, of this node alone.</summary>
    [Rpc("watch_here")]
    IAsyncEnumerable<ProcessEvent[]> WatchHereAsync(string? id, CancellationToken ct = default);

    /// <summary>Certificates that are refused from now on, in the whole grid.</summary>
    [Rpc("revoke")]
    ValueTask RevokeAsync(string[] serials, CancellationToken ct = default);

    /// <summary>The names of this node's add-ons.</summary>
    [Rpc("addons")]
    ValueTask<string[]> AddonsAsync(CancellationToken ct = default);

    /// <summary>Loads an add-on; tells what went wrong, or nothing.</summary>
    [Rpc("attach_addon", TimeoutMilliseconds = 300_000)]
    ValueTask<AddonReply> AttachAddonAsync(AddonRequest request, CancellationToken ct = default);

    /// <summary>As <see cref="AttachAddonAsync"/>, on all nodes.</summary>
    [Rpc("spread_addon", TimeoutMilliseconds = 300_000)]
    ValueTask<AddonReply> SpreadAddonAsync(AddonRequest request, CancellationToken ct = default);

    [Rpc("withdraw_addon", TimeoutMilliseconds = 120_000)]
    ValueTask<AddonReply> WithdrawAddonAsync(string name, CancellationToken ct = default);

    [Rpc("detach_addon", TimeoutMilliseconds = 60_000)]
    ValueTask<AddonReply> DetachAddonAsync(string name, CancellationToken ct = default);

    /// <summary>Waits for the end of a process of this node: exit code and signal.</summary>
    [Rpc("wait", TimeoutMilliseconds = -1)]
    ValueTask<int[]> WaitAsync(string id, CancellationToken ct = default);
}

internal sealed class AgentService(Agent agent) : IAgentService
{
    public const string Name = "agent";

    public ValueTask<bool> AliveAsync(CancellationToken ct) => new(true);

    public ValueTask<NodeInfo> InfoAsync(CancellationToken ct) => new(agent.Describe());

    public ValueTask<ProbeReply> ProbeAsync(ProbeRequest request, string dialled, CancellationToken ct) =>
        new(agent.Grid.AnswerProbe(request, dialled));

    public ValueTask StatusAsync(NodeInfo node, CancellationToken ct)
    {
        agent.Board.Hear(node);
        return default;
    }

    public ValueTask<ProcessInfo[]> ListAsync(CancellationToken ct) => new([.. agent.Spawner.List(agent.Url)]);

    public ValueTask<SlotCount> SlotsAsync(long memoryBytes, long diskBytes, Dictionary<string, decimal> resources, int? maxPerNode, string kind, CancellationToken ct) =>
        new(agent.Slots(Provision.FromBytes(memoryBytes, diskBytes, resources) with { MaxPerNode = maxPerNode, Kind = kind }));

    public async ValueTask<SpawnReply> SpawnAsync(SpawnRequest request, CancellationToken ct) => await agent.Placement.SpawnAsync(request, ct).ConfigureAwait(false);

    public async ValueTask<SpawnReply> SpawnHereAsync(SpawnRequest request, CancellationToken ct) => await agent.Placement.SpawnHereAsync(request, ct).ConfigureAwait(false);

    public async ValueTask<PrepareReply> PrepareAsync(PrepareRequest request, CancellationToken ct) => await agent.Placement.PrepareAsync(request, ct).ConfigureAwait(false);

    public async ValueTask<bool> PrepareHereAsync(PrepareRequest request, CancellationToken ct) => await agent.Placement.PrepareHereAsync(request, ct).ConfigureAwait(false);

    public async ValueTask AbandonAsync(string ticket, CancellationToken ct) => await agent.Placement.AbandonAsync(ticket, agent.Peers, ct).ConfigureAwait(false);

    public ValueTask AbandonHereAsync(string ticket, CancellationToken ct)
    {
        agent.Spawner.Abandon(ticket);
        return default;
    }

    public ValueTask<bool> KillAsync(string id, CancellationToken ct) => new(agent.Spawner.Kill(id));

    public ValueTask<bool> StopAsync(string id, long graceMilliseconds, CancellationToken ct) =>
        graceMilliseconds >= 0 && graceMilliseconds <= SpawnedProcess.MaxGrace.TotalMilliseconds
            ? new(agent.Spawner.Stop(id, TimeSpan.FromMilliseconds(graceMilliseconds)))
            : throw new ArgumentOutOfRangeException(nameof(graceMilliseconds), graceMilliseconds, $"the grace must be 0 to {SpawnedProcess.MaxGrace.TotalMinutes} minutes");

    public async ValueTask<ProcessInfo?> FindAsync(string id, CancellationToken ct) => await agent.Placement.FindAsync(id, ct).ConfigureAwait(false);

    public ValueTask<ProcessInfo?> FindHereAsync(string id, CancellationToken ct) => new(agent.Spawner.Find(id, agent.Url));

    public IAsyncEnumerable<LogLine[]> LogsAsync(string id, int last, bool follow, CancellationToken ct) =>
        (agent.Spawner.OutputOf(id) ?? throw Missing(agent, id)).ReadAsync(last, follow, ct);

    public IAsyncEnumerable<ProcessEvent[]> WatchAsync(string? id, CancellationToken ct) => agent.Watch.EverywhereAsync(id, ct);

    public IAsyncEnumerable<ProcessEvent[]> WatchHereAsync(string? id, CancellationToken ct) => agent.Watch.HereAsync(id, ct);

    public ValueTask RevokeAsync(string[] serials, CancellationToken ct)
    {
        agent.Upkeep.Revoke(serials);
        return default;
    }

    public ValueTask<string[]> AddonsAsync(CancellationToken ct) => new([.. agent.Addons]);

    public ValueTask<AddonReply> AttachAddonAsync(AddonRequest request, CancellationToken ct) =>
        AddonReply.OfAsync(() => agent.AttachAddonAsync(request.Name, request.Source, request.ToOptions(), ct));

    public ValueTask<AddonReply> SpreadAddonAsync(AddonRequest request, CancellationToken ct) =>
        AddonReply.OfAsync(() => agent.AttachAddonEverywhereAsync(request.Name, request.Source, request.ToOptions(), ct));

    public ValueTask<AddonReply> WithdrawAddonAsync(string name, CancellationToken ct) => AddonReply.OfAsync(() => agent.DetachAddonEverywhereAsync(name, ct));

    public ValueTask<AddonReply> DetachAddonAsync(string name, CancellationToken ct) => AddonReply.OfAsync(() => agent.DetachAddonAsync(name));

    public async ValueTask<int[]> WaitAsync(string id, CancellationToken ct) =>
        await agent.Spawner.WaitAsync(id, ct).ConfigureAwait(false) is { } exit
            ? [exit.Code, exit.Signal]
            : throw Missing(agent, id);

    internal static ArgumentException Missing(Agent agent, string id) => new($"the agent {agent.Url} has no process {id}", nameof(id));
}
