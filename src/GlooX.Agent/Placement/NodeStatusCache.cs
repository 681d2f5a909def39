using System.Collections.Concurrent;
using GlooX.Contracts;
using GlooX.Services;

namespace GlooX.Placement;

/// <summary>
/// What each node last said of itself. Every node tells all others when a reservation changed, and every few seconds anyhow, so that a
/// spawn decides without asking around. A node that was never heard is asked once; one that left is forgotten.
/// </summary>
/// <param name="describe">This node.</param>
/// <param name="peers">The other members that are reachable.</param>
/// <param name="members">All members.</param>
/// <param name="service">The agent's service at an address.</param>
/// <param name="peer">The service for agents at an address.</param>
internal sealed class NodeStatusCache(
    Func<NodeInfo> describe, Func<IReadOnlyList<string>> peers, Func<IReadOnlyList<GridMember>> members, Func<string, IAgentService> service, Func<string, IPeerService> peer)
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

    /// <summary>Something that others should know has changed.</summary>
    public void Changed()
    {
        try
        {
            _changed.Release();
        }
        catch (SemaphoreFullException)
        {
            // a telling is due already
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
        IEnumerable<NodeInfo> others = members().Select(static m => m.Address).Except(reachable.Select(static n => n.Url), StringComparer.Ordinal).Select(url =>
            (_heard.TryGetValue(url, out NodeInfo? heard) ? heard : new NodeInfo(url, "", "", 0, 0, 0, 0, 0, 0, [])) with { State = NodeState.Unreachable });
        return [.. reachable.Concat(others).OrderBy(static n => n.Url, StringComparer.Ordinal)];
    }

    /// <summary>Tells the others, until cancelled.</summary>
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
            NodeInfo info = await service(url).InfoAsync(ct).ConfigureAwait(false);
            Hear(info);
            return info;
        }
        catch (RpcException)
        {
            return null; // it went away between the look and the call
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
        catch (Exception e) when (e is RpcException or ObjectDisposedException || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            // it is told again at the next turn, or it is gone
        }
    }
}
