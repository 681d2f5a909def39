using System.Collections.Concurrent;
using Akka.Actor;
using Akka.Configuration;
using Akka.Event;

namespace GlooX.Grid.Tests;

/// <summary>What the engine does later, by the machine's own clock: what happens and in which order, not when.</summary>
public sealed class EngineSchedulerTests : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);
    private readonly EngineScheduler _scheduler = new(Config.Empty, NoLogger.Instance);
    private readonly ConcurrentQueue<string> _done = new();
    private readonly SemaphoreSlim _turns = new(0);

    private IActionScheduler Actions => _scheduler;

    public void Dispose()
    {
        _scheduler.Dispose();
        _turns.Dispose();
    }

    [Fact]
    public async Task What_is_due_sooner_comes_first()
    {
        // Far enough apart that no pause of this thread between two of them changes their order.
        Actions.ScheduleOnce(TimeSpan.FromSeconds(6), Note("third"));
        Actions.ScheduleOnce(TimeSpan.FromSeconds(3), Note("second"));
        Actions.ScheduleOnce(TimeSpan.Zero, Note("first"));
        await TurnsAsync(3);
        Assert.Equal(["first", "second", "third"], _done);
    }

    [Fact]
    public async Task Nothing_comes_before_its_time()
    {
        long start = Environment.TickCount64, end = 0;
        Actions.ScheduleOnce(TimeSpan.FromMilliseconds(120), () =>
        {
            end = Environment.TickCount64;
            _turns.Release();
        });
        await TurnsAsync(1);
        Assert.InRange(end - start, 120, long.MaxValue);
    }

    [Fact]
    public async Task What_is_repeated_goes_on_until_it_is_cancelled()
    {
        using var cancel = new Cancelable(Actions);
        Actions.ScheduleRepeatedly(TimeSpan.Zero, TimeSpan.FromMilliseconds(50), Note("again"), cancel);
        await TurnsAsync(4);
        cancel.Cancel();

        // Two that come after it: what was due at the moment of the cancelling may still come, the next not.
        Actions.ScheduleOnce(TimeSpan.FromMilliseconds(100), Note("end"));
        while (!_done.Contains("end"))
        {
            await TurnsAsync(1);
        }

        int before = _done.Count;
        Actions.ScheduleOnce(TimeSpan.FromMilliseconds(200), Note("later"));
        await TurnsAsync(1);
        Assert.Equal("later", _done.Last());
        Assert.Equal(before + 1, _done.Count);
    }

    [Fact]
    public async Task What_was_cancelled_does_not_come()
    {
        using var cancel = new Cancelable(Actions);
        Actions.ScheduleOnce(TimeSpan.FromSeconds(3), Note("never"), cancel);
        cancel.Cancel();
        Actions.ScheduleOnce(TimeSpan.FromSeconds(3), Note("end")); // due after it
        await TurnsAsync(1);
        Assert.Equal(["end"], _done);
    }

    [Fact]
    public async Task What_is_stuck_or_fails_does_not_stop_what_comes_next()
    {
        var stuck = new ManualResetEventSlim(); // not disposed: if the test fails, somebody may still be about to wait
        Actions.ScheduleOnce(TimeSpan.FromSeconds(3), Note("what waited already"));
        Actions.ScheduleOnce(TimeSpan.Zero, () =>
        {
            _turns.Release();
            stuck.Wait(); // until the end, so that nothing below can come because it goes on
        });
        try
        {
            await TurnsAsync(2);
            Actions.ScheduleOnce(TimeSpan.FromMilliseconds(100), static () => throw new InvalidOperationException());
            Actions.ScheduleOnce(TimeSpan.FromMilliseconds(100), Note("beside it"));
            Actions.ScheduleOnce(TimeSpan.FromMilliseconds(200), Note("after it"));
            await TurnsAsync(2);
            Assert.Equal(["what waited already", "beside it", "after it"], _done);
        }
        finally
        {
            stuck.Set();
        }
    }

    [Fact]
    public async Task One_that_has_stopped_takes_nothing_and_does_nothing()
    {
        Actions.ScheduleOnce(TimeSpan.FromSeconds(3), Note("never"));
        _scheduler.Dispose();
        Assert.Throws<SchedulerException>(() => Actions.ScheduleOnce(TimeSpan.Zero, Note("never")));
        using var other = new EngineScheduler(Config.Empty, NoLogger.Instance);
        ((IActionScheduler)other).ScheduleOnce(TimeSpan.FromSeconds(3), Note("other"));
        await TurnsAsync(1);
        Assert.Equal(["other"], _done);
    }

    [Theory]
    [InlineData(10_000, 1000, 11_000)]
    [InlineData(10_003, 1000, 11_000)]
    [InlineData(10_499, 1000, 11_000)]
    [InlineData(10_500, 1000, 12_000)]
    [InlineData(10_003, 1500, 12_000)]
    [InlineData(10_003, 5000, 15_000)]
    [InlineData(10_900, 300, 11_000 + 1000)]
    [InlineData(10_700, 300, 11_000)]
    public void Waits_end_with_the_whole_second_that_is_nearest(long now, long wait, long end) => Assert.Equal(end, TimerCoalescing.RoundedEnd(now, wait));

    private Action Note(string what) => () =>
    {
        _done.Enqueue(what);
        _turns.Release();
    };

    private async Task TurnsAsync(int count)
    {
        for (int i = 0; i < count; i++)
        {
            Assert.True(await _turns.WaitAsync(s_limit, TestContext.Current.CancellationToken), $"only {string.Join(", ", _done)}");
        }
    }
}
