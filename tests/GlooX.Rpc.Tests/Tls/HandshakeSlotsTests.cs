using GlooX.Rpc.Tests.RpcRuntime;
using GlooX.Tls;

namespace GlooX.Rpc.Tests.Tls;

public sealed class HandshakeSlotsTests
{
    private readonly ManualClock _clock = new();

    [Fact]
    public async Task While_there_is_room_nobody_gives_way()
    {
        var slots = new HandshakeSlots(2, TimeSpan.FromSeconds(2), _clock);
        HandshakeSlots.Slot first = await slots.TakeAsync(default);
        _clock.Advance(TimeSpan.FromHours(1));
        await slots.TakeAsync(default);
        Assert.False(first.Late.IsCancellationRequested);
    }

    [Fact]
    public async Task The_oldest_gives_way_when_it_had_its_time()
    {
        var slots = new HandshakeSlots(2, TimeSpan.FromSeconds(2), _clock);
        HandshakeSlots.Slot first = await slots.TakeAsync(default);
        _clock.Advance(TimeSpan.FromSeconds(1));
        HandshakeSlots.Slot second = await slots.TakeAsync(default);
        Task<HandshakeSlots.Slot> third = slots.TakeAsync(default);
        Assert.False(third.IsCompleted);

        _clock.Advance(TimeSpan.FromSeconds(1));
        await third;
        Assert.True(first.Late.IsCancellationRequested);
        Assert.False(second.Late.IsCancellationRequested);
        first.Dispose(); // gave its place up already: no second one comes of it
        Assert.False(slots.TakeAsync(default).IsCompleted);
    }

    [Fact]
    public async Task Who_is_done_makes_room_at_once()
    {
        var slots = new HandshakeSlots(1, TimeSpan.FromSeconds(2), _clock);
        HandshakeSlots.Slot first = await slots.TakeAsync(default);
        Task<HandshakeSlots.Slot> second = slots.TakeAsync(default);
        first.Dispose();
        await second;
        Assert.False(first.Late.IsCancellationRequested);
    }

    [Fact]
    public async Task Waiting_can_be_given_up()
    {
        var slots = new HandshakeSlots(1, TimeSpan.FromSeconds(2), _clock);
        await slots.TakeAsync(default);
        using var stop = new CancellationTokenSource();
        Task<HandshakeSlots.Slot> second = slots.TakeAsync(stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => second);
    }

    /// <summary>A clock that stands still but for <see cref="Advance"/>.</summary>
    private sealed class ManualClock : TimeProvider
    {
        private readonly List<ManualTimer> _timers = [];
        private TimeSpan _now;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _now.Ticks;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = new ManualTimer(() => callback(state), () => _now);
            timer.Change(dueTime, period);
            _timers.Add(timer);
            return timer;
        }

        public void Advance(TimeSpan by)
        {
            _now += by;
            foreach (ManualTimer timer in _timers.ToArray())
            {
                timer.Ring();
            }
        }
    }

    private sealed class ManualTimer(Action callback, Func<TimeSpan> now) : ITimer
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
