namespace GlooX.Tests;

/// <summary>Executables that say when they are ready.</summary>
public sealed class ReadinessTests : IDisposable
{
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"payload-{Guid.NewGuid():N}")).FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    public static TheoryData<string, bool> Ways => new()
    {
        { "> \"$GLOOX_READY_FILE\"", true },
        { "echo now listening on port 80", false },
        { "echo now listening on port 80 >&2", false },
    };

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task A_spawn_returns_when_the_executable_says_that_it_is_ready(string says, bool file)
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string script = Script($"echo begun > {_folder}/begun; read go < {_folder}/go; echo listened > {_folder}/ready; {says}; exec sleep 600");
        Assert.Equal(new ExitStatus(0, 0), await grid.Client.RunAsync("mkfifo", Path.Combine(_folder, "go")));
        Task<SpawnedProcess> spawning = grid.Client.SpawnAsync(script, Options(file), ct: Ct);
        await Eventually.HoldsAsync(() => File.Exists(Path.Combine(_folder, "begun")), "it has begun");
        Assert.False(spawning.IsCompleted);
        Assert.Empty(await grid.Client.ProcessesAsync(Ct)); // nobody is told of it yet
        await File.WriteAllTextAsync(Path.Combine(_folder, "go"), "go\n", Ct);
        await using SpawnedProcess process = await spawning;
        Assert.True(File.Exists(Path.Combine(_folder, "ready")));
        Assert.Equal(process.Id, Assert.Single(await grid.Client.ProcessesAsync(Ct)).Id);
        await process.KillAsync(Ct);
        await grid.NothingIsLeftAsync();
    }

    [Theory]
    [InlineData(true, "GLOOX_READY_FILE")]
    [InlineData(false, "'listening'")]
    public async Task One_that_is_not_ready_in_time_is_ended_and_its_last_output_is_told(bool file, string said)
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string script = Script($"echo $$ > {_folder}/pid; echo cannot bind >&2; exec sleep 600");
        var error = await Assert.ThrowsAsync<SpawnException>(() => grid.Client.SpawnAsync(script, Options(file) with { StartTimeout = TimeSpan.FromSeconds(2) }, ct: Ct));
        Assert.Contains("was not ready within 2000 ms", error.Message, StringComparison.Ordinal);
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
        Assert.Contains("cannot bind", error.Message, StringComparison.Ordinal);
        Assert.False(TestGrid.IsRunning(int.Parse(await File.ReadAllTextAsync(Path.Combine(_folder, "pid"), Ct))));
        await grid.NothingIsLeftAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task One_that_ends_before_it_is_ready_fails_the_spawn_at_once(bool file)
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        var error = await Assert.ThrowsAsync<SpawnException>(() => grid.Client.SpawnAsync(Script("echo no licence; exit 3"), Options(file) with { StartTimeout = TimeSpan.FromMinutes(5) }, ct: Ct));
        Assert.Contains("ended with exit code 3 before it was ready", error.Message, StringComparison.Ordinal);
        Assert.Contains("no licence", error.Message, StringComparison.Ordinal);
        await grid.NothingIsLeftAsync();
    }

    [Theory]
    [MemberData(nameof(Ways))]
    public async Task One_that_is_started_again_has_to_say_again_that_it_is_ready(string says, bool file)
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string script = Script($"if mkdir {_folder}/first; then {says}; read go < {_folder}/go; exit 3; fi; echo begun > {_folder}/begun; read go < {_folder}/go; {says}; exec sleep 600");
        Assert.Equal(new ExitStatus(0, 0), await grid.Client.RunAsync("mkfifo", Path.Combine(_folder, "go")));
        RestartPolicy soon = RestartPolicy.OnFailure with { FirstPause = TimeSpan.FromMilliseconds(10) };
        await using SpawnedProcess process = await grid.Client.SpawnAsync(script, Options(file) with { Restart = soon }, ct: Ct);
        await File.WriteAllTextAsync(Path.Combine(_folder, "go"), "go\n", Ct);
        await Eventually.HoldsAsync(() => File.Exists(Path.Combine(_folder, "begun")), "it has begun again");
        Assert.Equal(ProcessState.Restarting, (await process.InfoAsync(Ct))!.State);
        await File.WriteAllTextAsync(Path.Combine(_folder, "go"), "go\n", Ct);
        await Eventually.HoldsAsync(async () => await process.InfoAsync(Ct) is { State: ProcessState.Running, Restarts: 1 }, "it is ready again");
        await process.KillAsync(Ct);
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task One_that_outlives_its_agent_is_known_to_the_next_once_it_is_ready()
    {
        string url;
        string id;
        string script = Script("echo listening; exec sleep 600");
        await using (Agent agent = await Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { WarmHosts = 0 }, ct: Ct))
        await using (GlooXClient client = new GlooXClient(agent.Url))
        await using (SpawnedProcess process = await client.SpawnAsync(script, Options(file: false) with { Daemonize = true }, ct: Ct))
        {
            (url, id) = (agent.Url, process.Id);
        }

        await using Agent next = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0 }, ct: Ct);
        await using GlooXClient other = new GlooXClient(url);
        await using SpawnedProcess? found = await other.AttachAsync(id, Ct);
        Assert.Equal(new ExitStatus(0, 9), await found!.KillAsync(Ct));
    }

    [Fact]
    public async Task A_spawn_that_is_given_up_before_it_is_ready_leaves_no_process()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        using var giveUp = new CancellationTokenSource();
        Task<SpawnedProcess> spawning = grid.Client.SpawnAsync(Script($"echo $$ > {_folder}/new; mv {_folder}/new {_folder}/pid; exec sleep 600"), Options(file: true) with { StartTimeout = TimeSpan.FromMinutes(5) }, ct: giveUp.Token);
        await Eventually.HoldsAsync(() => File.Exists(Path.Combine(_folder, "pid")), "it has begun");
        await giveUp.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => spawning);
        int pid = int.Parse(await File.ReadAllTextAsync(Path.Combine(_folder, "pid"), Ct));
        await Eventually.HoldsAsync(() => !TestGrid.IsRunning(pid), "it is gone");
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_class_takes_no_other_way_and_a_text_must_be_within_a_line()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        Assert.Contains("leave SpawnOptions.Ready out", await grid.FailAsync("Good", Options(file: true)), StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => ReadyWhen.Line(""));
        Assert.Throws<ArgumentException>(() => ReadyWhen.Line("a\nb"));
    }

    private static SpawnOptions Options(bool file) => new() { Ready = file ? ReadyWhen.FileMade : ReadyWhen.Line("listening") };

    private string Script(string text)
    {
        string file = Path.Combine(_folder, $"{Guid.NewGuid():N}.sh");
        File.WriteAllText(file, $"#!/bin/sh\n{text}\n");
        return file;
    }
}
