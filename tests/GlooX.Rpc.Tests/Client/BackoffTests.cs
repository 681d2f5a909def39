using CsCheck;
using GlooX.Client;
using GlooX.Rpc.Tests.RpcRuntime;

namespace GlooX.Rpc.Tests.Client;

public sealed class BackoffTests
{
    [Theory]
    [InlineData(1, 0.0, 10)]
    [InlineData(1, 1.0, 20)]
    [InlineData(2, 1.0, 40)]
    [InlineData(5, 0.5, 240)]
    [InlineData(6, 1.0, 640)]
    [InlineData(7, 1.0, 1000)]
    [InlineData(int.MaxValue, 0.0, 500)]
    public void Pauses_double_up_to_the_maximum(int failures, double random, int milliseconds) =>
        Assert.Equal(milliseconds, Backoff.Pause(failures, TimeSpan.FromSeconds(1), random).TotalMilliseconds);

    [Fact]
    public void A_pause_is_never_longer_than_the_maximum_nor_shorter_than_half_of_what_it_could_be() =>
        Gen.Select(Gen.Int[1, 100], Gen.Int[1, 100_000], Gen.Double[0, 1]).Sample((failures, max, random) =>
        {
            TimeSpan longest = Backoff.Pause(failures, TimeSpan.FromMilliseconds(max), 1);
            TimeSpan pause = Backoff.Pause(failures, TimeSpan.FromMilliseconds(max), random);
            return pause <= longest && longest.TotalMilliseconds <= max && pause >= longest / 2;
        });
}

public sealed class ConnectionSlotTests
{
    private static readonly TimeSpan s_max = TimeSpan.FromSeconds(1);

    [Fact]
    public async Task Between_attempts_that_fail_there_is_a_pause_and_callers_meanwhile_share_the_next()
    {
        using var stop = new CancellationTokenSource();
        var time = new StillTime();
        int dials = 0;
        var slot = new ConnectionSlot(
            _ =>
            {
                dials++;
                throw new RpcException(RpcError.Connection, "nobody there");
            },
            s_max,
            time,
            stop.Token);
        await Assert.ThrowsAsync<RpcException>(slot.ConnectAsync);
        Assert.Equal(1, dials);

        for (int failures = 1; failures < 10; failures++)
        {
            Task next = slot.ConnectAsync();
            await Wait.UntilAsync(() => time.IsAwaited, "a pause");
            Assert.Same(next, slot.ConnectAsync());
            time.Advance((Backoff.Pause(failures, s_max, 0) - TimeSpan.FromMilliseconds(1)));
            Assert.False(next.IsCompleted);
            Assert.Equal(failures, dials);
            time.Advance(Backoff.Pause(failures, s_max, 1));
            await Assert.ThrowsAsync<RpcException>(() => next);
            Assert.Equal(failures + 1, dials);
        }

        time.Advance(s_max);
        await Assert.ThrowsAsync<RpcException>(slot.ConnectAsync); // the pause is over: at once
    }

    [Fact]
    public async Task A_stop_ends_the_pause()
    {
        using var stop = new CancellationTokenSource();
        var time = new StillTime();
        var slot = new ConnectionSlot(static _ => throw new RpcException(RpcError.Connection, "nobody there"), s_max, time, stop.Token);
        await Assert.ThrowsAsync<RpcException>(slot.ConnectAsync);
        Task next = slot.ConnectAsync();
        await Wait.UntilAsync(() => time.IsAwaited, "a pause");
        await stop.CancelAsync();
        await slot.SettleAsync().WaitAsync(Wait.Deadline, TestContext.Current.CancellationToken);
        Assert.True(next.IsCanceled);
    }

    /// <summary>Moves only when told. One timer at a time.</summary>
    private sealed class StillTime : TimeProvider
    {
        private readonly Lock _gate = new();
        private Timer? _timer;
        private TimeSpan _now = TimeSpan.FromHours(1);

        public bool IsAwaited
        {
            get
            {
                lock (_gate)
                    return _timer is not null;
            }
        }

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _now.Ticks;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            lock (_gate)
                return _timer = new Timer(this, callback, state, _now + dueTime);
        }

        public void Advance(TimeSpan by)
        {
            Timer? due = null;
            lock (_gate)
            {
                _now += by;
                if (_timer?.Due <= _now)
                    (due, _timer) = (_timer, null);
            }

            due?.Callback(due.State);
        }

        private sealed class Timer(StillTime time, TimerCallback callback, object? state, TimeSpan due) : ITimer
        {
            public TimerCallback Callback => callback;

            public object? State => state;

            public TimeSpan Due => due;

            public bool Change(TimeSpan dueTime, TimeSpan period) => throw new NotSupportedException();

            public void Dispose()
            {
                lock (time._gate)
                {
                    if (time._timer == this)
                        time._timer = null;
                }
            }

            public ValueTask DisposeAsync()
            {
                Dispose();
                return default;
            }
        }
    }
}
