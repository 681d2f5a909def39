using System.Runtime.CompilerServices;
using GlooX.Services;

namespace GlooX.Processes;

/// <summary>
/// What happens to processes, as it is told to one who asks this agent: of one process wherever it runs, or of all nodes that are
/// reachable. Nodes that join or come back are watched too.
/// </summary>
internal sealed class ProcessWatch(Agent agent, ProcessEvents events)
{
    private static readonly TimeSpan s_again = TimeSpan.FromSeconds(1);

    /// <summary>Of this node's processes, or of one of them until it has ended for good.</summary>
    /// <exception cref="ArgumentException">There is no such process here.</exception>
    public async IAsyncEnumerable<ProcessEvent[]> HereAsync(string? id, [EnumeratorCancellation] CancellationToken ct)
    {
        using ProcessEvents.Watcher watcher = events.Watch(id);
        if (id is not null && agent.Processes.Find(id) is null)
        {
            throw AgentService.Missing(agent, id);
        }

        // The process may have ended before it was watched.
        if (id is not null && agent.Processes.EndOf(id) is { } end)
        {
            yield return [new ProcessEvent(ProcessEventKind.Watching, end.Node, end.Time), end];
            yield break;
        }

        await foreach (ProcessEvent[] some in watcher.ReadAsync(ct).ConfigureAwait(false))
        {
            yield return some;
            if (id is not null && some[^1].Kind == ProcessEventKind.Exited)
            {
                yield break;
            }
        }
    }

    /// <summary>Of one process, wherever it runs, until it has ended for good; or of all nodes.</summary>
    /// <exception cref="ArgumentException">No node that answers has such a process.</exception>
    public async IAsyncEnumerable<ProcessEvent[]> EverywhereAsync(string? id, [EnumeratorCancellation] CancellationToken ct)
    {
        IAsyncEnumerable<ProcessEvent[]> source = id is null ? AllAsync(ct)
            : await agent.Placement.FindAsync(id, ct).ConfigureAwait(false) is not { } found ? throw AgentService.Missing(agent, id)
            : found.Node == agent.Url ? HereAsync(id, ct)
            : agent.Service(found.Node).WatchHereAsync(id, ct);
        await foreach (ProcessEvent[] some in source.ConfigureAwait(false))
        {
            yield return some;
        }
    }

    private async IAsyncEnumerable<ProcessEvent[]> AllAsync([EnumeratorCancellation] CancellationToken ct)
    {
        using ProcessEvents.Watcher watcher = events.Watch(null);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(ct);
        Task following = FollowPeersAsync(watcher, stop.Token);
        try
        {
            await foreach (ProcessEvent[] some in watcher.ReadAsync(ct).ConfigureAwait(false))
            {
                yield return some;
            }
        }
        finally
        {
            await stop.CancelAsync().ConfigureAwait(false);
            await following.ConfigureAwait(false);
        }
    }

    private async Task FollowPeersAsync(ProcessEvents.Watcher watcher, CancellationToken ct)
    {
        Dictionary<string, Task> followed = new(StringComparer.Ordinal);
        using var changed = new SemaphoreSlim(1);
        agent.Changed += Wake;
        try
        {
            while (true)
            {
                await changed.WaitAsync(s_again, ct).ConfigureAwait(false);
                foreach (string peer in agent.Peers.Where(p => !followed.TryGetValue(p, out Task? line) || line.IsCompleted))
                {
                    followed[peer] = FollowAsync(peer, watcher, ct);
                }
            }
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // the watch has ended
        }
        finally
        {
            agent.Changed -= Wake;
            await Task.WhenAll(followed.Values).ConfigureAwait(false);
        }

        void Wake(object? sender, GridChange change)
        {
            try
            {
                changed.Release();
            }
            catch (ObjectDisposedException)
            {
                // the watch has just ended
            }
        }
    }

    private async Task FollowAsync(string peer, ProcessEvents.Watcher watcher, CancellationToken ct)
    {
        bool isWatched = false;
        try
        {
            await foreach (ProcessEvent[] some in agent.Service(peer).WatchHereAsync(null, ct).ConfigureAwait(false))
            {
                isWatched = true;
                Array.ForEach(some, watcher.Offer);
            }
        }
        catch (Exception e) when (e is RpcException or ObjectDisposedException
            || (e is OperationCanceledException && ct.IsCancellationRequested))
        {
            // the peer went away, or the watch has ended
        }

        if (isWatched)
        {
            watcher.Offer(new ProcessEvent(ProcessEventKind.Lost, peer, DateTimeOffset.UtcNow));
        }
    }
}
