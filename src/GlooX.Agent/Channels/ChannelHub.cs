using System.Globalization;
using GlooX.Channels.Replication;
using GlooX.Channels.Storage;
using GlooX.Contracts;
using GlooX.Processes;
using Microsoft.Extensions.Logging;

namespace GlooX.Channels;

/// <summary>
/// The channels of one agent: drives the replicator with calls, messages, members and time, and gives what comes out to peers, readers and
/// the disk. One lock guards the state; under it nothing waits, and nobody's code runs. Nothing here depends on the membership's engine: it
/// may restart at any time.
/// </summary>
internal sealed class ChannelHub : IAsyncDisposable
{
    private static readonly TimeSpan s_tick = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_rest = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_calm = TimeSpan.FromSeconds(5);
    private readonly Lock _gate = new();
    private readonly Replicator _core;
    private readonly Func<IReadOnlyList<GridMember>> _members;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly ChannelStore? _store;
    private readonly PeerLinks _links;
    private readonly Confirmations _confirmations;
    private readonly Dictionary<Replica, List<ChangeQueue>> _readers = [];
    private readonly List<Subscription> _begun = [];
    private readonly CancellationTokenSource _stop = new();
    private readonly CancellationToken _stopped;
    private readonly TaskCompletionSource _synced = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ITimer? _timer;
    private TimeSpan _pace = Timeout.InfiniteTimeSpan;
    private TaskCompletionSource _listed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _drifts;

    public ChannelHub(
        string nodeId, Func<IReadOnlyList<GridMember>> members, Func<string, IChannelService> connect, StateFile? state, ILogger logger, TimeProvider? time = null, ReplicatorOptions? options = null)
    {
        _core = new Replicator(NumberOf(nodeId), options ?? new ReplicatorOptions(), new Random());
        _members = members;
        _logger = logger;
        _time = time ?? TimeProvider.System;
        _stopped = _stop.Token;
        _links = new PeerLinks(_gate, _core, connect, logger, _time, _stopped);
        _confirmations = new Confirmations(_gate, _core, _links, _time);
        if (state is not null)
        {
            _store = new ChannelStore(_gate, _core, state, _time, logger);
            lock (_gate)
            {
                _store.Start();
                Drain();
            }
        }
    }

    /// <summary>What is to be done once the lock is left.</summary>
    /// <param name="Messages">For single members.</param>
    /// <param name="First">A subscription that has begun and must be run.</param>
    /// <param name="Others">The other ones.</param>
    private readonly record struct Drained(List<(PeerLink Link, byte[] Message)>? Messages, Subscription? First, Subscription[] Others)
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

    private Instant Now => Instant.Of(_time);

    public bool IsStopping => _stopped.IsCancellationRequested;

    public void Start()
    {
        lock (_gate)
        {
            _timer = _time.CreateTimer(static hub => ((ChannelHub)hub!).OnTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
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

    public IReadOnlyList<string> Names()
    {
        lock (_gate)
        {
            return [.. _core.Channels.Keys];
        }
    }

    /// <summary>Completes when a channel is created or removed next.</summary>
    public Task NextListing()
    {
        lock (_gate)
        {
            return _listed.Task;
        }
    }

    public ChannelSpec Spec(string channel)
    {
        lock (_gate)
        {
            return Find(channel).Spec;
        }
    }

    public async Task CreateAsync(string channel, ChannelOptions? options, CancellationToken ct)
    {
        ChannelSpec spec = (options ?? new ChannelOptions()).ToSpec();
        ChannelLimits.CheckKey(channel, ChannelSpec.Default, "a channel's name", channel);
        if (options is { Durability: not ChannelDurability.Memory } && _store is null)
        {
            throw new ArgumentException($"channel '{channel}' cannot be durable: this agent has no data folder (AgentOptions.DataFolder, gloox agent --data)", nameof(options));
        }

        // Who has just joined must first hear which channels there are, and were.
        if (!_synced.Task.IsCompleted && _members().Count > 1)
        {
            await SyncedAsync(TimeSpan.FromSeconds(5), ct).ConfigureAwait(false);
        }

        Replica? known;
        Entry? entry = null;
        lock (_gate)
        {
            known = _core.Find(channel);
            if (known is null)
            {
                entry = _core.Create(channel, spec, Now);
            }
        }

        if (entry is not null)
        {
            SendDrained();
            await StoredAsync(spec, channel, ct).ConfigureAwait(false);
            await FinishAsync(_core.Directory, entry.Sequence, ChannelWriteOptions.Default, AckLevel.All, ct).ConfigureAwait(false);
        }
        else if (options is not null && known!.Spec with { Generation = 1 } != spec)
        {
            throw new ChannelException(ChannelError.OptionsDiffer, channel, $"it exists with other options: {known.Spec.ToOptions()}");
        }
    }

    public async Task<bool> RemoveAsync(string channel, CancellationToken ct)
    {
        if (channel == Replicator.BuiltIn)
        {
            throw new ChannelException(ChannelError.BuiltIn, channel, "it is always there and cannot be removed");
        }

        Entry entry;
        ChannelSpec spec;
        lock (_gate)
        {
            if (channel.Length == 0 || _core.Find(channel) is not { } replica)
            {
                return false;
            }

            spec = replica.Spec;
            entry = _core.Remove(channel, Now);
        }

        SendDrained();
        await StoredAsync(spec, channel, ct).ConfigureAwait(false);
        await FinishAsync(_core.Directory, entry.Sequence, ChannelWriteOptions.Default, AckLevel.All, ct).ConfigureAwait(false);
        return true;
    }

    /// <summary>Sets or, without a value, deletes. False: there was nothing to delete, or it was not the expected write.</summary>
    public ValueTask<bool> WriteAsync(string channel, string key, byte[]? value, ChannelWriteOptions options, Stamp? expected, CancellationToken ct)
    {
        Entry? entry;
        Replica replica;
        Drained drained;
        lock (_gate)
        {
            replica = Find(channel);
            bool exists = replica.TryGet(key, out _, out Stamp version);
            if ((expected is { } e && (version != e || (e == default && exists))) || (value is null && !exists))
            {
                return new(false);
            }

            entry = WriteOne(replica, key, value, options);
            drained = Drain();
        }

        Send(drained);
        AckLevel level = Level(replica, options);
        return IsDone(replica, level) ? new(true) : TrueAfterAsync(FinishAsync(replica, entry.Sequence, options, level, ct));
    }

    public ValueTask WriteManyAsync(string channel, IReadOnlyList<KeyValuePair<string, byte[]>> entries, ChannelWriteOptions options, CancellationToken ct)
    {
        ulong last = 0;
        Replica replica;
        Drained drained;
        lock (_gate)
        {
            replica = Find(channel);
            ChannelLimits.Check(replica, entries); // all or nothing
            foreach ((string key, byte[] value) in entries)
            {
                last = WriteOne(replica, key, value, options).Sequence;
            }

            drained = Drain();
        }

        Send(drained);
        return last == 0 ? default : FinishAsync(replica, last, options, Level(replica, options), ct);
    }

    public async ValueTask<long> AddAsync(string channel, string key, long delta, ChannelWriteOptions options, CancellationToken ct)
    {
        Replica replica;
        Entry entry;
        long sum;
        Drained drained;
        lock (_gate)
        {
            replica = Find(channel);
            ChannelLimits.CheckKey(key, replica.Spec, "a key", channel);
            if (replica.Find(key) is { IsLive: true })
            {
                throw new ChannelException(ChannelError.WrongKind, channel, $"the key '{key}' holds a value and is no counter: delete it first");
            }

            entry = _core.Add(replica, key, delta, Level(replica, options) != AckLevel.Local, Now);
            sum = replica.Counters[key].Sum;
            drained = Drain();
        }

        Send(drained);
        await FinishAsync(replica, entry.Sequence, options, Level(replica, options), ct).ConfigureAwait(false);
        return sum;
    }

    public bool TryGet(string channel, string key, out byte[] value, out Stamp version)
    {
        lock (_gate)
        {
            return Find(channel).TryGet(key, out value, out version);
        }
    }

    public long Sum(string channel, string key)
    {
        lock (_gate)
        {
            return Find(channel).Counters.TryGetValue(key, out Counter? counter) ? counter.Sum : 0;
        }
    }

    public int Count(string channel)
    {
        lock (_gate)
        {
            return Find(channel).Count;
        }
    }

    /// <summary>All of one moment.</summary>
    public IReadOnlyList<Change> Snapshot(string channel, Keys keys)
    {
        lock (_gate)
        {
            return Snapshot(Find(channel), keys);
        }
    }

    /// <summary>All of one moment, and a queue of what changes from then on.</summary>
    public IReadOnlyList<Change> Read(string channel, Keys keys, ChangeQueue queue, bool withSnapshot)
    {
        lock (_gate)
        {
            Replica replica = Find(channel);
            if (!_readers.TryGetValue(replica, out List<ChangeQueue>? queues))
            {
                _readers[replica] = queues = [];
            }

            queue.Skipped ??= new SkippedChanges(channel, _logger);
            queues.Add(queue);
            return withSnapshot ? Snapshot(replica, keys) : [];
        }
    }

    public void Stop(ChangeQueue queue)
    {
        lock (_gate)
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

    public IAsyncDisposable Subscribe(string channel, Keys keys, bool sets, bool onlyChanges, Func<Change, ValueTask> handle)
    {
        var subscription = new Subscription(channel, keys, sets, !sets, onlyChanges, handle, s => Stop(s.Queue), _logger);
        Read(channel, keys, subscription.Queue, withSnapshot: false);
        return subscription;
    }

    /// <summary>A message of another node. The thread is that of a call, which whoever has more for it can do without.</summary>
    public void Receive(byte[] message, string caller)
    {
        if (_stopped.IsCancellationRequested)
        {
            return;
        }

        Drained drained;
        lock (_gate)
        {
            try
            {
                _core.Receive(message, Now);
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
        lock (_gate)
        {
            List<(ulong, bool)> present = [];
            foreach (GridMember member in members)
            {
                ulong node = NumberOf(member.NodeId);
                if (node == _core.Self || member.NodeId.Length == 0)
                {
                    continue;
                }

                present.Add((node, member.Reachable));
                _links.Add(node, member.Address);
            }

            _links.KeepOnly([.. present.Select(p => p.Item1)]);
            _core.SetMembers(present, Now);
            _core.Tick(Now);
            if (_core.DriftsSeen > _drifts)
            {
                if (_drifts == 0)
                {
                    _logger.Drift();
                }

                _drifts = _core.DriftsSeen;
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

        lock (_gate)
        {
            foreach (ChangeQueue queue in _readers.Values.SelectMany(q => q))
            {
                queue.Close();
            }

            _readers.Clear();
        }

        if (_store is not null)
        {
            await _store.DisposeAsync().ConfigureAwait(false);
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

        lock (_gate)
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

    private Replica Find(string channel) => channel.Length > 0 && _core.Find(channel) is { } replica
        ? replica
        : throw new ChannelException(ChannelError.NotFound, channel, $"there is none of that name; there are {string.Join(", ", _core.Channels.Keys.Take(20))}");

    private static AckLevel Level(Replica replica, ChannelWriteOptions options) => (AckLevel)(int)(options.Acknowledge ?? (Acknowledgement)replica.Spec.Acknowledgement);

    private Entry WriteOne(Replica replica, string key, byte[]? value, ChannelWriteOptions options)
    {
        bool wantsAcknowledgement = Level(replica, options) != AckLevel.Local;
        if (value is null)
        {
            return replica.Find(key) is { IsLive: true }
                ? _core.Write(replica, key, null, EntryFlags.None, 0, wantsAcknowledgement, Now)
                : _core.DeleteCounter(replica, key, wantsAcknowledgement, Now)!;
        }

        ChannelLimits.Check(replica, key, value);
        long timeToLive = options.TimeToLive is { } own ? Math.Max(1, (long)own.TotalMilliseconds) : replica.Spec.TimeToLive;
        return _core.Write(replica, key, value, options.Ephemeral ? EntryFlags.Ephemeral : EntryFlags.None, timeToLive, wantsAcknowledgement, Now);
    }

    private static List<Change> Snapshot(Replica replica, Keys keys)
    {
        if (keys.Single is { } key)
        {
            return replica.TryGet(key, out byte[] value, out Stamp version) ? [new Change(replica, ChangeKind.Set, key, value, null, version)] : [];
        }

        var all = new List<Change>(keys.Text is null ? replica.Count : 16);
        foreach (Entry entry in replica.Entries)
        {
            if (entry is { IsLive: true, IsCounter: false } && keys.Contains(entry.Key))
            {
                all.Add(new Change(replica, ChangeKind.Set, entry.Key, entry.Value!, null, entry.Stamp));
            }
        }

        foreach ((string name, Counter counter) in replica.Counters)
        {
            if (keys.Contains(name))
            {
                all.Add(new Change(replica, ChangeKind.Set, name, CounterKey.AsValue(counter.Sum), null, default));
            }
        }

        return all;
    }

    /// <summary>Hands on what the core has left, and sends what is due. Not under the lock.</summary>
    private void SendDrained()
    {
        Drained drained;
        lock (_gate)
        {
            drained = Drain();
        }

        Send(drained);
    }

    private void Send(in Drained drained, bool isBrought = false)
    {
        try
        {
            foreach ((PeerLink link, byte[] message) in drained.Messages ?? [])
            {
                link.Send(message);
            }

            _links.Flush();
        }
        finally
        {
            drained.Run(isBrought); // others first: their handlers are as important, and their way is longer
        }
    }

    private Drained Drain()
    {
        SetTimer(_core.IsRestless ? s_tick : _core.IsCalm ? s_calm : s_rest);
        foreach (Change change in _core.Changes)
        {
            if (ReferenceEquals(change.Replica, _core.Directory))
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

        _core.Changes.Clear();
        Subscription? first = _begun.Count > 0 ? _begun[0] : null;
        Subscription[] others = _begun.Count > 1 ? [.. _begun.Skip(1)] : [];
        _begun.Clear();
        _store?.Changed();
        _core.Kept.Clear(); // without a store nothing is kept

        foreach (Replica removed in _core.Removed)
        {
            if (_readers.Remove(removed, out List<ChangeQueue>? queues))
            {
                queues.ForEach(q => q.Close());
            }

            _store?.Removed(removed);
            _confirmations.Removed(removed);
        }

        _core.Removed.Clear();
        if (_core.AcknowledgementsChanged)
        {
            _core.AcknowledgementsChanged = false;
            _confirmations.Changed();
        }

        if (!_synced.Task.IsCompleted && _core.IsSynced)
        {
            _synced.TrySetResult();
        }

        if (_core.Outbox.Count == 0)
        {
            return new Drained(null, first, others);
        }

        List<(PeerLink, byte[])> messages = new(_core.Outbox.Count);
        foreach ((ulong to, byte[] message) in _core.Outbox)
        {
            if (_links.Find(to) is { } link)
            {
                messages.Add((link, message));
            }
        }

        _core.Outbox.Clear();
        return new Drained(messages, first, others);
    }

    private static async ValueTask<bool> TrueAfterAsync(ValueTask task)
    {
        await task.ConfigureAwait(false);
        return true;
    }

    /// <summary>What a write waits for: room, the disk, others.</summary>
    private ValueTask FinishAsync(Replica replica, ulong sequence, ChannelWriteOptions options, AckLevel level, CancellationToken ct) =>
        IsDone(replica, level) ? default : new ValueTask(FinishSlowlyAsync(replica, sequence, options, level, ct));

    private bool IsDone(Replica replica, AckLevel level) => level == AckLevel.Local && !_links.IsCrowded && (_store is null || !replica.Spec.IsDurable);

    private async Task FinishSlowlyAsync(Replica replica, ulong sequence, ChannelWriteOptions options, AckLevel level, CancellationToken ct)
    {
        await StoredAsync(replica.Spec, replica.Name, ct).ConfigureAwait(false);
        await _links.RoomAsync(ct).ConfigureAwait(false);
        await _confirmations.WaitAsync(replica, sequence, level, options.Timeout, ct).ConfigureAwait(false);
    }

    private Task StoredAsync(ChannelSpec spec, string channel, CancellationToken ct) =>
        _store is not null && spec.IsDurable ? _store.StoredAsync(channel, ct) : Task.CompletedTask;

    private static ulong NumberOf(string nodeId) =>
        ulong.TryParse(nodeId, NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong number) ? number : Hash.OfKey(nodeId);
}
