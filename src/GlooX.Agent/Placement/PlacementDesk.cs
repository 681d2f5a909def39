using GlooX.Bundles;
using GlooX.Contracts;
using GlooX.Hosts;
using GlooX.Payloads;
using GlooX.Processes;

namespace GlooX.Placement;

/// <summary>What one agent does of spawning that concerns other nodes as well: asks them, gets files to them, finds processes there.</summary>
internal sealed class PlacementDesk(Agent agent, string nodeId, Spawner spawner, HostPool hosts, BundleDesk bundles, StatusBoard board)
{
    private static readonly TimeSpan s_findTimeout = TimeSpan.FromSeconds(5);

    /// <summary>Ranks the nodes by what was last heard, then asks one after the other: each node's ledger is the only authority.</summary>
    public async Task<SpawnReply> SpawnAsync(SpawnRequest request, CancellationToken ct)
    {
        // Held as long as other nodes may fetch it from here.
        using BundleLease? held = bundles.Store.TryLease(request.Bundle);
        if (held is null)
        {
            return SpawnReply.Failed(agent.Url, $"the agent {agent.Url} has no bundle '{request.Bundle}'") with { NeedsBundle = true };
        }

        Provision need = request.Need();
        IReadOnlyList<NodeInfo> nodes = await board.NodesAsync(ct).ConfigureAwait(false);
        IReadOnlyList<NodeInfo> ranked = PlacementRule.Rank(nodes, nodeId, need, request.Strategy, out List<string> refusals);
        foreach (NodeInfo node in ranked)
        {
            SpawnRequest filled = request with { Source = agent.Url, Options = request.Options with { ParentUrl = request.Options.ParentUrl.Length > 0 ? request.Options.ParentUrl : node.Url, Ppid = node.Pid } };
            SpawnReply reply;
            try
            {
                reply = node.NodeId == nodeId
                    ? await SpawnHereAsync(filled, ct).ConfigureAwait(false)
                    : await agent.PeerAt(node.Url).SpawnHereAsync(filled, ct).ConfigureAwait(false);
            }
            catch (RpcException e) when (e.Method is null || e.Code == RpcError.ShuttingDown)
            {
                refusals.Add($"{node.Url} does not answer: {e.Message}"); // the call was never made
                continue;
            }
            catch (OperationCanceledException)
            {
                await AbandonAsync(request.Ticket, [node.Url], CancellationToken.None).ConfigureAwait(false);
                throw;
            }
            catch (RpcException e) when (e.Code == RpcError.Connection)
            {
                return SpawnReply.Failed(node.Url, $"the connection to {node.Url} broke while the process was starting there, and whether it runs is not known: {e.Message}");
            }

            if (!reply.Refused)
            {
                return reply;
            }

            refusals.Add($"{node.Url} {reply.Error}");
        }

        return SpawnReply.Failed(agent.Url, $"it fits on no node: {string.Join("; ", refusals)}");
    }

    /// <summary>Kills what a spawn has started that its caller gave up, here and on other nodes; those that do not answer are left alone.</summary>
    public async Task AbandonAsync(string ticket, IEnumerable<string> nodes, CancellationToken ct)
    {
        spawner.Abandon(ticket);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_findTimeout);
        await Task.WhenAll(nodes.Where(n => n != agent.Url).Select(async node =>
        {
            try
            {
                await agent.PeerAt(node).AbandonHereAsync(ticket, limit.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is RpcException or OperationCanceledException)
            {
                // its processes are in the list, and end with it
            }
        })).ConfigureAwait(false);
    }

    /// <summary>Gets the files here, then spawns on this node.</summary>
    public async Task<SpawnReply> SpawnHereAsync(SpawnRequest request, CancellationToken ct)
    {
        BundleLease bundle;
        try
        {
            bundle = await bundles.ObtainAsync(request.Bundle, request.Source == agent.Url ? "" : request.Source, ct).ConfigureAwait(false);
        }
        catch (BundleException e)
        {
            return new SpawnReply("", 0, agent.Url, "", $"cannot have the payload: {e.Message}", Refused: true);
        }

        SpawnRequest here = request with { Options = request.Options with { TmpDir = Path.GetTempPath() } };
        return await spawner.SpawnAsync(here, bundle, agent.Url, ct).ConfigureAwait(false);
    }

    /// <summary>Gets a payload's files to all nodes, and has them keep a host that has loaded it.</summary>
    public async Task<PrepareReply> PrepareAsync(PrepareRequest request, CancellationToken ct)
    {
        using BundleLease? held = bundles.Store.TryLease(request.Bundle);
        if (held is null)
        {
            return new PrepareReply([]) { NeedsBundle = true };
        }

        PrepareRequest filled = request with { Source = agent.Url };
        await PrepareHereAsync(filled, ct).ConfigureAwait(false);
        string?[] nodes = await Task.WhenAll(agent.Peers.Select(async peer =>
        {
            try
            {
                return await agent.PeerAt(peer).PrepareHereAsync(filled, ct).ConfigureAwait(false) ? peer : null;
            }
            catch (RpcException)
            {
                return null; // it went away, or spawns nothing
            }
        })).ConfigureAwait(false);
        return new PrepareReply([.. nodes.OfType<string>().Append(agent.Url).Order(StringComparer.Ordinal)]);
    }

    /// <summary>As <see cref="PrepareAsync"/>, on this node; false: it cannot have the files.</summary>
    public async Task<bool> PrepareHereAsync(PrepareRequest request, CancellationToken ct)
    {
        try
        {
            BundleLease bundle = await bundles.ObtainAsync(request.Bundle, request.Source == agent.Url ? "" : request.Source, ct).ConfigureAwait(false);
            if (request.Assembly.Length > 0)
            {
                hosts.Prepare(Path.Combine(bundle.Folder, request.Assembly), bundle);
            }
            else
            {
                bundle.Dispose();
            }

            return true;
        }
        catch (BundleException)
        {
            return false;
        }
    }

    /// <summary>A process of the grid, wherever it runs; nodes that do not answer within a moment count as without it.</summary>
    public async Task<ProcessInfo?> FindAsync(string id, CancellationToken ct)
    {
        if (spawner.Find(id, agent.Url) is { } here)
        {
            return here;
        }

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_findTimeout);
        ProcessInfo?[] found = await Task.WhenAll(agent.Peers.Select(async peer =>
        {
            try
            {
                return await agent.Service(peer).FindHereAsync(id, limit.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is RpcException || (e is OperationCanceledException && !ct.IsCancellationRequested))
            {
                return null;
            }
        })).ConfigureAwait(false);
        return found.FirstOrDefault(static p => p is not null);
    }
}
