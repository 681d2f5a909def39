using GlooX.Payloads;

namespace GlooX.Tests;

/// <summary>What is known of a process and done with it from anywhere in the grid.</summary>
public sealed class ProcessTests : IDisposable
{
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"payload-{Guid.NewGuid():N}")).FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_process_is_found_from_any_node_by_its_id_also_after_its_end()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0 });
        await using SpawnedProcess spawned = await grid.SpawnAsync("Good", new SpawnOptions { Strategy = PlacementStrategy.Direct });
        await using GlooXClient other = new GlooXClient(grid.Agents[1].Url);
        await using SpawnedProcess? found = await other.AttachAsync(spawned.Id, Ct);
        Assert.NotNull(found);
        Assert.Equal((spawned.Pid, spawned.Node, spawned.Url, spawned.Started), (found.Pid, found.Node, found.Url, found.Started));
        Assert.Equal(ProcessState.Running, found.State);
        Assert.Equal("yes!", await found.CallAsync<string>("all_well?"));

        Assert.Equal(new ExitStatus(0, 9), await spawned.KillAsync(Ct));
        Assert.Equal(new ExitStatus(0, 9), await found.Exited.WaitAsync(Ct));
        Assert.Equal(ProcessState.Exited, found.State);
        ProcessInfo? info = await found.InfoAsync(Ct);
        Assert.Equal((ProcessState.Exited, new ExitStatus(0, 9)), (info!.State, info.Exit));
        await using SpawnedProcess? later = await other.AttachAsync(spawned.Id, Ct);
        Assert.Equal(new ExitStatus(0, 9), await later!.WaitForExitAsync(Ct));
        Assert.False(await other.KillAsync(spawned.Id, Ct));
        Assert.Null(await other.AttachAsync("nobody", Ct));
    }

    [Fact]
    public async Task What_a_process_puts_where_temporary_files_belong_goes_with_it_however_it_ends()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        string folder = (await child.As<GlooX.Tests.Payload.IGood>().GivenAsync()).TmpDir;
        Assert.NotEmpty(Directory.GetFiles(folder, $"dotnet-diagnostic-{child.Pid}-*")); // the runtime's own
        await using SpawnedProcess script = await grid.Client.SpawnAsync(Script("mktemp; exec sleep 600"), ct: Ct);
        string made = (await script.LogsAsync(follow: true, ct: Ct).FirstAsync(Ct)).Text;
        Assert.True(File.Exists(made));
        await child.KillAsync(Ct);
        await script.KillAsync(Ct);
        await Eventually.HoldsAsync(() => !Directory.Exists(folder) && !Directory.Exists(Path.GetDirectoryName(made)), "both folders are gone");
        Assert.Empty(Directory.GetFiles(Path.GetTempPath(), $"*-{child.Pid}-*"));
    }

    [Fact]
    public async Task A_process_that_is_asked_to_end_may_do_so_in_its_own_way()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        int sleeper = await child.As<GlooX.Tests.Payload.IGood>().StartSleeperAsync();
        Assert.Equal(new ExitStatus(143, 0), await child.KillAsync(TimeSpan.FromMinutes(5), Ct));
        await Eventually.HoldsAsync(() => !TestGrid.IsRunning(sleeper), "its own child is gone");

        await using SpawnedProcess tidy = await StartedAsync(grid, "trap 'echo tidied; exit 3' TERM\necho up\nsleep 600 & wait");
        Assert.Equal(new ExitStatus(3, 0), await tidy.KillAsync(TimeSpan.FromMinutes(5), Ct));
        Assert.Equal(["up", "tidied"], await TextsAsync(tidy.LogsAsync(ct: Ct)));
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_process_that_does_not_end_when_asked_is_killed_after_the_grace()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess stubborn = await StartedAsync(grid, "trap '' TERM\necho up\nwhile :; do sleep 1; done");
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => stubborn.KillAsync(TimeSpan.FromSeconds(-1), Ct));
        Assert.Equal(new ExitStatus(0, 9), await stubborn.KillAsync(TimeSpan.FromMilliseconds(50), Ct));
    }

    [Fact]
    public async Task Both_outputs_are_told_apart_and_kept_after_the_end()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess process = await grid.Client.SpawnAsync(Script("i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; echo bad >&2; printf unfinished"), ct: Ct);
        await process.WaitForExitAsync(Ct);
        List<LogLine> lines = await process.LogsAsync(ct: Ct).ToListAsync(Ct);
        Assert.Equal([.. Enumerable.Range(0, 500).Select(i => $"line {i}"), "unfinished"], lines.Where(l => l.Stream == OutputStream.Output).Select(l => l.Text));
        Assert.Equal(["bad"], lines.Where(l => l.Stream == OutputStream.Error).Select(l => l.Text));
        Assert.All(lines, l => Assert.NotNull(l.Time));
        Assert.Equal(3, await process.LogsAsync(last: 3, ct: Ct).CountAsync(Ct));
        Assert.Contains("unfinished", await TextsAsync(process.LogsAsync(last: 3, ct: Ct)));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(async () => await process.LogsAsync(last: -1, ct: Ct).CountAsync(Ct));
    }

    [Fact]
    public async Task Output_is_followed_from_another_node_until_the_process_ends()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0 });
        string go = Path.Combine(_folder, "go");
        await using SpawnedProcess process = await StartedAsync(grid, $"echo up; while [ ! -e {go} ]; do sleep 0.05; done; echo gone");
        await using GlooXClient other = new GlooXClient(grid.Agents[1].Url);
        await using SpawnedProcess? found = await other.AttachAsync(process.Id, Ct);
        List<string> texts = [];
        await foreach (LogLine line in found!.LogsAsync(follow: true, ct: Ct))
        {
            texts.Add(line.Text);
            await File.WriteAllTextAsync(go, "", Ct); // only now: the first line came while it ran
        }

        Assert.Equal(["up", "gone"], texts);
    }

    [Fact]
    public async Task A_program_runs_to_its_end_with_arguments_and_output()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        List<LogLine> lines = [];
        ExitStatus end = await grid.Client.RunAsync(Script("echo $# $2; echo bad >&2; exit 4"), ["a", "b c"], lines.Add, ct: Ct);
        Assert.Equal(new ExitStatus(4, 0), end);
        Assert.Equal([(OutputStream.Output, "2 b c"), (OutputStream.Error, "bad")], lines.Select(l => (l.Stream, l.Text)).Order());
        Assert.Equal(new ExitStatus(0, 0), await grid.Client.RunAsync("true"));
        Assert.Equal(new ExitStatus(6, 0), await grid.Client.RunAsync("sh", "-c", "exit 6"));
        Assert.Contains("has no command 'no-such-command'", (await Assert.ThrowsAsync<SpawnException>(() => grid.Client.RunAsync("no-such-command"))).Message, StringComparison.Ordinal);
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_run_that_is_given_up_leaves_no_process()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        using var giveUp = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => grid.Client.RunAsync(Script("echo up; exec sleep 600"), [], _ => giveUp.Cancel(), ct: giveUp.Token));
        Assert.Empty(await grid.Client.ProcessesAsync(Ct));
        await Assert.ThrowsAsync<InvalidOperationException>(() => grid.Client.RunAsync(Script("echo up; exec sleep 600"), [], _ => throw new InvalidOperationException("enough"), ct: Ct));
        Assert.Empty(await grid.Client.ProcessesAsync(Ct));
        await grid.NothingIsLeftAsync();
    }

    private static async Task<List<string>> TextsAsync(IAsyncEnumerable<LogLine> lines) => await lines.Select(l => l.Text).ToListAsync(Ct);

    private static async Task<SpawnedProcess> StartedInAsync(TestGrid grid, string script)
    {
        SpawnedProcess process = await grid.Client.SpawnAsync(script, new SpawnOptions { Strategy = PlacementStrategy.Direct }, ct: Ct);
        await process.LogsAsync(follow: true, ct: Ct).FirstAsync(Ct);
        return process;
    }

    private Task<SpawnedProcess> StartedAsync(TestGrid grid, string text) => StartedInAsync(grid, Script(text));

    private string Script(string text)
    {
        string file = Path.Combine(_folder, $"{Guid.NewGuid():N}.sh");
        File.WriteAllText(file, $"#!/bin/sh\n{text}\n");
        return file;
    }
}
