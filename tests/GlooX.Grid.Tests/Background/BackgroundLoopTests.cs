using Microsoft.Extensions.Logging;

namespace GlooX.Grid.Tests;

public sealed class BackgroundLoopTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);
    private readonly ManualTime _time = new();
    private readonly ListLogger _logger = new();
    private readonly SemaphoreSlim _runs = new(0);

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_body_that_fails_is_logged_by_name_and_runs_again()
    {
        int runs = 0;
        await using BackgroundLoop loop = Make(ct =>
        {
            _runs.Release();
            return ++runs == 1 ? throw new IOException("disk on fire") : Forever(ct);
        }).Start();
        await RunsAsync(1);

        _time.Pass(await _time.NextTimerAsync(Ct));

        await RunsAsync(1);
        Assert.Equal([(LogLevel.Error, 2001, "Background loop 'test' failed and restarts in 00:00:00.1000000: disk on fire")], _logger.Entries);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_body_that_ends_before_its_stop_is_logged_and_runs_again(bool byCancellation)
    {
        await using BackgroundLoop loop = Make(_ =>
        {
            _runs.Release();
            return byCancellation ? Task.FromCanceled(new CancellationToken(canceled: true)) : Task.CompletedTask;
        }).Start();
        for (int i = 0; i < 3; i++)
        {
            await RunsAsync(1);
            _time.Pass(await _time.NextTimerAsync(Ct));
        }

        Assert.All(_logger.Entries, e => Assert.Equal(2001, e.Id));
    }

    [Fact]
    public async Task The_pause_doubles_with_each_failure_and_begins_anew_after_a_long_run()
    {
        TimeSpan lasts = TimeSpan.Zero;
        await using BackgroundLoop loop = Make(_ =>
        {
            _time.Pass(lasts);
            throw new IOException("again");
        }).Start();
        var pauses = new List<double>();
        for (int i = 0; i < 12; i++)
        {
            TimeSpan pause = await _time.NextTimerAsync(Ct);
            pauses.Add(pause.TotalSeconds);
            lasts = i == 10 ? TimeSpan.FromSeconds(30) : TimeSpan.Zero;
            _time.Pass(pause);
        }

        Assert.Equal([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30, 0.1], pauses);
    }

    [Fact]
    public async Task Stopping_ends_the_body_and_it_does_not_run_again()
    {
        BackgroundLoop loop = Make(ct =>
        {
            _runs.Release();
            return Forever(ct);
        }).Start();
        await RunsAsync(1);

        Assert.True(await loop.StopAsync());
        Assert.True(await loop.Start().StopAsync());
        Assert.Equal(0, _runs.CurrentCount);
        Assert.Empty(_logger.Entries);
    }

    [Fact]
    public async Task A_stop_during_the_pause_before_a_restart_is_immediate()
    {
        BackgroundLoop loop = Make(_ => throw new IOException("again")).Start();
        await _time.NextTimerAsync(Ct); // and the clock stands

        Assert.True(await loop.StopAsync());
    }

    [Fact]
    public async Task A_loop_stopped_before_its_start_never_runs()
    {
        BackgroundLoop loop = Make(_ => throw new IOException("ran"));

        Assert.True(await loop.StopAsync());
        Assert.True(await loop.Start().StopAsync());
        Assert.Empty(_logger.Entries);
    }

    [Fact]
    public async Task A_body_that_ignores_its_stop_is_left_behind_after_the_timeout_and_logged()
    {
        var end = new TaskCompletionSource();
        BackgroundLoop loop = Make(_ =>
        {
            _runs.Release();
            return end.Task;
        }).Start();
        await RunsAsync(1);

        Task<bool> stopping = loop.StopAsync(TimeSpan.FromSeconds(7));
        Assert.Equal(TimeSpan.FromSeconds(7), await _time.NextTimerAsync(Ct));
        Assert.False(stopping.IsCompleted);
        _time.Pass(TimeSpan.FromSeconds(7));

        Assert.False(await stopping);
        Assert.Equal([2003], _logger.Entries.Select(e => e.Id));
        end.SetResult();
        Assert.True(await loop.StopAsync());
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_stop_never_throws_whatever_the_body_does(bool inCallback)
    {
        BackgroundLoop loop = Make(async ct =>
        {
            await using CancellationTokenRegistration callback = ct.Register(() =>
            {
                if (inCallback)
                {
                    throw new IOException("in the callback");
                }
            });
            _runs.Release();
            await Task.WhenAny(Forever(ct));
            if (!inCallback)
            {
                throw new IOException("in the body");
            }
        }).Start();
        await RunsAsync(1);

        Assert.True(await loop.StopAsync());
        Assert.Equal([2002], _logger.Entries.Select(e => e.Id));
    }

    [Fact]
    public async Task A_periodic_loop_runs_its_step_at_the_start_after_each_interval_and_when_woken()
    {
        await using BackgroundLoop loop = Periodic(_ =>
        {
            _runs.Release();
            return Task.CompletedTask;
        }).Start();
        await RunsAsync(1);
        Assert.Equal(TimeSpan.FromMinutes(5), await _time.NextTimerAsync(Ct));

        _time.Pass(TimeSpan.FromMinutes(5));
        await RunsAsync(1);
        await _time.NextTimerAsync(Ct);
        loop.Wake(); // the clock stands

        await RunsAsync(1);
        Assert.Empty(_logger.Entries);
    }

    [Fact]
    public async Task A_wake_during_a_step_leads_to_one_more_step_and_never_to_two_at_once()
    {
        int now = 0, most = 0;
        using var go = new SemaphoreSlim(0);
        await using BackgroundLoop loop = Periodic(async ct =>
        {
            most = Math.Max(most, Interlocked.Increment(ref now));
            _runs.Release();
            await go.WaitAsync(ct);
            Interlocked.Decrement(ref now);
        }).Start();
        await RunsAsync(1);
        loop.Wake();
        loop.Wake();

        go.Release();
        await RunsAsync(1);
        go.Release();
        await _time.NextTimerAsync(Ct); // pauses: both wakes are served

        Assert.Equal(1, most);
        Assert.Equal(0, _runs.CurrentCount);
    }

    [Fact]
    public async Task A_periodic_loop_goes_on_after_a_step_that_failed()
    {
        int runs = 0;
        await using BackgroundLoop loop = Periodic(_ =>
        {
            _runs.Release();
            return ++runs == 2 ? throw new IOException("once") : Task.CompletedTask;
        }).Start();
        for (int i = 0; i < 3; i++)
        {
            await RunsAsync(1);
            _time.Pass(await _time.NextTimerAsync(Ct));
        }

        await RunsAsync(1);
        Assert.Single(_logger.Entries);
    }

    [Fact]
    public async Task Ambient_values_of_the_starter_do_not_flow_into_the_body()
    {
        var ambient = new AsyncLocal<string> { Value = "a request" };
        string? seen = "none";
        await using BackgroundLoop loop = Make(ct =>
        {
            seen = ambient.Value;
            _runs.Release();
            return Forever(ct);
        }).Start();
        await RunsAsync(1);

        Assert.Null(seen);
        Assert.Equal("a request", ambient.Value);
    }

    private static Task Forever(CancellationToken ct) => Task.Delay(Timeout.InfiniteTimeSpan, ct);

    private BackgroundLoop Make(Func<CancellationToken, Task> body) => new("test", body, _logger, _time);

    private BackgroundLoop Periodic(Func<CancellationToken, Task> step) =>
        BackgroundLoop.Periodic("test", TimeSpan.FromMinutes(5), step, _logger, _time);

    private async Task RunsAsync(int count)
    {
        for (int i = 0; i < count; i++)
        {
            Assert.True(await _runs.WaitAsync(s_limit, Ct), "the body did not run");
        }
    }
}
