namespace GlooX.Rpc.Tests;

/// <summary>A clock that stands still but for <see cref="Advance"/>.</summary>
internal sealed class ManualClock : TimeProvider
{
    private readonly List<Timer> _timers = [];
    private TimeSpan _now;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => _now.Ticks;

    public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
    {
        var timer = new Timer(() => callback(state), () => _now);
        timer.Change(dueTime, period);
        _timers.Add(timer);
        return timer;
    }

    public void Advance(TimeSpan by)
    {
        _now += by;
        foreach (Timer timer in _timers.ToArray())
        {
            timer.Ring();
        }
    }

    private sealed class Timer(Action callback, Func<TimeSpan> now) : ITimer
    {
        private TimeSpan _due = TimeSpan.MaxValue;

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            _due = dueTime == Timeout.InfiniteTimeSpan ? TimeSpan.MaxValue : now() + dueTime;
            return true;
        }

        public void Ring()
        {
            if (now() >= _due)
            {
                _due = TimeSpan.MaxValue;
                callback();
            }
        }

        public void Dispose() => _due = TimeSpan.MaxValue;

        public ValueTask DisposeAsync()
        {
            Dispose();
            return default;
        }
    }
}
