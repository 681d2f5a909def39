using GlooX.Processes;

namespace GlooX.Tests;

/// <summary>What happens to processes, as it is told to those who watch.</summary>
public sealed class EventTests : IDisposable
{
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"payload-{Guid.NewGuid():N}")).FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task The_life_of_a_process_is_told_from_any_node_with_its_restarts()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0 });
        await using GlooXClient other = new GlooXClient(grid.Agents[1].Url);
        await using IAsyncEnumerator<ProcessEvent> all = other.WatchProcessesAsync(ct: Ct).GetAsyncEnumerator(Ct);
        ProcessEvent[] watching = [await NextAsync(all), await NextAsync(all)];
        Assert.All(watching, static e => Assert.Equal(ProcessEventKind.Watching, e.Kind));
        Assert.Equal(grid.Agents.Select(static a => a.Url).Order(), watching.Select(static e => e.Node).Order());

        RestartPolicy once = RestartPolicy.OnFailure with { FirstPause = TimeSpan.FromMilliseconds(10), LongestPause = TimeSpan.FromMilliseconds(10), MaxRestarts = 1 };
        await using SpawnedProcess process = await grid.Client.SpawnAsync(Script("exit 3"), new SpawnOptions { Restart = once, Strategy = PlacementStrategy.Direct }, Ct);
        List<ProcessEvent> told = [];
        while (told.Count == 0 || told[^1].Kind != ProcessEventKind.Exited)
        {
            told.Add(await NextAsync(all));
        }

        Assert.Equal([ProcessEventKind.Started, ProcessEventKind.Ready, ProcessEventKind.Restarting, ProcessEventKind.Restarted, ProcessEventKind.Exited], told.Select(static e => e.Kind));
        Assert.All(told, e => Assert.Equal((process.Id, process.Node), (e.Id, e.Node)));
        Assert.EndsWith(".sh", told[0].Name, StringComparison.Ordinal);
        Assert.Equal([null, null, new ExitStatus(3, 0), null, new ExitStatus(3, 0)], told.Select(static e => e.Exit));
        Assert.Equal([0, 0, 0, 1, 1], told.Select(static e => e.Restarts));
        Assert.NotNull(told[2].Pause);
        Assert.NotEqual(told[0].Pid, told[3].Pid);
        Assert.Equal(process.Pid, told[0].Pid);
        Assert.Equal(told.Select(static e => e.Time).Order(), told.Select(static e => e.Time));
    }

    [Fact]
    public async Task A_start_that_fails_is_told_with_its_reason()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using IAsyncEnumerator<ProcessEvent> all = grid.Client.WatchProcessesAsync(ct: Ct).GetAsyncEnumerator(Ct);
        Assert.Equal(ProcessEventKind.Watching, (await NextAsync(all)).Kind);
        await grid.FailAsync("ThrowsAtStart");
        Assert.Equal(ProcessEventKind.Started, (await NextAsync(all)).Kind);
        ProcessEvent end = await NextAsync(all);
        Assert.Equal(ProcessEventKind.Exited, end.Kind);
        Assert.Contains("the database is away", end.Reason, StringComparison.Ordinal);
    }

    [Fact]
    public async Task One_process_is_watched_until_its_end_wherever_it_runs_and_also_after()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0 });
        await using GlooXClient other = new GlooXClient(grid.Agents[1].Url);
        await using SpawnedProcess process = await grid.Client.SpawnAsync(Script("exec sleep 600"), new SpawnOptions { Strategy = PlacementStrategy.Direct }, ct: Ct);
        await using SpawnedProcess noise = await grid.Client.SpawnAsync(Script("exec sleep 600"), new SpawnOptions { Strategy = PlacementStrategy.Direct }, ct: Ct);
        await using IAsyncEnumerator<ProcessEvent> one = other.WatchProcessesAsync(process.Id, Ct).GetAsyncEnumerator(Ct);
        Assert.Equal((ProcessEventKind.Watching, grid.Agents[0].Url), ((await NextAsync(one)).Kind, one.Current.Node));
        await noise.KillAsync(Ct);
        await process.KillAsync(Ct);
        Assert.Equal((ProcessEventKind.Exited, process.Id, new ExitStatus(0, 9)), ((await NextAsync(one)).Kind, one.Current.Id, one.Current.Exit));
        Assert.False(await one.MoveNextAsync());

        List<ProcessEvent> after = await other.WatchProcessesAsync(process.Id, Ct).ToListAsync(Ct);
        Assert.Equal([ProcessEventKind.Watching, ProcessEventKind.Exited], after.Select(static e => e.Kind));
        var error = await Assert.ThrowsAsync<RpcException>(async () => await other.WatchProcessesAsync("nobody", Ct).CountAsync(Ct));
        Assert.Contains("has no process nobody", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Nodes_that_join_are_watched_and_those_that_go_are_lost()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using IAsyncEnumerator<ProcessEvent> all = grid.Client.WatchProcessesAsync(ct: Ct).GetAsyncEnumerator(Ct);
        Assert.Equal(ProcessEventKind.Watching, (await NextAsync(all)).Kind);
        string url;
        await using (Agent late = await Agent.StartAsync("127.0.0.1:0", grid.Agents[0].Url, new AgentOptions { WarmHosts = 0 }, Ct))
        {
            url = late.Url;
            Assert.Equal((ProcessEventKind.Watching, url), ((await NextAsync(all)).Kind, all.Current.Node));
            await using GlooXClient client = new GlooXClient(url);
            await using SpawnedProcess process = await client.SpawnAsync(Script("exec sleep 600"), new SpawnOptions { Strategy = PlacementStrategy.Direct }, ct: Ct);
            Assert.Equal((ProcessEventKind.Started, url), ((await NextAsync(all)).Kind, all.Current.Node));
            Assert.Equal(ProcessEventKind.Ready, (await NextAsync(all)).Kind);
        }

        Assert.Equal((ProcessEventKind.Exited, url), ((await NextAsync(all)).Kind, all.Current.Node));
        Assert.Equal((ProcessEventKind.Lost, url), ((await NextAsync(all)).Kind, all.Current.Node));
        Task<bool> end = all.MoveNextAsync().AsTask();
        await grid.Agents[0].DisposeAsync();
        Assert.False(await end.WaitAsync(TimeSpan.FromMinutes(1), Ct)); // the asked agent has stopped in order
    }

    [Fact]
    public async Task A_slow_watcher_loses_the_oldest_and_is_told_how_many()
    {
        using var watcher = new ProcessEvents.Watcher(null, null);
        for (int i = 0; i < ProcessEvents.Watcher.MostQueued + 500; i++)
        {
            watcher.Offer(new ProcessEvent(ProcessEventKind.Started, "node", DateTimeOffset.UnixEpoch) { Pid = i, Missed = i == 0 ? 7 : 0 });
        }

        watcher.Close();
        watcher.Offer(new ProcessEvent(ProcessEventKind.Started, "node", DateTimeOffset.UnixEpoch));
        List<ProcessEvent> read = [.. (await watcher.ReadAsync(Ct).ToListAsync(Ct)).SelectMany(static e => e)];
        Assert.Equal(Enumerable.Range(500, ProcessEvents.Watcher.MostQueued), read.Select(static e => e.Pid));
        Assert.Equal(507, read[0].Missed);
        Assert.All(read.Skip(1), static e => Assert.Equal(0, e.Missed));
    }

    private static async Task<ProcessEvent> NextAsync(IAsyncEnumerator<ProcessEvent> events)
    {
        Assert.True(await events.MoveNextAsync().AsTask().WaitAsync(TimeSpan.FromMinutes(1), Ct));
        return events.Current;
    }

    private string Script(string text)
    {
        string file = Path.Combine(_folder, $"{Guid.NewGuid():N}.sh");
        File.WriteAllText(file, $"#!/bin/sh\n{text}\n");
        return file;
    }
}
