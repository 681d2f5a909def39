using GlooX.Channels.Replication;
using GlooX.Channels.Storage;
using GlooX.Contracts;
using GlooX.Grid;
using GlooX.Processes;
using GlooX.Trust;
using Microsoft.Extensions.Logging;

namespace GlooX.Channels;

/// <summary>
/// Drives the replicator with messages, members and time, and gives what comes out to peers, readers and the disk. One lock guards the
/// state; under it nothing waits, and nobody's code runs. Nothing here depends on the membership's engine: it may restart at any time.
/// </summary>
internal sealed class ReplicationLoop : IAsyncDisposable
{
    private static readonly TimeSpan s_tick = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_rest = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_calm = TimeSpan.FromSeconds(5);
    private readonly Func<IReadOnlyList<GridMember>> _members;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Dictionary<Replica, List<ChangeQueue>> _readers = [];
    private readonly List<Subscription> _begun = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly CancellationToken _stopped;
    private readonly TaskCompletionSource _synced = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ITimer? _timer;
    private TimeSpan _pace = Timeout.InfiniteTimeSpan;
    private TaskCompletionSource _listed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _drifts;

    public ReplicationLoop(
        string nodeId,
        Func<IReadOnlyList<GridMember>> members,
        Func<string, IChannelService> connect,
        StateFile? state,
        ILogger logger)
    {
        Core = new Replicator(AgentId.Number(nodeId), new ReplicatorOptions(), new Random());
        _members = members;
        _logger = logger;
        _time = TimeProvider.System;
        _stopped = _stop.Token;
        Links = new PeerLinks(Gate, Core, connect, logger, _time, _stopped);
        Confirmations = new Confirmations(Gate, Core, Links, _time);
        if (state is not null)
        {
            Store = new ChannelStore(Gate, Core, state, _time, logger);
            lock (Gate)
            {
                Store.Start();
                Drain();
            }
        }
    }

    /// <summary>What is to be done once the lock is left.</summary>
    /// <param name="Messages">For single members.</param>
    /// <param name="First">A subscription that has begun and must be run.</param>
    /// <param name="Others">The other ones.</param>
    public readonly record struct Drained(List<(PeerLink Link, byte[] Message)>? Messages, Subscription? First, Subscription[] Others)
    {
        /// <summary>One may run on this thread if it can be spared: a handler that blocks holds up nobody else then.</summary>
        public void Run(bool canSpare)
        {
            Array.ForEach(Others, static s => s.RunSoon());
            if (canSpare)
            {
                First?.RunHere();
            }
            else
            {
                First?.RunSoon();
            }
        }
    }

    /// <summary>Guards <see cref="Core"/> and everything that it holds.</summary>
    public Lock Gate { get; } = new();

    public Replicator Core { get; }

    public PeerLinks Links { get; }

    public Confirmations Confirmations { get; }

    /// <summary>Null: nothing is kept on disk.</summary>
    public ChannelStore? Store { get; }

    public Instant Now => Instant.Of(_time);

    public bool IsStopping => _stopped.IsCancellationRequested;

    public bool HasSynced => _synced.Task.IsCompleted;

    public bool IsAlone => _members().Count <= 1;

    public void Start()
    {
        lock (Gate)
        {
            _timer = _time.CreateTimer(static loop => ((ReplicationLoop)loop!).OnTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            SetTimer(s_tick);
        }
    }

    /// <summary>Until the channels were compared with another node's, or the time is over.</summary>
    public async Task SyncedAsync(TimeSpan limit, CancellationToken ct)
    {
        try
        {
            await _synced.Task.WaitAsync(limit, _time, ct).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            _logger.NotSynced(limit.TotalSeconds);
        }
    }

    /// <summary>Completes when a channel is created or removed next.</summary>
    public Task NextListing()
    {
        lock (Gate)
        {
            return _listed.Task;
        }
    }

    /// <summary>Gives a queue the changes of a channel from now on. Under the lock.</summary>
    public void Read(Replica replica, ChangeQueue queue)
    {
        if (!_readers.TryGetValue(replica, out List<ChangeQueue>? queues))
        {
            _readers[replica] = queues = [];
        }

        queue.Skipped ??= new SkippedChanges(replica.Name, _logger);
        queues.Add(queue);
    }

    public void Stop(ChangeQueue queue)
    {
        lock (Gate)
        {
            foreach ((Replica replica, List<ChangeQueue> queues) in _readers)
            {
                if (queues.Remove(queue) && queues.Count == 0)
                {
                    _readers.Remove(replica);
                    break;
                }
            }
        }

        queue.Close();
    }

    /// <summary>A message of another node. The thread is that of a call, which whoever has more for it can do without.</summary>
    /// <param name="message">The message; its sender must be an agent of the node that sent it.</param>
    /// <param name="caller">Who sent it, for the log.</param>
    /// <param name="node">The node in the caller's certificate.</param>
    public void Receive(byte[] message, string caller, string? node)
    {
        if (_stopped.IsCancellationRequested)
        {
            return;
        }

        if (Messages.SenderOf(message) is not { } sender || !AgentId.IsOf(sender, node))
        {
            _logger.SpokeForAnother(caller, node);
            return;
        }

        Drained drained;
        lock (Gate)
        {
            try
            {
                Core.Receive(message, Now);
            }
            catch (InvalidDataException e)
            {
                _logger.Malformed(caller, e.Message);
            }

            drained = Drain();
        }

        Send(drained, isBrought: true);
    }

    /// <summary>Membership has changed, or some time has passed.</summary>
    public void Look()
    {
        if (_stopped.IsCancellationRequested)
        {
            return;
        }

        IReadOnlyList<GridMember> members = _members();
        lock (Gate)
        {
            List<(ulong, bool)> present = [];
            foreach (GridMember member in members)
            {
                ulong node = AgentId.Number(member.NodeId);
                if (node == Core.Self || member.NodeId.Length == 0)
                {
                    continue;
                }

                present.Add((node, member.Reachable));
                Links.Add(node, member.Address);
            }

            Links.KeepOnly([.. present.Select(p => p.Item1)]);
            Core.SetMembers(present, Now);
            Core.Tick(Now);
            if (Core.DriftsSeen > _drifts)
            {
                if (_drifts == 0)
                {
                    _logger.Drift();
                }

                _drifts = Core.DriftsSeen;
            }
        }

        SendDrained();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        if (_timer is { } timer)
        {
            await timer.DisposeAsync().ConfigureAwait(false);
        }

        lock (Gate)
        {
            foreach (ChangeQueue queue in _readers.Values.SelectMany(q => q))
            {
                queue.Close();
            }

            _readers.Clear();
        }

        if (Store is not null)
        {
            await Store.DisposeAsync().ConfigureAwait(false);
        }

        _stop.Dispose();
    }

    private void OnTimer()
    {
        try
        {
            Look();
        }
#pragma warning disable CA1031 // The next look may do better; there must be one. The failure is logged.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _logger.Stumbled(e);
        }

        lock (Gate)
        {
            (_pace, TimeSpan pace) = (Timeout.InfiniteTimeSpan, _pace);
            SetTimer(pace);
        }
    }

    // Under the lock.
    private void SetTimer(TimeSpan pace)
    {
        if (pace != _pace)
        {
            _pace = pace;
            _timer?.Change(pace < s_rest ? pace : TimerCoalescing.Round(pace, _time), Timeout.InfiniteTimeSpan);
        }
    }

    /// <summary>Hands on what the core has left, and sends what is due. Not under the lock.</summary>
    public void SendDrained()
    {
        Drained drained;
        lock (Gate)
        {
            drained = Drain();
        }

        Send(drained);
    }

    public void Send(in Drained drained, bool isBrought = false)
    {
        try
        {
            foreach ((PeerLink link, byte[] message) in drained.Messages ?? [])
            {
                link.Send(message);
            }

            Links.Flush();
        }
        finally
        {
            drained.Run(isBrought); // others first: their handlers are as important, and their way is longer
        }
    }

    /// <summary>Takes what the core has left. Under the lock.</summary>
    public Drained Drain()
    {
        SetTimer(Core.IsRestless ? s_tick : Core.IsCalm ? s_calm : s_rest);
        foreach (Change change in Core.Changes)
        {
            if (ReferenceEquals(change.Replica, Core.Directory))
            {
                _listed.TrySetResult();
                _listed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            }

            if (_readers.TryGetValue(change.Replica, out List<ChangeQueue>? queues))
            {
                foreach (ChangeQueue queue in queues)
                {
                    if (queue.Offer(change))
                    {
                        _begun.Add(queue.Owner!);
                    }
                }
            }
        }

        Core.Changes.Clear();
        Subscription? first = _begun.Count > 0 ? _begun[0] : null;
        Subscription[] others = _begun.Count > 1 ? [.. _begun.Skip(1)] : [];
        _begun.Clear();
        Store?.Changed();
        Core.Kept.Clear(); // without a store nothing is kept

        foreach (Replica removed in Core.Removed)
        {
            if (_readers.Remove(removed, out List<ChangeQueue>? queues))
            {
                queues.ForEach(q => q.Close());
            }

            Store?.Removed(removed);
            Confirmations.Removed(removed);
        }

        Core.Removed.Clear();
        if (Core.AcknowledgementsChanged)
        {
            Core.AcknowledgementsChanged = false;
            Confirmations.Changed();
        }

        if (!_synced.Task.IsCompleted && Core.IsSynced)
        {
            _synced.TrySetResult();
        }

        if (Core.Outbox.Count == 0)
        {
            return new Drained(null, first, others);
        }

        List<(PeerLink, byte[])> messages = new(Core.Outbox.Count);
        foreach ((ulong to, byte[] message) in Core.Outbox)
        {
            if (Links.Find(to) is { } link)
            {
                messages.Add((link, message));
            }
        }

        Core.Outbox.Clear();
        return new Drained(messages, first, others);
    }}
