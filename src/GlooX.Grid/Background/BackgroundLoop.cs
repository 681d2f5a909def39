using Microsoft.Extensions.Logging;

namespace GlooX;

/// <summary>
/// Work that runs in the background until its owner stops it. The body is restarted when it fails or returns early: the failure is
/// logged under the loop's name, and the pause before the restart doubles from <see cref="FirstPause"/> to
/// <see cref="LongestPause"/>, then begins anew after the body has run for <see cref="LongestPause"/> without failing. Thread-safe.
/// </summary>
internal sealed class BackgroundLoop : IAsyncDisposable
{
    /// <summary>Pause before the first restart.</summary>
    public static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(100);

    /// <summary>Longest pause before a restart.</summary>
    public static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(30);

    /// <summary>How long <see cref="StopAsync"/> waits unless told otherwise.</summary>
    public static readonly TimeSpan DefaultStopTimeout = TimeSpan.FromSeconds(5);

    private readonly Func<BackgroundLoop, CancellationToken, Task> _body;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _gate = new();
    private TaskCompletionSource _woken = NewSignal();
    private Task? _run;

    /// <param name="name">Names the loop in the log, e.g. "membership" or "status of nodes".</param>
    /// <param name="body">Runs until its token is cancelled. Returning or throwing earlier is a failure.</param>
    /// <param name="logger">Receives each failure.</param>
    /// <param name="time">Clock of the pauses; the machine's when null.</param>
    public BackgroundLoop(string name, Func<CancellationToken, Task> body, ILogger logger, TimeProvider? time = null)
        : this(name, (_, ct) => body(ct), logger, time)
    {
    }

    private BackgroundLoop(string name, Func<BackgroundLoop, CancellationToken, Task> body, ILogger logger, TimeProvider? time)
    {
        Name = name;
        _body = body;
        _logger = logger;
        _time = time ?? TimeProvider.System;
    }

    public string Name { get; }

    /// <summary>
    /// A loop that runs a step at the start, after each interval and after each <see cref="Wake"/>; never two steps at once.
    /// A step that throws is logged and tried again as any body. Intervals from one second up end with a whole second
    /// (<see cref="TimerCoalescing"/>).
    /// </summary>
    /// <param name="name">Names the loop in the log.</param>
    /// <param name="interval">
    /// Pause between the end of a step and the next; <see cref="Timeout.InfiniteTimeSpan"/> for steps on <see cref="Wake"/> alone.
    /// </param>
    /// <param name="step">One round of the work.</param>
    /// <param name="logger">Receives each failure.</param>
    /// <param name="time">Clock of the pauses; the machine's when null.</param>
    public static BackgroundLoop Periodic(
        string name,
        TimeSpan interval,
        Func<CancellationToken, Task> step,
        ILogger logger,
        TimeProvider? time = null) => new(name, (loop, ct) => loop.StepsAsync(interval, step, ct), logger, time);

    /// <summary>Starts the loop on the thread pool; does nothing when the loop has been started or stopped.</summary>
    /// <returns>This loop.</returns>
    public BackgroundLoop Start()
    {
        lock (_gate)
        {
            if (_run is null)
            {
                // The loop outlives the caller: the caller's activity and other ambient values must not flow into it.
                using AsyncFlowControl? flow = ExecutionContext.IsFlowSuppressed() ? null : ExecutionContext.SuppressFlow();
                _run = Task.Run(RunAsync);
            }
        }

        return this;
    }

    /// <summary>
    /// Ends the pause of a <see cref="Periodic"/> loop, and the pause before a restart. A wake during a step leads to one more step.
    /// </summary>
    public void Wake() => Interlocked.Exchange(ref _woken, NewSignal()).TrySetResult();

    /// <summary>
    /// Cancels the body and waits for its end. Never throws: a body that fails while it stops, or that does not stop in time, is logged.
    /// </summary>
    /// <param name="timeout">Longest wait; <see cref="DefaultStopTimeout"/> when null.</param>
    /// <returns>Whether the body has ended.</returns>
    public async Task<bool> StopAsync(TimeSpan? timeout = null)
    {
        Task run;
        lock (_gate)
        {
            run = _run ??= Task.CompletedTask;
        }

        try
        {
            await Task.WhenAll(run, _stop.CancelAsync()).WaitAsync(timeout ?? DefaultStopTimeout, _time).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            _logger.LoopStopsLate(Name, timeout ?? DefaultStopTimeout);
        }
#pragma warning disable CA1031 // Code that the body has registered with its token: the owner goes on stopping its other parts.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _logger.LoopFailedWhileStopping(e, Name);
        }

        return run.IsCompleted;
    }

    /// <summary><see cref="StopAsync"/> with the default timeout.</summary>
    public async ValueTask DisposeAsync() => await StopAsync().ConfigureAwait(false);

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private async Task RunAsync()
    {
        TimeSpan pause = FirstPause;
        while (!_stop.IsCancellationRequested)
        {
            long start = _time.GetTimestamp();
            Exception? failure = null;
            try
            {
                await _body(this, _stop.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
#pragma warning disable CA1031 // Logged, and the body runs again: this class is where background failures are acted upon.
            catch (Exception e)
#pragma warning restore CA1031
            {
                failure = e;
            }

            if (_stop.IsCancellationRequested)
            {
                if (failure is not null)
                {
                    _logger.LoopFailedWhileStopping(failure, Name);
                }

                return;
            }

            pause = _time.GetElapsedTime(start) >= LongestPause ? FirstPause : pause;
            _logger.LoopFailed(failure, Name, failure?.Message ?? "the body returned", pause);
            await PauseAsync(Volatile.Read(ref _woken).Task, pause, _stop.Token).ConfigureAwait(false);
            pause = pause * 2 < LongestPause ? pause * 2 : LongestPause;
        }
    }

    private async Task StepsAsync(TimeSpan interval, Func<CancellationToken, Task> step, CancellationToken ct)
    {
        while (!ct.IsCancellationRequested)
        {
            // Read before the step: a wake from here on ends the pause that follows it.
            Task woken = Volatile.Read(ref _woken).Task;
            await step(ct).ConfigureAwait(false);
            TimeSpan pause = interval.TotalMilliseconds < TimerCoalescing.Second ? interval : TimerCoalescing.Round(interval, _time);
            await PauseAsync(woken, pause, ct).ConfigureAwait(false);
        }
    }

    private async Task PauseAsync(Task woken, TimeSpan pause, CancellationToken ct) =>
        await woken.WaitAsync(pause, _time, ct).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
}
