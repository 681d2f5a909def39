using System.Collections.Concurrent;
using GlooX.Contracts;
using GlooX.Services;

namespace GlooX.Placement;

/// <summary>
/// The last known status of each node. Every node sends its status to all others when a reservation changed, and every few seconds, so a
/// spawn is placed without asking the nodes. A node without a known status is asked once; the status of a node that left is dropped.
/// </summary>
/// <param name="describe">This node.</param>
/// <param name="peers">The other members that are reachable.</param>
/// <param name="members">All members.</param>
/// <param name="service">The agent's service at an address.</param>
/// <param name="peer">The service for agents at an address.</param>
internal sealed class NodeStatusCache(
    Func<NodeInfo> describe, Func<IReadOnlyList<string>> peers, Func<IReadOnlyList<GridMember>> members, Func<string, IAgentService> service,
    Func<string, IPeerService> peer)
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_tellTimeout = TimeSpan.FromSeconds(2);
    private readonly ConcurrentDictionary<string, NodeInfo> _heard = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim _changed = new(0, 1);

    public void Hear(NodeInfo node) => _heard[node.Url] = node;

    public void OnGridChange(GridChange change)
    {
        if (change.Kind == GridChangeKind.Removed)
        {
            _heard.TryRemove(change.Member.Address, out _);
        }

        Changed();
    }

    /// <summary>The status of this node has changed: the others are told soon.</summary>
    public void Changed()
    {
        try
        {
            _changed.Release();
        }
        catch (SemaphoreFullException)
        {
            // the status is due already
        }
    }

    /// <summary>This node and all reachable peers, as last heard.</summary>
    public async Task<IReadOnlyList<NodeInfo>> NodesAsync(CancellationToken ct)
    {
        NodeInfo?[] others = await Task.WhenAll(peers().Select(async url =>
            _heard.TryGetValue(url, out NodeInfo? heard) ? heard : await AskAsync(url, ct).ConfigureAwait(false))).ConfigureAwait(false);
        return [.. others.OfType<NodeInfo>(), describe()];
    }

    /// <summary>As <see cref="NodesAsync"/>, with the members that are unreachable, ordered by URL.</summary>
    public async Task<NodeInfo[]> GridAsync(CancellationToken ct)
    {
        IReadOnlyList<NodeInfo> reachable = await NodesAsync(ct).ConfigureAwait(false);
        IEnumerable<NodeInfo> others = members().Select(static m => m.Address).Except(reachable.Select(static n => n.Url), StringComparer.Ordinal)
            .Select(url => _heard.TryGetValue(url, out NodeInfo? heard) ? heard : new NodeInfo(url, "", "", 0, 0, 0, 0, 0, 0, []));
        return [.. reachable.Concat(others.Select(static n => n with { State = NodeState.Unreachable })).OrderBy(static n => n.Url, StringComparer.Ordinal)];
    }

    /// <summary>Sends the status of this node to the others, until cancelled.</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        try
        {
            while (true)
            {
                await _changed.WaitAsync(TimerCoalescing.Round(s_interval, TimeProvider.System), ct).ConfigureAwait(false);
                IReadOnlyList<string> all = peers();
                if (all.Count > 0)
                {
                    NodeInfo mine = describe();
                    await Task.WhenAll(all.Select(url => TellAsync(url, mine, ct))).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // the agent stops
        }
    }

    private async Task<NodeInfo?> AskAsync(string url, CancellationToken ct)
    {
        try
        {
            NodeInfo info = await service(url).InfoAsync(ct).ConfigureAwait(false) with { Url = url }; // whatever it calls itself
            Hear(info);
            return info;
        }
        catch (RpcException)
        {
            return null; // the node went away meanwhile
        }
    }

    private async Task TellAsync(string url, NodeInfo mine, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_tellTimeout);
        try
        {
            await peer(url).StatusAsync(mine, limit.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (e is RpcException or ObjectDisposedException
            || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            // the node is told with the next status, or is gone
        }
    }
}
