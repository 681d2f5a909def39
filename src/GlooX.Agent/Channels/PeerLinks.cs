using GlooX.Channels.Replication;
using GlooX.Contracts;
using Microsoft.Extensions.Logging;

namespace GlooX.Channels;

/// <summary>The other nodes that an agent's channels are sent to. <paramref name="gate"/> guards the core and the list.</summary>
internal sealed class PeerLinks(
    Lock gate, Replicator core, Func<string, IChannelService> connect, ILogger logger, TimeProvider time, CancellationToken stop)
{
    // How often one writer sends what others wrote, before somebody else does.
    private const int MostTurns = 16;
    private static readonly TimeSpan s_roomTimeout = TimeSpan.FromSeconds(2);
    private readonly Dictionary<ulong, PeerLink> _links = [];
    private PeerLink[] _all = [];
    private TaskCompletionSource? _room;
    private int _flushing;

    /// <summary>Whether some node is so far behind that writers are to wait.</summary>
    public bool IsCrowded => Array.Exists(_all, static l => l.IsCrowded);

    public int Count => _all.Length;

    /// <summary>Under the lock.</summary>
    public PeerLink? Find(ulong node) => _links.GetValueOrDefault(node);

    /// <summary>A node that is at this address now. Under the lock; takes effect with <see cref="KeepOnly"/>.</summary>
    public void Add(ulong node, string address)
    {
        if (!_links.TryGetValue(node, out PeerLink? link) || link.Address != address)
        {
            _links[node] = new PeerLink(address, connect(address), logger, RoomMade, stop);
        }
    }

    /// <summary>Drops all other nodes. Under the lock.</summary>
    public void KeepOnly(HashSet<ulong> nodes)
    {
        foreach (ulong gone in _links.Keys.Where(n => !nodes.Contains(n)).ToArray())
        {
            _links.Remove(gone);
        }

        _all = [.. _links.Values];
    }

    /// <summary>
    /// Sends the writes that wait, on the thread of whoever wrote. While one does, the writes of others gather, and he takes them along:
    /// under load messages grow instead of getting more. Not under the lock.
    /// </summary>
    public void Flush()
    {
        for (int turns = 0; Volatile.Read(ref core.PendingCount) > 0 && Interlocked.CompareExchange(ref _flushing, 1, 0) == 0; turns++)
        {
            IReadOnlyList<PendingBatch> batches;
            PeerLink[] links;
            long now;
            lock (gate)
            {
                (batches, links, now) = (core.TakePending(), _all, Instant.Of(time).Mono);
            }

            try
            {
                if (links.Length > 0)
                {
                    foreach (byte[] message in Messages.Encode(core.Self, batches, now))
                    {
                        foreach (PeerLink link in links)
                        {
                            link.Send(message);
                        }
                    }
                }
            }
            finally
            {
                // A full fence: whoever wrote in between either sees this, or is seen by the next look.
                Interlocked.Exchange(ref _flushing, 0);
            }

            if (turns == MostTurns)
            {
                ThreadPool.UnsafeQueueUserWorkItem(static h => h.Flush(), this, preferLocal: false);
                return;
            }
        }
    }

    /// <summary>Until peers have taken some of what waits for them, or for so long that they must pull it later.</summary>
    public async Task RoomAsync(CancellationToken ct)
    {
        TaskCompletionSource room;
        lock (gate)
        {
            if (!IsCrowded)
            {
                return;
            }

            room = _room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        try
        {
            await room.Task.WaitAsync(s_roomTimeout, time, ct).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            // the peer is too slow: it is told no more, and catches up by itself
        }
    }

    private void RoomMade()
    {
        TaskCompletionSource? room;
        lock (gate)
        {
            (room, _room) = (_room, null);
        }

        room?.TrySetResult();
    }
}
