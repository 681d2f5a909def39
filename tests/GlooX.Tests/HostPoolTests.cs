using System.Collections.Concurrent;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using GlooX.Bundles;
using GlooX.Contracts;
using GlooX.Hosts;
using GlooX.Payloads;
using GlooX.Processes;
using GlooX.Slots;
using GlooX.Workers;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX.Tests;

/// <summary>The pool of warm hosts, with real ones.</summary>
[Trait("Category", "Slow")]
public sealed class HostPoolTests : IAsyncDisposable
{
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"pool-{Guid.NewGuid():N}")).FullName;
    private readonly ManualTime _time = new();
    private readonly List<Host> _taken = [];
    private readonly AgentWorkspace _workspace = new(Machine.Local(Path.GetTempPath()), NullLogger.Instance);

    public async ValueTask DisposeAsync()
    {
        foreach (Host host in _taken)
        {
            host.Process.KillAll();
            await host.Process.Exited;
            host.Process.Control!.Dispose();
        }

        _workspace.Dispose();
        Directory.Delete(_folder, recursive: true);
        await Eventually.HoldsAsync(() => TestGrid.Hosts().Count == 0, "no host process is left");
    }

    [Fact]
    public async Task It_grows_with_a_burst_that_it_never_holds_up_and_shrinks_again_when_it_is_quiet()
    {
        await using HostPool pool = Pool(new PoolRule(1, 3));
        await Eventually.HoldsAsync(() => pool.Count == 1, "a host is warm");
        for (int i = 0; i < 3; i++)
        {
            _taken.Add(pool.Take("any.dll", Request, user: null));
        }

        Assert.Equal([true, false, false], _taken.Select(h => h.Warm)); // those for which there was none have started cold, at once
        _taken.ForEach(_ => pool.Used());
        _time.Advance(TimeSpan.FromSeconds(1));
        await Eventually.HoldsAsync(() => pool.Count == 3, "as many are warm as were taken");
        _time.Advance(TimeSpan.FromMinutes(3));
        await Eventually.HoldsAsync(() => pool.Count == 1, "only the least is left");
        Assert.Equal(4, TestGrid.Hosts().Count);
    }

    [Fact]
    public async Task Hosts_have_the_priority_of_their_agent_once_they_are_warm()
    {
        await using HostPool pool = Pool(new PoolRule(1, 1));
        await Eventually.HoldsAsync(() => pool.Count == 1, "a host is warm");
        int host = Assert.Single(TestGrid.Hosts());
        Assert.Equal([NiceOf($"/proc/{Environment.ProcessId}")], Directory.GetDirectories($"/proc/{host}/task").Select(NiceOf).Distinct());
    }

    [Fact]
    public async Task A_priority_that_may_not_be_raised_again_is_not_lowered()
    {
        using Process sleeper = Process.Start(new ProcessStartInfo("sleep", "600") { UseShellExecute = false })!;
        int own = NiceOf($"/proc/{Environment.ProcessId}");
        try
        {
            LinuxPriority.Reduce(sleeper.Id);
            Assert.Contains(NiceOf($"/proc/{sleeper.Id}"), new[] { own, Math.Min(19, own + 10) });
            LinuxPriority.Restore(sleeper.Id);
            Assert.Equal(own, NiceOf($"/proc/{sleeper.Id}"));
        }
        finally
        {
            sleeper.Kill();
            await sleeper.WaitForExitAsync(TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task A_host_with_a_payload_loaded_is_for_that_payload_first_and_for_others_last()
    {
        string lockFile = Path.Combine(_folder, "lock");
        await using (HostPool pool = Pool(new PoolRule(1, 2)))
        {
            pool.Prepare(TestGrid.Payload, Lease(lockFile));
            await Eventually.HoldsAsync(() => (pool.Count, pool.PreparedCount) == (2, 1), "both hosts are warm");
            Assert.Null(FileLock.TryTake(lockFile)); // its files are held
            Take(pool, "other.dll", "");
            Take(pool, "other.dll", TestGrid.Payload);
            Take(pool, TestGrid.Payload, "");
            Assert.False(_taken[^1].Warm);
            _taken.ForEach(_ => pool.Used());
            _time.Advance(TimeSpan.FromSeconds(1));
            await Eventually.HoldsAsync(() => (pool.Count, pool.PreparedCount) == (2, 1), "both are replaced");
            Take(pool, TestGrid.Payload, TestGrid.Payload);
        }

        _taken.ForEach(h => h.Process.KillAll());
        await Eventually.HoldsAsync(() => Released(lockFile), "its files are given back");
    }

    [Fact]
    public async Task A_payload_that_cannot_be_loaded_is_dropped_and_the_pool_goes_on()
    {
        await using HostPool pool = Pool(new PoolRule(1, 2));
        for (int i = 0; i < 4; i++) // more often than hosts may fail to start
        {
            string file = Path.Combine(_folder, $"bad{i}.dll");
            await File.WriteAllTextAsync(file, "no assembly", TestContext.Current.CancellationToken);
            pool.Prepare(file, Lease(file));
            await Eventually.HoldsAsync(() => Released(file), "its files are given back");
        }

        pool.Prepare(TestGrid.Payload, Lease(Path.Combine(_folder, "lock")));
        await Eventually.HoldsAsync(() => (pool.Count, pool.PreparedCount) == (2, 1), "a sound one is loaded");
    }

    [Fact]
    public async Task The_pool_is_warm_again_when_hosts_can_be_started_after_several_failures()
    {
        using var logs = new LogKeeper();
        int starts = 0;
        var launcher = new Launcher(launch => ++starts switch
        {
            1 or 2 => throw new Win32Exception(24), // EMFILE: too many open files
            3 or 4 => launch with { File = "/bin/false" },
            _ => launch,
        });
        await using HostPool pool = Pool(new PoolRule(1, 1), launcher, logs);
        await Eventually.HoldsAsync(() => pool.Count == 1, "a host is warm");
        Assert.Equal(5, starts);
        Assert.Equal(4, logs.Errors.Count(static e => e.Contains("'warm hosts'", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task A_host_that_stands_still_while_it_becomes_warm_is_replaced()
    {
        using var logs = new LogKeeper();
        int starts = 0;
        var launcher = new Launcher(launch => ++starts > 1 ? launch : launch with
        {
            File = "/bin/sh",
            Arguments = ["-c", "kill -STOP $$; exec \"$@\"", "sh", launch.File, .. launch.Arguments],
        });
        await using HostPool pool = Pool(new PoolRule(1, 1), launcher, logs);
        await Eventually.HoldsAsync(() => _time.TimerCount == 1, "the host is waited for");
        _time.Advance(TimeSpan.FromSeconds(61));
        await Eventually.HoldsAsync(() => pool.Count == 1, "another host is warm");
        Assert.Single(logs.Errors, static e => e.Contains("was not ready within 60 s", StringComparison.Ordinal));
        Assert.Single(TestGrid.Hosts());
    }

    private static int NiceOf(string folder)
    {
        string stat = File.ReadAllText($"{folder}/stat");
        return int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[16], CultureInfo.InvariantCulture);
    }

    private static SpawnRequest Request { get; } = new("any.dll", "Any", 0, 0, PlacementStrategy.Direct, new ProcessOptions(), 30_000, AllowSpawn: false);

    private static bool Released(string lockFile)
    {
        using FileStream? taken = FileLock.TryTake(lockFile);
        return taken is not null;
    }

    private void Take(HostPool pool, string assembly, string prepared)
    {
        _taken.Add(pool.Take(assembly, Request, user: null));
        Assert.Equal(prepared, _taken[^1].Prepared);
    }

    private BundleLease Lease(string lockFile)
    {
        using (new FileStream(lockFile, FileMode.OpenOrCreate, FileAccess.Read, FileShare.ReadWrite))
        {
            // it is there
        }

        return new BundleLease(_folder, lockFile, FileLock.TryShare(lockFile)!);
    }

    private HostPool Pool(PoolRule rule, IProcessLauncher? launcher = null, ILogger? logger = null) =>
        new HostPool(rule, new LaunchRule(launcher ?? ProcessLauncher.Local, [], []), _workspace, static () => long.MaxValue, logger ?? NullLogger.Instance, _time).Start();

    private sealed class Launcher(Func<ProcessLaunch, ProcessLaunch> change) : IProcessLauncher
    {
        public ILaunchedProcess Start(ProcessLaunch launch) => ProcessLauncher.Local.Start(change(launch));
    }

    private sealed class ManualTime : TimeProvider
    {
        private readonly ConcurrentDictionary<Timer, long> _timers = new();
        private long _ticks;

        /// <summary>How many timers run.</summary>
        public int TimerCount => _timers.Count;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public void Advance(TimeSpan by)
        {
            long now = Interlocked.Add(ref _ticks, by.Ticks);
            foreach ((Timer timer, _) in _timers.Where(t => t.Value <= now))
            {
                timer.Fire();
            }
        }

        public override long GetTimestamp() => Interlocked.Read(ref _ticks);

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            var timer = new Timer(this, () => callback(state));
            timer.Change(dueTime, period);
            return timer;
        }

        private sealed class Timer(ManualTime time, Action callback) : ITimer
        {
            public void Fire()
            {
                Dispose();
                callback();
            }

            public bool Change(TimeSpan dueTime, TimeSpan period)
            {
                if (dueTime == Timeout.InfiniteTimeSpan)
                {
                    Dispose();
                }
                else
                {
                    time._timers[this] = time.GetTimestamp() + dueTime.Ticks;
                }

                return true;
            }

            public void Dispose() => time._timers.TryRemove(this, out _);

            public ValueTask DisposeAsync()
            {
                Dispose();
                return ValueTask.CompletedTask;
            }
        }
    }
}
