using System.Runtime.CompilerServices;

namespace GlooX.Processes;

/// <summary>
/// Events on their way to one watcher. When he is slow and <see cref="MostQueued"/> wait, the oldest are dropped, and the one after them says how
/// many are missing. Thread-safe; one reader.
/// </summary>
internal sealed class EventQueue
{
    public const int MostQueued = 1_024;
    private readonly Lock _lock = new();
    private readonly Queue<ProcessEvent> _queue = new();
    private TaskCompletionSource? _waiting;
    private long _missed;
    private bool _isClosed;

    public void Offer(ProcessEvent happened)
    {
        TaskCompletionSource? waiting;
        lock (_lock)
        {
            if (_isClosed)
            {
                return;
            }

            _queue.Enqueue(happened);
            if (_queue.Count > MostQueued)
            {
                _missed += 1 + _queue.Dequeue().Missed;
            }

            (waiting, _waiting) = (_waiting, null);
        }

        waiting?.TrySetResult();
    }

    /// <summary>No more is taken in; what waits can still be read.</summary>
    public void Close()
    {
        TaskCompletionSource? waiting;
        lock (_lock)
        {
            _isClosed = true;
            (waiting, _waiting) = (_waiting, null);
        }

        waiting?.TrySetResult();
    }

    /// <summary>What waits and what comes, until it is closed.</summary>
    public async IAsyncEnumerable<ProcessEvent[]> ReadAsync([EnumeratorCancellation] CancellationToken ct)
    {
        while (await TakeAsync(ct).ConfigureAwait(false) is { } some)
        {
            yield return some;
        }
    }

    // Null: it is closed and empty.
    private async Task<ProcessEvent[]?> TakeAsync(CancellationToken ct)
    {
        while (true)
        {
            Task ready;
            lock (_lock)
            {
                if (_queue.Count > 0)
                {
                    ProcessEvent[] some = [.. _queue];
                    some[0] = some[0] with { Missed = some[0].Missed + _missed };
                    _queue.Clear();
                    _missed = 0;
                    return some;
                }

                if (_isClosed)
                {
                    return null;
                }

                _waiting ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                ready = _waiting.Task;
            }

            await ready.WaitAsync(ct).ConfigureAwait(false);
        }
    }
}
