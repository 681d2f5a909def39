using GlooX.Bundles;
using GlooX.Contracts;
using GlooX.Hosts;
using GlooX.Payloads;
using GlooX.Processes;
using GlooX.Services;
using Microsoft.Extensions.Logging;

namespace GlooX.Placement;

/// <summary>
/// Places spawns: ranks the nodes by their last known state and asks one after the other until a node starts the process. Finds processes, and gets
/// the files of payloads to other nodes. A node that falls silent is passed over; the process that it may have started is ended there, as nobody claims it.
/// </summary>
internal sealed class SpawnCoordinator : IAsyncDisposable
{
    private const int MaxAttempts = 5;
    private static readonly TimeSpan s_again = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan s_findTimeout = TimeSpan.FromSeconds(5);
    private readonly Agent _agent;
    private readonly string _nodeId;
    private readonly Spawner _spawner;
    private readonly HostPool _hosts;
    private readonly BundleProvider _bundles;
    private readonly NodeStatusCache _board;
    private readonly SpawnTickets _asked; // by clients of this agent, for any node
    private readonly SpawnTickets _here; // by other agents, for this node

    public SpawnCoordinator(Agent agent, string nodeId, Spawner spawner, HostPool hosts, BundleProvider bundles, NodeStatusCache board, ILogger logger)
    {
        (_agent, _nodeId, _spawner, _hosts, _bundles, _board) = (agent, nodeId, spawner, hosts, bundles, board);
        _asked = new SpawnTickets((ticket, reply) => EndAsync(ticket, reply is { Id.Length: > 0 } ? [reply.Node] : [agent.Url, .. agent.Peers]), logger);
        _here = new SpawnTickets((ticket, _) => EndAsync(ticket, [agent.Url]), logger);
    }

    /// <summary>Spawns on the best node of the grid; asked again under the same ticket, it gives the same answer.</summary>
    public Task<SpawnReply> SpawnAsync(SpawnRequest request, CancellationToken ct) => _asked.RunAsync(request.Ticket, end => PlaceAsync(request, end), ct);

    /// <summary>Spawns on this node for another agent; asked again under the same ticket, it gives the same answer.</summary>
    public Task<SpawnReply> SpawnForPeerAsync(SpawnRequest request, CancellationToken ct) => _here.RunAsync(request.Ticket, end => SpawnHereAsync(request, end), ct);

    public bool Claim(string ticket) => _asked.Claim(ticket);

    public bool ClaimHere(string ticket) => _here.Claim(ticket);

    public Task AbandonAsync(string ticket) => _asked.AbandonAsync(ticket);

    public Task AbandonHereAsync(string ticket) => _here.AbandonAsync(ticket);

    public async ValueTask DisposeAsync()
    {
        await _asked.DisposeAsync().ConfigureAwait(false);
        await _here.DisposeAsync().ConfigureAwait(false);
    }

    // Each node's ledger is the only authority: its refusal leads to the next.
    private async Task<SpawnReply> PlaceAsync(SpawnRequest request, CancellationToken ct)
    {
        if (request.Fault() is { } fault)
        {
            return SpawnReply.Failed(_agent.Url, fault);
        }

        using BundleLease? lease = _bundles.Store.TryLease(request.Bundle); // held as long as other nodes may fetch it from here
        if (lease is null)
        {
            return SpawnReply.Failed(_agent.Url, $"the agent {_agent.Url} has no bundle '{request.Bundle}'") with { NeedsBundle = true };
        }

        IReadOnlyList<NodeInfo> nodes = await _board.NodesAsync(ct).ConfigureAwait(false);
        IReadOnlyList<NodeInfo> ranked = PlacementRule.Rank(nodes, _nodeId, request.Need(), request.Strategy, out List<string> refusals);
        foreach (NodeInfo node in ranked)
        {
            string parent = request.Options.ParentUrl.Length > 0 ? request.Options.ParentUrl : node.Url;
            SpawnRequest filled = request with { Source = _agent.Url, Options = request.Options with { ParentUrl = parent, Ppid = node.Pid } };
            SpawnReply reply = node.NodeId == _nodeId ? await SpawnHereAsync(filled, ct).ConfigureAwait(false) : await AskAsync(node, filled, ct).ConfigureAwait(false);
            if (reply.Outcome != SpawnOutcome.TryElsewhere)
            {
                return reply;
            }

            refusals.Add($"{node.Url} {reply.Error}");
        }

        return SpawnReply.Failed(_agent.Url, $"it fits on no node: {string.Join("; ", refusals)}");
    }

    // A connection that breaks while the process starts is made again: the ticket makes it the same process.
    private async Task<SpawnReply> AskAsync(NodeInfo node, SpawnRequest request, CancellationToken ct)
    {
        IPeerService peer = _agent.PeerAt(node.Url);
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                SpawnReply reply = await peer.SpawnHereAsync(request, ct).ConfigureAwait(false);
                return reply.Outcome != SpawnOutcome.Started || await peer.ClaimHereAsync(request.Ticket, ct).ConfigureAwait(false)
                    ? reply
                    : SpawnReply.Elsewhere(node.Url, "ended the process, as this agent was away for too long");
            }
            catch (OperationCanceledException)
            {
                await EndAsync(request.Ticket, [node.Url]).ConfigureAwait(false);
                throw;
            }
            catch (RpcException e) when (e.Code == RpcError.Connection && e.Method is not null && attempt < MaxAttempts && _agent.Peers.Contains(node.Url))
            {
                await Task.Delay(s_again, ct).ConfigureAwait(false);
            }
            catch (RpcException e)
            {
                await EndAsync(request.Ticket, [node.Url]).ConfigureAwait(false);
                return SpawnReply.Elsewhere(node.Url, $"does not answer: {e.Message}");
            }
        }
    }

    // Nodes that do not answer are left alone: they end by themselves what nobody claims.
    private async Task EndAsync(string ticket, IEnumerable<string> nodes)
    {
        using var limit = new CancellationTokenSource(s_findTimeout);
        await Task.WhenAll(nodes.Select(async node =>
        {
            if (node == _agent.Url)
            {
                _spawner.Abandon(ticket);
                return;
            }

            try
            {
                await _agent.PeerAt(node).AbandonHereAsync(ticket, limit.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is RpcException or OperationCanceledException or ObjectDisposedException)
            {
                // as above
            }
        })).ConfigureAwait(false);
    }

    /// <summary>Gets the files here, then spawns on this node.</summary>
    private async Task<SpawnReply> SpawnHereAsync(SpawnRequest request, CancellationToken ct)
    {
        BundleLease bundle;
        try
        {
            bundle = await _bundles.ObtainAsync(request.Bundle, request.Source == _agent.Url ? "" : request.Source, ct).ConfigureAwait(false);
        }
        catch (BundleException e)
        {
            return SpawnReply.Elsewhere(_agent.Url, $"cannot have the payload: {e.Message}");
        }

        SpawnRequest here = request with { Options = request.Options with { TmpDir = Path.GetTempPath(), Url = _agent.Address.ForProcess(request) } };
        return await _spawner.SpawnAsync(here, bundle, _agent.Url, ct).ConfigureAwait(false);
    }

    /// <summary>Gets a payload's files to all nodes, and has them keep a host that has loaded it.</summary>
    public async Task<PrepareReply> PrepareAsync(PrepareRequest request, CancellationToken ct)
    {
        using BundleLease? held = _bundles.Store.TryLease(request.Bundle);
        if (held is null)
        {
            return new PrepareReply([]) { NeedsBundle = true };
        }

        PrepareRequest filled = request with { Source = _agent.Url };
        await PrepareHereAsync(filled, ct).ConfigureAwait(false);
        string?[] nodes = await Task.WhenAll(_agent.Peers.Select(async peer =>
        {
            try
            {
                return await _agent.PeerAt(peer).PrepareHereAsync(filled, ct).ConfigureAwait(false) ? peer : null;
            }
            catch (RpcException)
            {
                return null; // it went away, or spawns nothing
            }
        })).ConfigureAwait(false);
        return new PrepareReply([.. nodes.OfType<string>().Append(_agent.Url).Order(StringComparer.Ordinal)]);
    }

    /// <summary>As <see cref="PrepareAsync"/>, on this node; false: it cannot have the files.</summary>
    public async Task<bool> PrepareHereAsync(PrepareRequest request, CancellationToken ct)
    {
        try
        {
            BundleLease bundle = await _bundles.ObtainAsync(request.Bundle, request.Source == _agent.Url ? "" : request.Source, ct).ConfigureAwait(false);
            if (request.Assembly.Length > 0)
            {
                _hosts.Prepare(Path.Combine(bundle.Folder, request.Assembly), bundle);
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
        if (_spawner.Find(id, _agent.Url) is { } here)
        {
            return here;
        }

        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_findTimeout);
        ProcessInfo?[] found = await Task.WhenAll(_agent.Peers.Select(async peer =>
        {
            try
            {
                return await _agent.Service(peer).FindHereAsync(id, limit.Token).ConfigureAwait(false);
            }
            catch (Exception e) when (e is RpcException || (e is OperationCanceledException && !ct.IsCancellationRequested))
            {
                return null;
            }
        })).ConfigureAwait(false);
        return found.FirstOrDefault(static p => p is not null);
    }
}
