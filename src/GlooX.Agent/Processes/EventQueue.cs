using System.Runtime.CompilerServices;
using System.Threading.Channels;

namespace GlooX.Processes;

/// <summary>
/// Events on their way to one watcher. While more than <see cref="MostQueued"/> wait, the oldest are dropped, and the next event says how many are
/// missing. Thread-safe; one reader.
/// </summary>
internal sealed class EventQueue
{
    public const int MostQueued = 1_024;
    private readonly Channel<ProcessEvent> _queue;
    private long _missed;

    public EventQueue() => _queue = Channel.CreateBounded<ProcessEvent>(
        new BoundedChannelOptions(MostQueued) { FullMode = BoundedChannelFullMode.DropOldest, SingleReader = true },
        dropped => Interlocked.Add(ref _missed, 1 + dropped.Missed));

    public void Offer(ProcessEvent happened) => _queue.Writer.TryWrite(happened);

    /// <summary>Takes no more events; those that wait can still be read.</summary>
    public void Close() => _queue.Writer.TryComplete();

    /// <summary>The events that wait and those that come, until the queue is closed.</summary>
    public async IAsyncEnumerable<ProcessEvent[]> ReadAsync([EnumeratorCancellation] CancellationToken ct)
    {
        List<ProcessEvent> some = [];
        while (await _queue.Reader.WaitToReadAsync(ct).ConfigureAwait(false))
        {
            while (some.Count < MostQueued && _queue.Reader.TryRead(out ProcessEvent? happened))
            {
                some.Add(some.Count == 0 ? happened with { Missed = happened.Missed + Interlocked.Exchange(ref _missed, 0) } : happened);
            }

            yield return [.. some];
            some.Clear();
        }
    }
}
