using GlooX.Protocol;
using GlooX.Rpc.Tests.RpcRuntime;

namespace GlooX.Rpc.Tests.Protocol;

/// <summary>The one timer of all connections, with a clock that the test turns.</summary>
public sealed class DeadlineTimerTests
{
    private readonly Clock _clock = new();
    private readonly Watched _watched = new();
    private readonly DeadlineTimer _sweeper;

    public DeadlineTimerTests() => _sweeper = new DeadlineTimer(_clock, () => _clock.Now);

    [Fact]
    public void Each_second_unless_something_comes_sooner()
    {
        _sweeper.Add(_watched);
        _clock.Pass(999);
        Assert.Equal(0, _watched.Sweeps);
        _clock.Pass(1);
        Assert.Equal(1, _watched.Sweeps);

        _sweeper.Expect(_clock.Now + 200);
        _clock.Pass(200);
        Assert.Equal(2, _watched.Sweeps);

        _watched.Next = _clock.Now + 1100;
        _clock.Pass(1000);
        Assert.Equal(3, _watched.Sweeps);
        _clock.Pass(100);
        Assert.Equal(4, _watched.Sweeps);
    }

    [Fact]
    public void What_is_expected_while_one_sweeps_is_not_forgotten_however_long_that_takes()
    {
        _sweeper.Add(_watched);
        _watched.Sweeping = () =>
        {
            _sweeper.Expect(_clock.Now + 10);
            _clock.Pass(200);
        };
        _clock.Pass(1000);
        Assert.Equal(1, _watched.Sweeps);

        _watched.Sweeping = null;
        _clock.Pass(50);
        Assert.Equal(2, _watched.Sweeps);
        _clock.Pass(1000);
        Assert.Equal(3, _watched.Sweeps);
    }

    [Fact]
    public void No_two_sweep_at_once_and_the_timer_goes_on()
    {
        _sweeper.Add(_watched);
        _watched.Sweeping = _clock.Fire;
        _clock.Pass(1000);
        Assert.Equal(1, _watched.Sweeps);
        _watched.Sweeping = null;
        _clock.Pass(1000);
        Assert.Equal(2, _watched.Sweeps);
    }

    [Fact]
    public void Nobody_is_woken_for_nobody()
    {
        _sweeper.Add(_watched);
        _sweeper.Remove(_watched);
        _clock.Pass(1000);
        Assert.False(_clock.IsSet);
        _sweeper.Add(_watched);
        Assert.True(_clock.IsSet);
        _clock.Pass(1000);
        Assert.Equal(1, _watched.Sweeps);
    }

    [Fact]
    public void It_may_begin_where_the_context_does_not_flow()
    {
        using (ExecutionContext.SuppressFlow())
        {
            _sweeper.Add(_watched);
        }

        _clock.Pass(1000);
        Assert.Equal(1, _watched.Sweeps);
    }

    private sealed class Watched : IDeadlineOwner
    {
        public int Sweeps { get; private set; }

        public long Next { get; set; } = long.MaxValue;

        public Action? Sweeping { get; set; }

        public long CheckDeadlines(long now)
        {
            Sweeps++;
            Sweeping?.Invoke();
            return Next;
        }
    }

    /// <summary>In ms; its one timer fires on the thread that turns it.</summary>
    private sealed class Clock : TimeProvider, ITimer
    {
        private Action _fire = static () => { };
        private long _due = long.MaxValue;

        public long Now { get; private set; }

        public bool IsSet => _due != long.MaxValue;

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            _fire = () => callback(state);
            return this;
        }

        public bool Change(TimeSpan dueTime, TimeSpan period)
        {
            _due = Now + (long)dueTime.TotalMilliseconds;
            return true;
        }

        public void Pass(long time)
        {
            Now += time;
            if (_due <= Now)
            {
                _due = long.MaxValue;
                Fire();
            }
        }

        public void Fire() => _fire();

        public void Dispose()
        {
        }

        public ValueTask DisposeAsync() => default;
    }
}
