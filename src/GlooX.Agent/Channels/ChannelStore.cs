using GlooX.Channels.Replication;
using GlooX.Channels.Storage;
using GlooX.Processes;
using Microsoft.Extensions.Logging;

namespace GlooX.Channels;

/// <summary>
/// The durable channels of one agent on disk. What is to be kept is encoded under the hub's lock and written by one loop; writes that wait
/// at once share one write to the file and one flush. When the disk fails, writes fail, and the channel goes on in memory.
/// </summary>
internal sealed class ChannelStore : IAsyncDisposable
{
    private static readonly TimeSpan s_flushEvery = TimeSpan.FromSeconds(1);
    private readonly string _folder;
    private readonly ILogger _logger;
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Shelf> _shelves = new(StringComparer.Ordinal);
    private readonly List<Shelf> _removed = [];
    private readonly SemaphoreSlim _due = new(0, 1);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _writing;
    private Replicator? _core;
    private bool _isOver;

    /// <exception cref="IOException">The folder cannot be made.</exception>
    public ChannelStore(string folder, ILogger logger)
    {
        _folder = Directory.CreateDirectory(folder).FullName;
        _logger = logger;
        _writing = Task.Run(WriteAsync);
    }

    /// <summary>One channel: its file, what waits to be written, and who waits for that.</summary>
    private sealed class Shelf(Replica replica)
    {
        public Replica Replica { get; } = replica;
        public Journal? Journal { get; set; }
        public WireWriter Waiting { get; set; } = new();
        public TaskCompletionSource Stored { get; set; } = NewSource();

        /// <summary>Of the write that was begun last.</summary>
        public Task? Latest { get; set; }
        public bool IsDirty { get; set; }
        public bool IsRemoved { get; set; }
        public JournalContent? Replacement { get; set; }

        /// <summary>From when it is decided until the new file is there: what comes in between is appended to that.</summary>
        public bool IsReplacing { get; set; }

        public static TaskCompletionSource NewSource()
        {
            var source = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            _ = source.Task.Exception; // nobody may be waiting for it
            return source;
        }
    }

    /// <summary>Fills the core with what was kept; to be called once, before anything else.</summary>
    public void Load(Replicator core, Instant now)
    {
        _core = core;
        foreach ((Journal journal, JournalContent content) in Journal.OpenAll(_folder, now))
        {
            core.Load(core.Directory, [content.InDirectory], new Context(), now);
            if (core.Find(content.Name) is not { } replica)
            {
                journal.Dispose();
                Journal.Delete(_folder, content.Name);
                continue;
            }

            core.Load(replica, content.Entries, content.Seen, now);
            replica.RaiseFloor(content.Floor);
            _shelves[content.Name] = new Shelf(replica) { Journal = journal };
        }
    }

    /// <summary>Under the hub's lock.</summary>
    public void Append(IReadOnlyList<(Replica Replica, Entry? Entry)> kept, Instant now)
    {
        lock (_gate)
        {
            foreach ((Replica replica, Entry? entry) in kept)
            {
                if (!_shelves.TryGetValue(replica.Name, out Shelf? shelf) || !ReferenceEquals(shelf.Replica, replica))
                {
                    _shelves[replica.Name] = shelf = new Shelf(replica);
                }

                // A new file, or one that is to be replaced, begins with all there is, this included.
                if (!shelf.IsReplacing && shelf.Journal is not { IsBloated: false })
                {
                    (shelf.Replacement, shelf.IsReplacing) = (Content(replica), true);
                    shelf.Waiting.Clear();
                }
                else
                {
                    Journal.Encode(shelf.Waiting, replica, entry, now);
                }

                shelf.IsDirty = true;
            }
        }

        Wake();
    }

    /// <summary>Until what was appended so far is as safe as the channel's options say.</summary>
    /// <exception cref="ChannelException">The disk did not take it.</exception>
    public Task StoredAsync(Replica replica, CancellationToken ct)
    {
        Task? stored = null;
        lock (_gate)
        {
            if (_isOver)
            {
                throw Stopped(replica);
            }

            // The write may be under way by now, or over: of those that are, the last one's outcome counts, for a write after one that has
            // failed begins with everything.
            if (_shelves.TryGetValue(replica.Name, out Shelf? shelf) && ReferenceEquals(shelf.Replica, replica))
            {
                stored = shelf.IsDirty ? shelf.Stored.Task : shelf.Latest;
            }
        }

        return stored?.WaitAsync(ct) ?? Task.CompletedTask;
    }

    /// <summary>Under the hub's lock.</summary>
    public void Remove(Replica replica)
    {
        lock (_gate)
        {
            if (_shelves.TryGetValue(replica.Name, out Shelf? shelf) && ReferenceEquals(shelf.Replica, replica))
            {
                shelf.IsRemoved = true;
                _shelves.Remove(replica.Name);
                _removed.Add(shelf);
            }
        }

        Wake();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _writing.ConfigureAwait(false);
        lock (_gate)
        {
            _isOver = true;
            foreach (Shelf shelf in _shelves.Values)
            {
                shelf.Journal?.Dispose();
                if (shelf.IsDirty)
                {
                    shelf.Stored.TrySetException(Stopped(shelf.Replica));
                    _ = shelf.Stored.Task.Exception; // nobody may be waiting for it
                }
            }
        }

        _due.Dispose();
        _stop.Dispose();
    }

    private static ChannelException Stopped(Replica replica) => new(ChannelError.NotStored, replica.Name, "the agent has stopped");

    private JournalContent Content(Replica replica) =>
        new(replica.Name, _core!.Directory.Find(replica.Name)!, [.. replica.Entries], replica.SeenToKeep(), replica.Floor);

    private void Wake()
    {
        try
        {
            _due.Release();
        }
        catch (Exception e) when (e is SemaphoreFullException or ObjectDisposedException)
        {
            // a turn is due already, or none comes any more
        }
    }

    private async Task WriteAsync()
    {
        long flushed = Environment.TickCount64;
        bool last;
        HashSet<Shelf> unflushed = [];
        do
        {
            last = _stop.IsCancellationRequested;
            if (!last)
            {
                try
                {
                    await _due.WaitAsync(unflushed.Count > 0 ? s_flushEvery : Timeout.InfiniteTimeSpan, _stop.Token).ConfigureAwait(false);
                }
                catch (OperationCanceledException)
                {
                    // once more, then the end
                }
            }

            Shelf[] dirty;
            lock (_gate)
            {
                dirty = [.. _removed, .. _shelves.Values.Where(s => s.IsDirty)];
                _removed.Clear();
            }

            foreach (Shelf shelf in dirty)
            {
                Write(shelf);
                unflushed.Add(shelf);
            }

            if (last || Environment.TickCount64 - flushed >= s_flushEvery.TotalMilliseconds)
            {
                flushed = Environment.TickCount64;
                foreach (Shelf shelf in unflushed.Where(s => !s.IsRemoved && (ChannelDurability)s.Replica.Spec.Durability == ChannelDurability.EverySecond))
                {
                    Try(shelf, () => shelf.Journal?.Flush());
                }

                unflushed.Clear();
            }
        }
        while (!last);
    }

    private void Write(Shelf shelf)
    {
        WireWriter records;
        JournalContent? replacement;
        TaskCompletionSource stored;
        lock (_gate)
        {
            (records, shelf.Waiting) = (shelf.Waiting, new WireWriter());
            (replacement, shelf.Replacement) = (shelf.Replacement, null);
            (stored, shelf.Stored) = (shelf.Stored, Shelf.NewSource());
            shelf.Latest = stored.Task;
            shelf.IsDirty = false;
        }

        Exception? failure = Try(shelf, () =>
        {
            var now = new Instant(DateTimeOffset.UtcNow.ToUnixTimeMilliseconds(), (long)TimeProvider.System.GetElapsedTime(0).TotalMilliseconds);
            if (shelf.IsRemoved)
            {
                shelf.Journal?.Dispose();
                shelf.Journal = null;
                Journal.Delete(_folder, shelf.Replica.Name); // also those that the disk has failed
                return;
            }

            if (replacement is not null && shelf.Journal is { } old)
            {
                old.Compact(replacement, now);
            }
            else if (replacement is not null)
            {
                shelf.Journal = Journal.Create(_folder, replacement, now);
            }

            Journal journal = shelf.Journal ?? throw new IOException("the file could not be written before; the next write tries anew");
            journal.Append(records.Written.Span);
            if ((ChannelDurability)shelf.Replica.Spec.Durability == ChannelDurability.EveryWrite)
            {
                journal.Flush();
            }
        });
        if (replacement is not null)
        {
            lock (_gate)
            {
                shelf.IsReplacing = false;
            }
        }

        if (failure is null)
        {
            stored.TrySetResult();
        }
        else
        {
            stored.TrySetException(new ChannelException(ChannelError.NotStored, shelf.Replica.Name, $"the disk did not take a write: {failure.Message}", failure));
            _ = stored.Task.Exception;
        }
    }

    private Exception? Try(Shelf shelf, Action write)
    {
        try
        {
            write();
            return null;
        }
        catch (Exception e)
        {
            // Whatever it is, whoever waits must hear of it: a file that may not grow is an ArgumentOutOfRangeException. What is on disk is
            // whole up to some record; the next write begins a new file with everything.
            _logger.NotKept(shelf.Replica.Name, e);
            lock (_gate)
            {
                shelf.Journal?.Dispose();
                shelf.Journal = null;
            }

            return e;
        }
    }
}
