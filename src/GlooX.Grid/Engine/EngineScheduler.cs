using System.Diagnostics;
using Akka.Actor;
using Akka.Configuration;
using Akka.Dispatch;
using Akka.Event;

namespace GlooX.Grid;

/// <summary>
/// Akka's scheduler with one timer, set for the next deadline. Repeated work ends with whole seconds, like the other timers of the process
/// (<see cref="TimerCoalescing"/>). Akka's own timer wheel wakes three threads at each tick, however little is due. Thread-safe.
/// </summary>
internal sealed class EngineScheduler : SchedulerBase, IDateTimeOffsetNowTimeProvider, IDisposable
{
    // Deadlines within this many milliseconds run together.
    private const long Grain = 50;

    private readonly Lock _gate = new();
    private readonly PriorityQueue<Entry, (long Due, long Number)> _waiting = new();
    private readonly Timer _timer;
    private long _due = long.MaxValue;
    private long _number;
    private bool _isStopped;

    public EngineScheduler(Config config, ILoggingAdapter log)
        : base(config, log)
    {
        using AsyncFlowControl? flow = ExecutionContext.IsFlowSuppressed() ? null : ExecutionContext.SuppressFlow();
        _timer = new Timer(static s => ((EngineScheduler)s!).OnTimer(), this, Timeout.Infinite, Timeout.Infinite);
    }

    public override TimeSpan MonotonicClock => Stopwatch.GetElapsedTime(0);

    public override TimeSpan HighResMonotonicClock => Stopwatch.GetElapsedTime(0);

    protected override DateTimeOffset TimeNow => DateTimeOffset.UtcNow;

    /// <summary>Drops all scheduled work and refuses new work.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _isStopped = true;
            _waiting.Clear();
        }

        _timer.Dispose();
    }

    protected override void InternalScheduleTellOnce(
        TimeSpan delay, ICanTell receiver, object message, IActorRef sender, ICancelable? cancelable) =>
        Add(delay, TimeSpan.Zero, () => receiver.Tell(message, sender), cancelable);

    protected override void InternalScheduleTellRepeatedly(
        TimeSpan initialDelay, TimeSpan interval, ICanTell receiver, object message, IActorRef sender, ICancelable? cancelable) =>
        Add(initialDelay, interval, () => receiver.Tell(message, sender), cancelable);

    protected override void InternalScheduleOnce(TimeSpan delay, Action action, ICancelable? cancelable) =>
        Add(delay, TimeSpan.Zero, action, cancelable);

    protected override void InternalScheduleOnce(TimeSpan delay, IRunnable action, ICancelable? cancelable) =>
        Add(delay, TimeSpan.Zero, action.Run, cancelable);

    protected override void InternalScheduleRepeatedly(TimeSpan initialDelay, TimeSpan interval, Action action, ICancelable? cancelable) =>
        Add(initialDelay, interval, action, cancelable);

    protected override void InternalScheduleRepeatedly(
        TimeSpan initialDelay, TimeSpan interval, IRunnable action, ICancelable? cancelable) =>
        Add(initialDelay, interval, action.Run, cancelable);

    private void Add(TimeSpan delay, TimeSpan interval, Action action, ICancelable? cancelable)
    {
        long now = Environment.TickCount64, wait = (long)delay.TotalMilliseconds;
        var entry = new Entry(action, (long)interval.TotalMilliseconds, cancelable);
        lock (_gate)
        {
            if (_isStopped)
            {
                throw new SchedulerException("The membership engine has stopped.");
            }

            Enqueue(entry, wait <= 0 ? now : RoundUp(now + wait));
            SetTimer(now);
        }
    }

    private void OnTimer()
    {
        var due = new List<Entry>();
        lock (_gate)
        {
            if (_isStopped)
            {
                return;
            }

            // The timer is set again before any work runs: an item that is stuck does not stop later ones.
            long now = Environment.TickCount64;
            _due = long.MaxValue;
            while (_waiting.TryPeek(out Entry? entry, out (long Due, long Number) at) && at.Due <= now)
            {
                _waiting.Dequeue();
                if (entry.IsCancelled)
                {
                    continue;
                }

                due.Add(entry);
                if (entry.Interval > 0)
                {
                    Enqueue(entry, entry.Interval < TimerCoalescing.Second
                        ? RoundUp(now + entry.Interval)
                        : TimerCoalescing.RoundedEnd(now, entry.Interval));
                }
            }

            SetTimer(now);
        }

        EngineDispatcher.RunThenDrain(RunAll, due);
    }

    private void RunAll(List<Entry> due)
    {
        foreach (Entry entry in due)
        {
            try
            {
                entry.Run();
            }
#pragma warning disable CA1031 // Other work that is due must run all the same. The failure is logged.
            catch (Exception e)
#pragma warning restore CA1031
            {
                Log.Error(e, "Scheduled work failed");
            }
        }
    }

    private static long RoundUp(long time) => (time + Grain - 1) / Grain * Grain;

    // Under the lock.
    private void Enqueue(Entry entry, long due) => _waiting.Enqueue(entry, (due, _number++));

    // Under the lock. A timer that is set for that time or earlier is left alone: setting it wakes a thread.
    private void SetTimer(long now)
    {
        if (_waiting.TryPeek(out _, out (long Due, long Number) next) && next.Due < _due)
        {
            _due = next.Due;
            _timer.Change(Math.Max(0, _due - now), Timeout.Infinite);
        }
    }

    /// <param name="action">The work.</param>
    /// <param name="interval">Interval of repetition in milliseconds; 0 for work that runs once.</param>
    /// <param name="cancelable">Cancels the work.</param>
    private sealed class Entry(Action action, long interval, ICancelable? cancelable)
    {
        public long Interval { get; } = interval;

        public bool IsCancelled => cancelable is { IsCancellationRequested: true };

        public void Run()
        {
            if (!IsCancelled)
            {
                action();
            }
        }
    }
}
