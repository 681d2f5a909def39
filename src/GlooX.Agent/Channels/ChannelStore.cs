using GlooX.Channels.Replication;
using GlooX.Channels.Storage;
using GlooX.Processes;
using Microsoft.Extensions.Logging;

namespace GlooX.Channels;

/// <summary>
/// Keeps the durable channels of one agent in its state file. Changed keys gather under the hub's lock, <paramref name="gate"/>, and
/// one loop writes them as they are by then, so writes that wait at once share one transaction and one flush. When the disk fails,
/// the writes that wait fail, and the channel goes on in memory; the next transaction has what the failed one had.
/// </summary>
internal sealed class ChannelStore(Lock gate, Replicator core, StateFile file, TimeProvider time, ILogger logger) : IAsyncDisposable
{
    private const int EncodedAtOnce = 256 * 1024;
    private static readonly TimeSpan s_flushEvery = TimeSpan.FromSeconds(1);
    private readonly ChannelTable _table = new(file);
    private readonly Dictionary<Replica, long> _ids = [];
    private readonly SemaphoreSlim _due = new(0, 1);
    private readonly CancellationTokenSource _stop = new();
    private Dictionary<Replica, HashSet<string>> _changed = [];
    private List<long> _removed = [];
    private TaskCompletionSource _stored = NewSource();
    private Task _latest = Task.CompletedTask;
    private Task? _writing;
    private long _flushedAt;
    private long _lastId;
    private bool _isDue;
    private bool _isUnflushed;
    private bool _isFailing;
    private bool _isOver;

    /// <summary>Fills the core with what is on disk, and begins to write. To be called once, under the lock, before anything else.</summary>
    public void Start()
    {
        Instant now = Instant.Of(time);
        IReadOnlyList<StoredChannel> channels = [];
        try
        {
            channels = _table.Load(now);
        }
        catch (DamagedStateException e)
        {
            // To use a part would be to claim what all of it had seen: other nodes would delete the rest.
            logger.Damaged(file.Path, e.Message, file.SetAside());
        }

        foreach (StoredChannel channel in channels)
        {
            _lastId = Math.Max(_lastId, channel.Id);
            core.Load(core.Directory, [channel.InDirectory], new Context(), channel.AbsentFor, now);
        }

        foreach (StoredChannel channel in channels)
        {
            bool isCurrent = core.Directory.Find(channel.Name)?.IsOfSameWrite(channel.InDirectory) == true;
            if (isCurrent && core.Find(channel.Name) is { } replica && _ids.TryAdd(replica, channel.Id))
            {
                core.Load(replica, channel.Entries, channel.Seen, channel.AbsentFor, now);
                replica.RaiseFloor(channel.Floor);
            }
            else
            {
                _removed.Add(channel.Id); // of a generation that another followed
            }
        }

        _flushedAt = time.GetTimestamp();
        _writing = Task.Run(WriteAsync);
        Changed();
    }

    /// <summary>Takes what the core has to keep. Under the lock.</summary>
    public void Changed()
    {
        if (core.Kept.Count > 0)
        {
            Gather();
            Wake();
        }
    }

    /// <summary>A channel is gone. Under the lock.</summary>
    public void Removed(Replica replica)
    {
        _changed.Remove(replica);
        if (_ids.Remove(replica, out long id))
        {
            _removed.Add(id);
            Wake();
        }
    }

    /// <summary>Waits until what was changed so far is as safe as the channel's options say. Not under the lock.</summary>
    /// <exception cref="ChannelException">The disk did not take it.</exception>
    public async Task StoredAsync(string channel, CancellationToken ct)
    {
        Task stored;
        lock (gate)
        {
            // The change may be under way by now, or over: of what is, the last outcome counts, since a transaction after one that has
            // failed has all of that one.
            stored = _isDue || _isOver ? _stored.Task : _latest;
        }

        try
        {
            await stored.WaitAsync(ct).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or DamagedStateException or ObjectDisposedException)
        {
            throw new ChannelException(ChannelError.NotStored, channel, $"the disk did not take a write: {e.Message}", e);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        if (_writing is { } writing)
        {
            await writing.ConfigureAwait(false);
        }

        lock (gate)
        {
            _isOver = true;
            _stored.TrySetException(new ObjectDisposedException(nameof(ChannelStore), "the agent has stopped"));
            _ = _stored.Task.Exception; // nobody may be waiting for it
        }

        _due.Dispose();
        _stop.Dispose();
    }

    private static TaskCompletionSource NewSource() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private static bool Is(Replica replica, ChannelDurability durability) => (ChannelDurability)replica.Spec.Durability == durability;

    private void Gather()
    {
        foreach ((Replica replica, string? key) in core.Kept)
        {
            if (!_changed.TryGetValue(replica, out HashSet<string>? keys))
            {
                _changed[replica] = keys = new HashSet<string>(StringComparer.Ordinal);
            }

            if (key is not null)
            {
                keys.Add(key);
            }
        }

        core.Kept.Clear();
    }

    private void Wake()
    {
        _isDue = true;
        try
        {
            _due.Release();
        }
        catch (Exception e) when (e is SemaphoreFullException or ObjectDisposedException)
        {
            // the loop is about to look, or has ended
        }
    }

    private async Task WriteAsync()
    {
        bool isLast;
        do
        {
            isLast = _stop.IsCancellationRequested;
            if (!isLast)
            {
                TimeSpan pause = _isUnflushed || _isFailing ? s_flushEvery : Timeout.InfiniteTimeSpan;
                await ((Task)_due.WaitAsync(pause, _stop.Token)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }

            Turn turn = Take(isLast);
            try
            {
                Write(turn);
                _isFailing = false;
                turn.Stored.TrySetResult();
            }
#pragma warning disable CA1031 // The waiting writes are told; the next turn tries again.
            catch (Exception e)
#pragma warning restore CA1031
            {
                Failed(turn, e);
            }
        }
        while (!isLast);
    }

    /// <summary>What one transaction is to have.</summary>
    private sealed record Turn(
        List<(Replica Replica, long Id, (byte[] Head, byte[] Seen) Row)> Channels, Dictionary<Replica, HashSet<string>> Changed, List<long> Removed, bool Flush,
        TaskCompletionSource Stored)
    {
        public bool IsEmpty => Channels.Count + Removed.Count == 0;
    }

    private Turn Take(bool isLast)
    {
        bool isDue = isLast || time.GetElapsedTime(_flushedAt) >= s_flushEvery;
        lock (gate)
        {
            Gather();
            List<(Replica Replica, long Id, (byte[] Head, byte[] Seen) Row)> channels = [];
            bool flush = isDue && _isUnflushed;

            // What was seen is taken first: a key that is encoded later may be newer than that, never older.
            Instant now = Instant.Of(time);
            foreach (Replica replica in _changed.Keys.Where(IsThere))
            {
                if (!_ids.TryGetValue(replica, out long id))
                {
                    _ids[replica] = id = ++_lastId;
                }

                channels.Add((replica, id, ChannelTable.Encode(replica, core.Directory.Find(replica.Name)!, core.AbsentSince, now)));
                flush |= Is(replica, ChannelDurability.EveryWrite) || (isDue && Is(replica, ChannelDurability.EverySecond));
            }

            var turn = new Turn(channels, _changed, _removed, flush, _stored);
            (_changed, _removed, _stored, _latest, _isDue) = ([], [], NewSource(), _stored.Task, false);
            return turn;
        }
    }

    private void Write(Turn turn)
    {
        if (turn.IsEmpty && !turn.Flush)
        {
            return;
        }

        file.Transact(turn.Flush, () =>
        {
            turn.Removed.ForEach(_table.Delete);
            foreach ((Replica replica, long id, (byte[], byte[]) row) in turn.Channels)
            {
                _table.Put(id, row);
                Write(replica, id, turn.Changed[replica]);
            }

            if (turn.IsEmpty)
            {
                file.Touch(); // without a change nothing would be flushed
            }
        });
        _flushedAt = turn.Flush ? time.GetTimestamp() : _flushedAt;
        _isUnflushed = !turn.Flush && (_isUnflushed || turn.Channels.Exists(static c => Is(c.Replica, ChannelDurability.EverySecond)));
    }

    private void Write(Replica replica, long id, HashSet<string> keys)
    {
        List<StoredRow> rows = [];
        using IEnumerator<string> key = keys.GetEnumerator();
        for (bool isMore = key.MoveNext(); isMore;)
        {
            rows.Clear();
            lock (gate)
            {
                Instant now = Instant.Of(time);
                for (int bytes = 0; isMore && bytes < EncodedAtOnce; isMore = key.MoveNext())
                {
                    rows.Add(ChannelTable.Encode(replica, key.Current, now));
                    bytes += rows[^1].Value?.Length ?? 0;
                }
            }

            rows.ForEach(r => _table.Put(id, r));
        }
    }

    private void Failed(Turn turn, Exception e)
    {
        if (!_isFailing)
        {
            _isFailing = true;
            logger.NotKept(file.Path, e);
        }

        bool isNew = false;
        if (e is DamagedStateException)
        {
            try
            {
                logger.Damaged(file.Path, e.Message, file.SetAside());
                isNew = true;
            }
            catch (IOException again)
            {
                logger.NotKept(file.Path, again);
            }
        }

        lock (gate)
        {
            foreach (Replica replica in core.Channels.Values.Where(r => r.Spec.IsDurable && (isNew || turn.Changed.ContainsKey(r))))
            {
                IEnumerable<string> keys = isNew ? replica.Entries.Select(static entry => entry.Key) : turn.Changed[replica];
                if (!_changed.TryGetValue(replica, out HashSet<string>? later))
                {
                    _changed[replica] = later = new HashSet<string>(StringComparer.Ordinal);
                }

                later.UnionWith(keys);
            }

            if (isNew)
            {
                _ids.Clear();
                _removed.Clear();
            }
            else
            {
                _removed.AddRange(turn.Removed);
            }
        }

        turn.Stored.TrySetException(e);
        _ = turn.Stored.Task.Exception; // nobody may be waiting for it
    }

    private bool IsThere(Replica replica) => ReferenceEquals(core.Find(replica.Name), replica);
}
