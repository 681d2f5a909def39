using System.Collections.Concurrent;
using System.Globalization;

namespace GlooX.Tests;

/// <summary>A launcher of the user's own, for hosts and for executables.</summary>
public sealed class LauncherTests : IDisposable
{
    private const int Nicer = 3;
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"payload-{Guid.NewGuid():N}")).FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_class_is_started_through_it_cold_or_warm(int warmHosts)
    {
        var launcher = new Through("/usr/bin/env", "THROUGH=launcher");
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = warmHosts, Launcher = launcher });
        await Eventually.HoldsAsync(() => grid.Agents[0].WarmHosts == warmHosts, "a host is warm");
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        Assert.Equal("yes!", await child.CallAsync<string>("all_well?"));
        Assert.Contains("THROUGH=launcher", await File.ReadAllTextAsync($"/proc/{child.Pid}/environ", Ct), StringComparison.Ordinal);
        Assert.Contains(child.Pid, launcher.Started);
        Assert.Equal(new ExitStatus(0, 9), await child.KillAsync(Ct));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_executable_is_started_through_it_and_ends_as_any_other(bool daemonize)
    {
        var launcher = new Through("/usr/bin/nice", "-n", Nicer.ToString(CultureInfo.InvariantCulture));
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, Launcher = launcher });
        string script = Script($"read options; echo \"$options\" > {_folder}/options.new; mv {_folder}/options.new {_folder}/options; cat {_folder}/end; echo done; exit 5");
        string end = Path.Combine(_folder, "end");
        Assert.Equal(new ExitStatus(0, 0), await grid.Client.RunAsync("mkfifo", end));
        await using SpawnedProcess process = await grid.Client.SpawnAsync(script, new SpawnOptions { Daemonize = daemonize, Values = new() { ["key"] = "value" } }, ct: Ct);
        await Eventually.HoldsAsync(() => File.Exists(Path.Combine(_folder, "options")), "it has read its options");
        Assert.Contains("value", await File.ReadAllTextAsync(Path.Combine(_folder, "options"), Ct), StringComparison.Ordinal);
        Assert.Equal(Math.Min(19, NiceOf(Environment.ProcessId) + Nicer), NiceOf(process.Pid));
        await File.WriteAllTextAsync(end, "", Ct);
        Assert.Equal(new ExitStatus(5, 0), await process.WaitForExitAsync(Ct));
        Assert.Contains("done", (await process.LogsAsync(ct: Ct).ToListAsync(Ct)).Select(l => l.Text));
        Assert.Equal(2, launcher.Started.Count);
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task An_executable_that_it_starts_ends_with_its_agent()
    {
        SpawnedProcess process;
        await using (Agent agent = await Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { WarmHosts = 0, Launcher = new Through("/usr/bin/env") }, ct: Ct))
        await using (GlooXClient client = new GlooXClient(agent.Url))
        {
            process = await client.SpawnAsync(Script("exec sleep 600"), ct: Ct);
            Assert.True(TestGrid.IsRunning(process.Pid));
        }

        await using (process)
        {
            Assert.False(TestGrid.IsRunning(process.Pid));
        }
    }

    [Fact]
    public async Task An_executable_whose_agent_is_killed_at_the_moment_of_its_start_ends_too()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess doomed = await grid.SpawnAsync("Doomed");
        await using GlooXClient inner = new GlooXClient(await doomed.CallAsync<string>("agent") ?? "");
        await Assert.ThrowsAsync<RpcException>(() => inner.SpawnAsync(Script("sleep 600"), ct: Ct));
        Assert.Equal(new ExitStatus(0, 9), await doomed.WaitForExitAsync(Ct));
        await Eventually.HoldsAsync(() => Scripts().Count == 0, "nothing of it runs");

        static List<string> Scripts() => [.. Directory.GetDirectories("/proc").Select(static p => TextOf(Path.Combine(p, "cmdline"))).Where(static c => c.Contains(".sh", StringComparison.Ordinal) && c.Contains(TestGrid.Home, StringComparison.Ordinal))];
    }

    [Fact]
    public async Task One_that_throws_fails_the_spawn_with_its_message_and_leaves_nothing()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 1, Launcher = new Broken() });
        foreach (string message in (string[])[
            await grid.FailAsync("Good"),
            (await Assert.ThrowsAsync<SpawnException>(() => grid.Client.SpawnAsync(Script("exit 0"), ct: Ct))).Message])
        {
            Assert.Contains("the moon is not right", message, StringComparison.Ordinal);
            Assert.Contains(nameof(Broken), message, StringComparison.Ordinal);
        }

        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task What_it_cannot_start_is_named()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, Launcher = new Through("/no/such/program") });
        Assert.Contains("/no/such/program", await grid.FailAsync("Good"), StringComparison.Ordinal);
    }

    // Empty: it has ended, or has none.
    private static string TextOf(string file)
    {
        try
        {
            return File.ReadAllText(file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }

    // proc_pid_stat(5): the 17th field after the name.
    private static int NiceOf(int pid)
    {
        string stat = File.ReadAllText($"/proc/{pid}/stat");
        return int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[16], CultureInfo.InvariantCulture);
    }

    private string Script(string text)
    {
        string file = Path.Combine(_folder, $"{Guid.NewGuid():N}.sh");
        File.WriteAllText(file, $"#!/bin/sh\n{text}\n");
        return file;
    }

    private sealed class Through(string program, params string[] arguments) : IProcessLauncher
    {
        public ConcurrentBag<int> Started { get; } = [];

        public ILaunchedProcess Start(ProcessLaunch launch)
        {
            ILaunchedProcess process = ProcessLauncher.Local.Start(launch with { File = program, Arguments = [.. arguments, launch.File, .. launch.Arguments] });
            Started.Add(process.Pid);
            return process;
        }
    }

    private sealed class Broken : IProcessLauncher
    {
        public ILaunchedProcess Start(ProcessLaunch launch) => throw new NotSupportedException("the moon is not right");
    }
}
