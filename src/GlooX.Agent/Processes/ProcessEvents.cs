using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace GlooX.Processes;

/// <summary>Tells watchers what happens to the processes of this node. A slow watcher never delays others. Thread-safe.</summary>
/// <param name="node">This node, as others reach it.</param>
internal sealed class ProcessEvents(Func<string> node) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly List<Watcher> _watchers = [];
    private bool _isClosed;

    public string Node => node();

    /// <summary>Begins to watch; the first event says so.</summary>
    /// <param name="id">The process to watch; null: all.</param>
    public Watcher Watch(string? id)
    {
        var watcher = new Watcher(id, this);
        lock (_lock)
        {
            if (_isClosed)
            {
                watcher.Close(); // nothing is watched any more
            }

            watcher.Offer(new ProcessEvent(ProcessEventKind.Watching, node(), DateTimeOffset.UtcNow));
            _watchers.Add(watcher);
        }

        return watcher;
    }

    /// <summary>The agent stops: watchers get the events so far, and no more.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _isClosed = true;
            _watchers.ForEach(static w => w.Close());
        }
    }

    public void Tell(ProcessEventKind kind, Child child)
    {
        lock (_lock)
        {
            Offer(About(kind, child));
        }
    }

    /// <summary>A process has ended, or could not be started, and is started again after a pause.</summary>
    public void TellRestart(Child child, TimeSpan pause, string reason)
    {
        lock (_lock)
        {
            Offer(About(ProcessEventKind.Restarting, child) with { Pause = pause, Reason = reason });
        }
    }

    public ProcessEvent About(ProcessEventKind kind, Child child) => new(kind, node(), DateTimeOffset.UtcNow)
    {
        Id = child.Id,
        Name = child.Request.Class,
        Pid = child.Process.Pid,
        Url = child.Url,
        Exit = kind is ProcessEventKind.Restarting or ProcessEventKind.Exited ? child.LastExit : null,
        Restarts = child.Restarts,
        Reason = kind == ProcessEventKind.Exited ? child.Reason : "",
    };

    private void Offer(ProcessEvent happened)
    {
        foreach (Watcher watcher in _watchers.Where(w => w.Id is null || w.Id == happened.Id))
        {
            watcher.Offer(happened);
        }
    }

    private void Remove(Watcher watcher)
    {
        lock (_lock)
        {
            _watchers.Remove(watcher);
        }
    }

    /// <summary>
    /// The events of one watcher. While more than <see cref="MostQueued"/> wait, the oldest are dropped, and the next event says how many
    /// are missing. Thread-safe; one reader.
    /// </summary>
    public sealed class Watcher : IDisposable
    {
        public const int MostQueued = 1_024;
        private readonly ProcessEvents? _source;
        private readonly Channel<ProcessEvent> _events;
        private long _missed;

        internal Watcher(string? id, ProcessEvents? source)
        {
            (Id, _source) = (id, source);
            _events = Channel.CreateBounded<ProcessEvent>(
                new BoundedChannelOptions(MostQueued) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true },
                dropped => Interlocked.Add(ref _missed, 1 + dropped.Missed));
        }

        /// <summary>The process that is watched; null: all.</summary>
        public string? Id { get; }

        public void Offer(ProcessEvent happened) => _events.Writer.TryWrite(happened);

        /// <summary>Takes no more events; those that wait can still be read.</summary>
        public void Close() => _events.Writer.TryComplete();

        /// <summary>The events that wait and those that come, until the watcher is closed.</summary>
        public async IAsyncEnumerable<ProcessEvent[]> ReadAsync([EnumeratorCancellation] CancellationToken ct)
        {
            List<ProcessEvent> some = [];
            while (await _events.Reader.WaitToReadAsync(ct).ConfigureAwait(false))
            {
                while (some.Count < MostQueued && _events.Reader.TryRead(out ProcessEvent? happened))
                {
                    some.Add(some.Count == 0 ? happened with { Missed = happened.Missed + Interlocked.Exchange(ref _missed, 0) }
                        : happened);
                }

                yield return [.. some];
                some.Clear();
            }
        }

        /// <summary>Ends the watch.</summary>
        public void Dispose() => _source?.Remove(this);
    }
}
