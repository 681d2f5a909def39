using GlooX.Tests.Payload;
using System.Diagnostics;
using GlooX.Payloads;

namespace GlooX.Tests;

/// <summary>The life of a spawned process, through real processes.</summary>
public sealed class SpawnTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_child_answers_typed_and_untyped_and_ends_when_it_is_killed(int warmHosts)
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = warmHosts });
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        Assert.Equal("yes!", await child.CallAsync<string>("all_well?"));
        Assert.Equal("yes!", await child.As<IGood>().AllWellAsync());
        Assert.Equal(grid.Agents[0].Url, child.Node);
        Assert.Equal(new ExitStatus(0, 9), await child.KillAsync());
    }

    [Fact]
    public async Task A_warm_host_is_used_once_and_replaced()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 1 });
        await Eventually.HoldsAsync(() => grid.Agents[0].WarmHosts == 1, "a host is warm");
        int warm = Assert.Single(TestGrid.Hosts());
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        Assert.Equal(warm, child.Pid);
        Assert.Equal("yes!", await child.CallAsync<string>("all_well?"));
        await Eventually.HoldsAsync(() => grid.Agents[0].WarmHosts == 1, "another host is warm");
    }

    [Fact]
    public async Task What_was_given_arrives_and_nothing_of_it_shows_in_the_process_list()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Good", new SpawnOptions { Values = new() { ["password"] = "s3cret" } });
        ProcessOptions given = await child.As<IGood>().GivenAsync();
        Assert.Equal("s3cret", given.Values["password"]);
        Assert.Equal(Environment.ProcessId, given.Ppid);
        Assert.Equal(grid.Agents[0].Url, given.ParentUrl);
        Assert.True(Directory.Exists(given.TmpDir));
        Assert.Equal(grid.Agents[0].Url, await child.As<IGood>().ParentAsync());
        string shown = await File.ReadAllTextAsync($"/proc/{child.Pid}/cmdline") + await File.ReadAllTextAsync($"/proc/{child.Pid}/environ");
        Assert.DoesNotContain("s3cret", shown, StringComparison.Ordinal);
        Assert.DoesNotContain("PRIVATE KEY", shown, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_process_that_has_the_port_of_another_is_not_taken_for_it()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess first = await grid.SpawnAsync("Good");
        await first.KillAsync();
        await using SpawnedProcess second = await grid.SpawnAsync("Good", new SpawnOptions { Url = first.Url });
        Assert.Equal(first.Url, second.Url);
        Assert.Equal("yes!", await second.CallAsync<string>("all_well?"));
        RpcException refused = await Assert.ThrowsAsync<RpcException>(async () => await first.CallAsync<string>("all_well?"));
        Assert.Equal(RpcError.Tls, refused.Code);
        Assert.Contains("another process answers there", refused.Message, StringComparison.Ordinal);
        await using GlooXClient other = new(grid.Agents[0].Url);
        await using SpawnedProcess? attached = await other.AttachAsync(second.Id);
        Assert.Equal("yes!", await attached!.CallAsync<string>("all_well?"));
    }

    [Fact]
    public async Task A_process_has_one_listening_port()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        Assert.Single(Listening(child.Pid));
        Assert.Single(Listening(Environment.ProcessId));
    }

    [Fact]
    public async Task The_exit_code_is_reported_and_the_reservation_released()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        Assert.NotEqual(0, grid.Agents[0].Describe().Utilization);
        Task<ExitStatus> exited = child.WaitForExitAsync();
        await Assert.ThrowsAsync<RpcException>(async () => await child.CallAsync<object>("exit", 7));
        Assert.Equal(new ExitStatus(7, 0), await exited);
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_child_that_is_killed_from_outside_is_reported_and_takes_what_it_started_with_it()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        int sleeper = await child.As<IGood>().StartSleeperAsync();
        Assert.True(TestGrid.IsRunning(sleeper));
        Kill(child.Pid);
        Assert.Equal(new ExitStatus(0, 9), await child.WaitForExitAsync());
        await Eventually.HoldsAsync(() => !TestGrid.IsRunning(sleeper), "its own child is gone");
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_child_ends_with_its_agent_unless_it_daemonizes()
    {
        SpawnedProcess child;
        SpawnedProcess daemon;
        await using (Agent agent = await Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { WarmHosts = 0 }))
        await using (GlooXClient client = new GlooXClient(agent.Url))
        {
            child = await client.SpawnAsync("Good", TestGrid.Payload);
            daemon = await client.SpawnAsync("Good", TestGrid.Payload, new SpawnOptions { Daemonize = true });
        }

        await using (child)
        await using (daemon)
        {
            Assert.False(TestGrid.IsRunning(child.Pid));
            Assert.Equal("yes!", await daemon.CallAsync<string>("all_well?"));
            await TestGrid.EndByNextAgentAsync(daemon);
            await Eventually.HoldsAsync(() => TestGrid.Hosts().Count == 0, "the daemon is gone");
        }
    }

    [Fact]
    public async Task A_child_ends_when_its_agent_is_killed()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess nest = await grid.SpawnAsync("Nest");
        int grandchild = await nest.CallAsync<int>("child");
        string folder = (await nest.CallAsync<string>("folder_of_child"))!;
        Assert.True(Directory.Exists(folder));
        Assert.True(TestGrid.IsRunning(grandchild));
        Kill(nest.Pid);
        await Eventually.HoldsAsync(() => !TestGrid.IsRunning(grandchild), "the child of the killed agent is gone");
        Assert.False(Directory.Exists(folder));
    }

    [Fact]
    public async Task Processes_are_listed_and_killed_over_the_grid()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0 });
        await using GlooXClient second = new GlooXClient(grid.Agents[1].Url);
        await using SpawnedProcess child = await second.SpawnAsync("Good", TestGrid.Payload, new SpawnOptions { Strategy = PlacementStrategy.Direct });
        ProcessInfo listed = Assert.Single(await grid.Client.ProcessesAsync());
        Assert.Equal((child.Id, child.Pid, grid.Agents[1].Url, child.Url), (listed.Id, listed.Pid, listed.Node, listed.Url));
        Assert.True(await grid.Client.KillAsync(child.Id));
        Assert.Equal(9, (await child.WaitForExitAsync()).Signal);
        Assert.False(await grid.Client.KillAsync(child.Id));
    }

    [Fact]
    public async Task Agents_of_a_grid_of_three_stop_one_after_the_other()
    {
        TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0 });
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        await grid.DisposeAsync().AsTask().WaitAsync(TimeSpan.FromSeconds(60)); // once it waited for ever
    }

    private static HashSet<string> Listening(int pid)
    {
        HashSet<string> sockets = [.. Directory.GetFiles($"/proc/{pid}/fd").Select(f => new FileInfo(f).LinkTarget ?? "").Where(t => t.StartsWith("socket:", StringComparison.Ordinal))];
        return [.. new[] { "tcp", "tcp6" }.SelectMany(f => File.ReadLines($"/proc/{pid}/net/{f}").Skip(1))
            .Select(l => l.Split(' ', StringSplitOptions.RemoveEmptyEntries))
            .Where(l => l[3] == "0A" && sockets.Contains($"socket:[{l[9]}]"))
            .Select(l => l[1])];
    }

    private static void Kill(int pid)
    {
        using Process process = Process.GetProcessById(pid);
        process.Kill();
    }
}
