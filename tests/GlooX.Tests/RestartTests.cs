using GlooX.Tests.Payload;
using System.Net;
using System.Net.Sockets;

namespace GlooX.Tests;

/// <summary>Processes that are started again when they have ended.</summary>
public sealed class RestartTests : IDisposable
{
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"payload-{Guid.NewGuid():N}")).FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private static RestartPolicy Soon { get; } = RestartPolicy.OnFailure with { FirstPause = TimeSpan.FromMilliseconds(10), LongestPause = TimeSpan.FromMilliseconds(20) };

    // Nobody waits for the start.
    private static RestartPolicy Late { get; } = RestartPolicy.Always with { FirstPause = TimeSpan.FromHours(1), LongestPause = TimeSpan.FromHours(1) };

    private string Go => Path.Combine(_folder, "go");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_program_that_fails_is_started_again_under_its_id_with_its_reservation_folder_options_and_log()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        SpawnOptions options = new() { Restart = Soon, Provision = new Provision("100MB", "1MB"), Values = new() { ["colour"] = "blue" } };
        await using SpawnedProcess process = await grid.Client.SpawnAsync(
            Script($"read options\necho \"$GLOOX_ID $GLOOX_TMPDIR $options\"\necho x >> $GLOOX_TMPDIR/starts\n[ $(wc -l < $GLOOX_TMPDIR/starts) -lt 3 ] && exit 3\nwhile [ ! -e {Go} ]; do sleep 0.05; done"), options, ct: Ct);
        Task<ExitStatus> end = process.Exited;
        await Eventually.HoldsAsync(async () => await process.InfoAsync(Ct) is { Restarts: 2, State: ProcessState.Running }, "it runs for the third time");
        ProcessInfo? info = await process.InfoAsync(Ct);
        Assert.Equal((process.Id, process.TmpDir, 100_000_000, new ExitStatus(3, 0), null), (info!.Id, info.TmpDir, info.MemoryBytes, info.LastExit, info.Exit));
        Assert.NotEqual(process.Pid, info.Pid);
        Assert.True(TestGrid.IsRunning(info.Pid) && !TestGrid.IsRunning(process.Pid));
        Assert.Equal(process.Id, Assert.Single(await grid.Client.ProcessesAsync(Ct)).Id);
        Assert.False(end.IsCompleted);

        await File.WriteAllTextAsync(Go, "", Ct);
        Assert.Equal(new ExitStatus(0, 0), await end.WaitAsync(Ct));
        List<string> lines = await process.LogsAsync(follow: true, ct: Ct).Select(static l => l.Text).ToListAsync(Ct);
        Assert.Equal(3, lines.Count);
        Assert.Single(lines.Distinct());
        Assert.StartsWith($"{process.Id} {process.TmpDir} {{", lines[0], StringComparison.Ordinal);
        Assert.Contains("\"colour\":\"blue\"", lines[0], StringComparison.Ordinal);
        await grid.NothingIsLeftAsync();
        Assert.False(Directory.Exists(process.TmpDir));
    }

    [Fact]
    public async Task A_class_that_is_killed_answers_again_at_the_same_address_for_whoever_has_a_line_to_it()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess process = await grid.SpawnAsync("Good", new SpawnOptions { Restart = Soon });
        ProcessOptions given = await process.As<IGood>().GivenAsync();
        for (int i = 1; i <= 2; i++)
        {
            await RestartedAsync(process, i, (await process.InfoAsync(Ct))!.Pid);
            Assert.Equal("yes!", await process.CallAsync<string>("all_well?"));
        }

        ProcessInfo? info = await process.InfoAsync(Ct);
        Assert.Equal((process.Url, 200_000_000, new ExitStatus(0, 9)), (info!.Url, info.MemoryBytes, info.LastExit));
        ProcessOptions again = await process.As<IGood>().GivenAsync();
        Assert.Equal((given.TmpDir, given.ParentUrl, given.Ppid), (again.TmpDir, again.ParentUrl, again.Ppid));
        Assert.Equal(new ExitStatus(0, 9), await process.KillAsync(Ct));
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_class_comes_back_on_the_port_that_was_asked_for_also_when_that_was_taken_for_a_while()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string url = FreeUrl();
        await using SpawnedProcess process = await grid.SpawnAsync("Good", new SpawnOptions { Url = url, Restart = Soon with { FirstPause = TimeSpan.FromSeconds(3), LongestPause = TimeSpan.FromSeconds(3), Jitter = 0 } });
        Assert.Equal(url, process.Url);
        await using IAsyncEnumerator<ProcessEvent> events = grid.Client.WatchProcessesAsync(process.Id, Ct).GetAsyncEnumerator(Ct);
        Assert.Equal(ProcessEventKind.Watching, (await NextAsync(events)).Kind);
        Kill(process.Pid);
        Assert.Equal(ProcessEventKind.Restarting, (await NextAsync(events)).Kind);
        ProcessEvent failed;
        using (TcpListener taker = await TakeAsync(url))
        {
            failed = await NextAsync(events);
        }

        Assert.Equal((ProcessEventKind.Restarting, new ExitStatus(70, 0), 1), (failed.Kind, failed.Exit, failed.Restarts));
        Assert.Contains("another process listens on that port", failed.Reason, StringComparison.Ordinal);
        ProcessEvent restarted = failed;
        while (restarted.Kind != ProcessEventKind.Restarted)
        {
            restarted = await NextAsync(events);
        }

        Assert.Equal((url, ProcessState.Running), (restarted.Url, (await process.InfoAsync(Ct))!.State));
        Assert.Equal("yes!", await process.CallAsync<string>("all_well?"));
    }

    [Fact]
    public async Task A_process_that_fails_too_often_is_given_up_and_keeps_nothing()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess process = await grid.Client.SpawnAsync(Script("echo up; exit 5"), new SpawnOptions { Restart = Soon with { MaxRestarts = 3 } }, ct: Ct);
        Assert.Equal(new ExitStatus(5, 0), await process.WaitForExitAsync(Ct));
        ProcessInfo? info = await process.InfoAsync(Ct);
        Assert.Equal((ProcessState.Exited, 3, new ExitStatus(5, 0), new ExitStatus(5, 0)), (info!.State, info.Restarts, info.Exit, info.LastExit));
        Assert.Equal(4, await process.LogsAsync(ct: Ct).CountAsync(Ct));
        ProcessEvent end = await grid.Client.WatchProcessesAsync(process.Id, Ct).LastAsync(Ct);
        Assert.Equal((ProcessEventKind.Exited, new ExitStatus(5, 0), 3), (end.Kind, end.Exit, end.Restarts));
        Assert.Contains("given up", end.Reason, StringComparison.Ordinal);
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task What_ends_well_is_started_again_only_if_always_is_asked_for()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess once = await grid.Client.SpawnAsync(Script("exit 0"), new SpawnOptions { Restart = Soon }, ct: Ct);
        Assert.Equal(new ExitStatus(0, 0), await once.WaitForExitAsync(Ct));
        Assert.Equal(0, (await once.InfoAsync(Ct))!.Restarts);
        await using SpawnedProcess always = await grid.Client.SpawnAsync(Script("exit 0"), new SpawnOptions { Restart = Soon with { Mode = RestartMode.Always, MaxRestarts = 2 } }, ct: Ct);
        Assert.Equal(new ExitStatus(0, 0), await always.WaitForExitAsync(Ct));
        Assert.Equal(2, (await always.InfoAsync(Ct))!.Restarts);
    }

    [Fact]
    public async Task A_process_that_waits_for_its_next_start_is_listed_holds_its_reservation_and_can_be_ended_for_good()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        foreach (Func<SpawnedProcess, Task<bool>> end in (Func<SpawnedProcess, Task<bool>>[])
            [async p => await p.KillAsync(Ct) == new ExitStatus(4, 0), async p => await p.KillAsync(TimeSpan.FromMinutes(5), Ct) == new ExitStatus(4, 0), p => grid.Client.KillAsync(p.Id, Ct)])
        {
            await using SpawnedProcess process = await grid.Client.SpawnAsync(Script("exit 4"), new SpawnOptions { Restart = Late, Provision = new Provision("100MB", "1MB") }, ct: Ct);
            await Eventually.HoldsAsync(async () => (await process.InfoAsync(Ct))!.State == ProcessState.Restarting, "it waits");
            ProcessInfo waiting = Assert.Single(await grid.Client.ProcessesAsync(Ct));
            Assert.Equal((ProcessState.Restarting, 0, new ExitStatus(4, 0), null, process.Pid), (waiting.State, waiting.Restarts, waiting.LastExit, waiting.Exit, waiting.Pid));
            Assert.NotEqual(0, (await grid.Client.InfoAsync(Ct)).Utilization);
            Assert.False(process.Exited.IsCompleted);
            Assert.True(await end(process));
            Assert.Equal(new ExitStatus(4, 0), await process.Exited.WaitAsync(Ct));
            Assert.Empty(await grid.Client.ProcessesAsync(Ct));
            await grid.NothingIsLeftAsync();
        }
    }

    [Fact]
    public async Task A_process_that_is_killed_while_it_is_started_again_stays_ended()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string second = Path.Combine(_folder, "second");
        await using SpawnedProcess process = await grid.SpawnAsync("SlowSecond", new SpawnOptions { Restart = Soon, Values = new() { ["mark"] = second } });
        Kill(process.Pid);
        await Eventually.HoldsAsync(() => File.Exists(second), "the second start is under way");
        Assert.Equal(ProcessState.Restarting, (await process.InfoAsync(Ct))!.State);
        Assert.Equal(new ExitStatus(0, 9), await process.KillAsync(Ct));
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task What_waits_for_its_next_start_ends_with_its_agent()
    {
        string folder;
        await using (TestGrid grid = await TestGrid.StartAsync())
        {
            await using SpawnedProcess waiting = await grid.Client.SpawnAsync(Script("exit 4"), new SpawnOptions { Restart = Late }, ct: Ct);
            await using SpawnedProcess running = await grid.Client.SpawnAsync(Script("exec sleep 600"), new SpawnOptions { Restart = Soon with { Mode = RestartMode.Always } }, ct: Ct);
            await Eventually.HoldsAsync(async () => (await waiting.InfoAsync(Ct))!.State == ProcessState.Restarting, "it waits");
            folder = waiting.TmpDir;
            await grid.Agents[0].DisposeAsync();
            Assert.False(TestGrid.IsRunning(running.Pid));
        }

        Assert.False(Directory.Exists(folder));
    }

    [Fact]
    public async Task A_first_start_that_fails_is_no_matter_of_the_policy()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        Assert.Contains("the database is away", await grid.FailAsync("ThrowsAtStart", new SpawnOptions { Restart = Soon }), StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_cannot_be_is_refused()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        var error = await Assert.ThrowsAsync<ArgumentException>(() => grid.SpawnAsync("Good", new SpawnOptions { Restart = Soon with { Jitter = 2 } }));
        Assert.Contains("the jitter of restarts is 2", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_that_is_kept_stays_with_what_is_in_it_and_goes_when_the_start_failed()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        SpawnOptions keep = new() { KeepTmpDir = true };
        List<string> kept = [];
        await using (SpawnedProcess program = await grid.Client.SpawnAsync(Script("echo result > $GLOOX_TMPDIR/out"), keep, ct: Ct))
        await using (SpawnedProcess one = await grid.SpawnAsync("Good", keep))
        await using (SpawnedProcess other = await grid.SpawnAsync("Good"))
        {
            Assert.Equal((one.TmpDir, true), ((await one.As<IGood>().GivenAsync()).TmpDir, (await one.As<IGood>().GivenAsync()).KeepTmpDir));
            Assert.Equal(one.TmpDir, (await one.InfoAsync(Ct))!.TmpDir);
            await program.WaitForExitAsync(Ct);
            await one.KillAsync(Ct);
            await other.KillAsync(Ct);
            kept.AddRange([program.TmpDir, one.TmpDir]);
            await grid.NothingIsLeftAsync();
            await Eventually.HoldsAsync(() => !Directory.Exists(other.TmpDir), "the folder that is not kept is gone");
        }

        Assert.Equal("result\n", await File.ReadAllTextAsync(Path.Combine(kept[0], "out"), Ct));
        Assert.All(kept, static k => Assert.True(Directory.Exists(k)));
        kept.ForEach(static k => Directory.Delete(k, recursive: true));

        string[] before = Directory.GetDirectories(Path.GetTempPath(), "kept-gloox-*");
        await grid.FailAsync("ThrowsAtStart", keep);
        await Eventually.HoldsAsync(() => Directory.GetDirectories(Path.GetTempPath(), "kept-gloox-*").All(before.Contains), "nothing is kept of what never was");
    }

    private static async Task RestartedAsync(SpawnedProcess process, int restarts, int pid)
    {
        Kill(pid);
        await Eventually.HoldsAsync(async () => await process.InfoAsync(Ct) is { State: ProcessState.Running } info && info.Restarts == restarts, "it was started again");
    }

    private static async Task<ProcessEvent> NextAsync(IAsyncEnumerator<ProcessEvent> events)
    {
        Assert.True(await events.MoveNextAsync().AsTask().WaitAsync(TimeSpan.FromMinutes(1), Ct));
        return events.Current;
    }

    private static async Task<TcpListener> TakeAsync(string url)
    {
        var taker = new TcpListener(IPEndPoint.Parse(url));
        await Eventually.HoldsAsync(
            () =>
            {
                try
                {
                    taker.Start();
                    return true;
                }
                catch (SocketException)
                {
                    return false;
                }
            },
            "the port is taken");
        return taker;
    }

    private static string FreeUrl()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return listener.LocalEndpoint.ToString()!;
    }

    private static void Kill(int pid)
    {
        using var process = System.Diagnostics.Process.GetProcessById(pid);
        process.Kill();
    }

    private string Script(string text)
    {
        string file = Path.Combine(_folder, $"{Guid.NewGuid():N}.sh");
        File.WriteAllText(file, $"#!/bin/sh\n{text}\n");
        return file;
    }
}
