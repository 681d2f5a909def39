using System.Diagnostics;
using GlooX.Channels.Replication;
using Microsoft.Extensions.Logging;

namespace GlooX.Channels;

/// <summary>
/// A queue of changes between a channel, which never waits, and one reader, who takes his time. Up to <see cref="MostQueued"/> changes are
/// kept one by one, or <see cref="MostBytes"/>; while more wait, of each key only the last one is: a slow reader misses values in between,
/// never the last, and costs at most one change for each key. A queue with a <see cref="Budget"/> that is used up ends instead, and
/// <see cref="HasOverflowed"/>. The order of each key is kept. Thread-safe; one reader.
/// </summary>
internal sealed class ChangeQueue(Keys keys, bool sets, bool deletes, bool onlyChanges)
{
    public const int MostQueued = 16_384;
    public const long MostBytes = 16L << 20;
    private readonly Lock _gate = new();
    private Queue<Change> _queue = new();
    private Dictionary<string, Change> _last = new(StringComparer.Ordinal);
    private TaskCompletionSource<bool>? _waiting;
    private long _bytes;
    private bool _isClosed;

    /// <summary>Counts what waits here against all that waits for the same caller; null: without bound.</summary>
    public ReadBudget? Budget { get; init; }

    /// <summary>Whether it ended because too much waited.</summary>
    public bool HasOverflowed { get; private set; }

    /// <summary>Whether a change of the key is not to be told, as its reader comes to the key later. Asked under the replica's lock.</summary>
    public Func<string, bool>? IsLeftToPages { get; set; }

    /// <summary>Counts the changes that a slow reader is not told, because later ones of their keys replace them.</summary>
    public SkippedChanges? Skipped { get; set; }

    /// <summary>Whose it is; null: a reader's who waits by himself.</summary>
    public Subscription? Owner { get; init; }

    public bool IsEmpty
    {
        get
        {
            lock (_gate)
            {
                return _queue.Count == 0 && _last.Count == 0;
            }
        }
    }

    /// <summary>Takes a change in if it is wanted. True: <see cref="Owner"/> is now to be run by whoever offered it.</summary>
    public bool Offer(in Change change)
    {
        bool isWanted = (change.Kind == ChangeKind.Set ? sets : deletes) && keys.Contains(change.Key)
            && !(onlyChanges && change.Kind == ChangeKind.Set && change.Previous is { } previous && previous.AsSpan().SequenceEqual(change.Value));
        if (!isWanted || IsLeftToPages?.Invoke(change.Key) == true)
        {
            return false;
        }

        Change kept = change with { Previous = null };

        TaskCompletionSource<bool>? waiting;
        lock (_gate)
        {
            if (_isClosed)
            {
                return false;
            }

            if (_queue.Count < MostQueued && _bytes < MostBytes && _last.Count == 0)
            {
                _queue.Enqueue(kept);
            }
            else
            {
                if (_last.Remove(change.Key, out Change replaced))
                {
                    Skipped?.Add();
                    Count(replaced, -1);
                }

                _last.Add(change.Key, kept);
            }

            if (!Count(kept, 1))
            {
                (HasOverflowed, _isClosed) = (true, true);
                Clear();
            }

            (waiting, _waiting) = (_waiting, null);
        }

        waiting?.TrySetResult(true);
        return Owner?.TryBegin() == true;
    }

    public bool TryTake(out Change change)
    {
        lock (_gate)
        {
            if (_queue.Count == 0 && _last.Count > 0)
            {
                _queue = new Queue<Change>(_last.Values);
                _last = new Dictionary<string, Change>(StringComparer.Ordinal);
            }

            if (_queue.TryDequeue(out change))
            {
                Count(change, -1);
                return true;
            }

            Skipped?.CaughtUp();
            return false;
        }
    }

    /// <summary>Until something is there. False: it is closed, and nothing more comes.</summary>
    public async ValueTask<bool> WaitAsync(CancellationToken ct)
    {
        Task<bool> ready;
        lock (_gate)
        {
            if (_queue.Count > 0 || _last.Count > 0)
            {
                return true;
            }

            if (_isClosed)
            {
                return false;
            }

            _waiting ??= new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
            ready = _waiting.Task;
        }

        return await ready.WaitAsync(ct).ConfigureAwait(false);
    }

    // Under the lock. False: that was too much.
    private bool Count(in Change change, int sign)
    {
        long bytes = sign * (ReadBudget.CostOfChange + (2L * change.Key.Length) + change.Value.Length);
        _bytes += bytes;
        return Budget is null || Budget.Add(bytes);
    }

    private void Clear()
    {
        Budget?.Add(-_bytes);
        _bytes = 0;
        _queue.Clear();
        _last.Clear();
    }

    /// <summary>Nobody reads any more.</summary>
    public void Abandon()
    {
        lock (_gate)
        {
            _isClosed = true;
            Clear();
        }
    }

    /// <summary>No more is taken in; what waits can still be read.</summary>
    public void Close()
    {
        TaskCompletionSource<bool>? waiting;
        lock (_gate)
        {
            _isClosed = true;
            (waiting, _waiting) = (_waiting, null);
        }

        waiting?.TrySetResult(false);
    }
}

/// <summary>
/// Calls a handler for each change, one at a time; it holds a thread only while there is something to tell. Handlers run on the thread
/// pool, or, at first, on the thread that brought the change, where that can be spared.
/// </summary>
internal sealed class Subscription : IThreadPoolWorkItem, IAsyncDisposable
{
    // What the thread that brings changes runs itself before the thread pool takes over.
    private const int MostInline = 64;
    private readonly ChangeQueue _queue;
    private readonly Func<Change, ValueTask> _handle;
    private readonly Action<Subscription> _ended;
    private readonly string _channel;
    private readonly ILogger _logger;
    private int _running;
    private volatile bool _disposed;

    public Subscription(string channel, Keys keys, bool sets, bool deletes, bool onlyChanges, Func<Change, ValueTask> handle, Action<Subscription> ended, ILogger logger)
    {
        _channel = channel;
        _handle = handle;
        _ended = ended;
        _logger = logger;
        _queue = new ChangeQueue(keys, sets, deletes, onlyChanges) { Owner = this };
    }

    public ChangeQueue Queue => _queue;

    /// <summary>No handler starts any more; one that runs may go on.</summary>
    public ValueTask DisposeAsync()
    {
        _disposed = true;
        _queue.Close();
        _ended(this);
        return default;
    }

    /// <summary>True: it was at rest, and the caller must run it.</summary>
    public bool TryBegin() => Interlocked.Exchange(ref _running, 1) == 0;

    public void RunSoon() => ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);

    /// <summary>Runs the first handlers on this thread, to which they look as on any other: nothing of the call that brought the change is seen.</summary>
    public void RunHere()
    {
        if (Activity.Current is not null)
        {
            RunSoon();
            return;
        }

        RpcCall.RunDetached(this, static s => _ = s.RunAsync(MostInline)); // it catches everything
    }

    void IThreadPoolWorkItem.Execute() => _ = RunAsync(int.MaxValue);

    private async Task RunAsync(int most)
    {
        do
        {
            for (int i = 0; !_disposed && _queue.TryTake(out Change change); i++)
            {
                if (i == most)
                {
                    most = int.MaxValue;
                    await Task.Yield();
                }

                try
                {
                    await _handle(change).ConfigureAwait(false);
                }
                catch (Exception e)
                {
                    _logger.HandlerThrew(_channel, change.Key, e);
                }
            }

            Volatile.Write(ref _running, 0);
        }
        while (!_disposed && !_queue.IsEmpty && Interlocked.Exchange(ref _running, 1) == 0);
    }
}
