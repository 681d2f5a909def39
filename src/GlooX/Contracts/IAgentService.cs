using GlooX.Slots;

namespace GlooX.Contracts;

/// <summary>What every agent answers to other agents and clients; the service named <c>agent</c>.</summary>
[RpcService]
internal interface IAgentService
{
    public const string ServiceName = "agent";

    /// <summary>True: it answers.</summary>
    [Rpc("alive?")]
    ValueTask<bool> AliveAsync(CancellationToken ct = default);

    [Rpc("info")]
    ValueTask<NodeInfo> InfoAsync(CancellationToken ct = default);

    /// <summary>All nodes of the grid as this one knows them.</summary>
    [Rpc("nodes")]
    ValueTask<NodeInfo[]> NodesAsync(CancellationToken ct = default);

    /// <summary>The processes of this node.</summary>
    [Rpc("list")]
    ValueTask<ProcessInfo[]> ListAsync(CancellationToken ct = default);

    /// <summary>How many processes of a kind this node has room for.</summary>
    [Rpc("slots")]
    ValueTask<SlotCount> SlotsAsync(
        long memoryBytes, long diskBytes, Dictionary<string, decimal> resources, int? maxPerNode, string kind,
        CancellationToken ct = default);

    /// <summary>Spawns on the node of the grid with the most room.</summary>
    [Rpc("spawn", TimeoutMilliseconds = 600_000)]
    ValueTask<SpawnReply> SpawnAsync(SpawnRequest request, CancellationToken ct = default);

    /// <summary>Gets a payload's files to all nodes of the grid, and has them keep a host that has loaded it.</summary>
    [Rpc("prepare", TimeoutMilliseconds = 600_000)]
    ValueTask<PrepareReply> PrepareAsync(PrepareRequest request, CancellationToken ct = default);

    /// <summary>
    /// The caller of a spawn has its answer and keeps the process; false: the process was ended, as it was not claimed in time.
    /// </summary>
    [Rpc("claim", Idempotent = true)]
    ValueTask<bool> ClaimAsync(string ticket, CancellationToken ct = default);

    /// <summary>Kills what a spawn has started, wherever in the grid, that its caller gave up.</summary>
    [Rpc("abandon")]
    ValueTask AbandonAsync(string ticket, CancellationToken ct = default);

    /// <summary>Kills a process of this node; false: there is no such process.</summary>
    [Rpc("kill")]
    ValueTask<bool> KillAsync(string id, CancellationToken ct = default);

    /// <summary>Asks a process of this node to end, and kills it after the grace; false: there is no such process.</summary>
    [Rpc("stop")]
    ValueTask<bool> StopAsync(string id, long graceMilliseconds, CancellationToken ct = default);

    /// <summary>A process of the grid, also one that has ended not long ago; null: there is no such process.</summary>
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

    /// <summary>Nodes and certificates that are refused from now on, in the whole grid.</summary>
    [Rpc("revoke")]
    ValueTask<RevokedTarget[]> RevokeAsync(string[] targets, CancellationToken ct = default);

    /// <summary>Nodes and certificates that were revoked and are accepted again, in the whole grid.</summary>
    [Rpc("allow")]
    ValueTask<RevokedTarget[]> AllowAsync(string[] targets, CancellationToken ct = default);

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
