using GlooX.Contracts;
using GlooX.Placement;
using GlooX.Tests.Payload;

namespace GlooX.Tests;

/// <summary>Spawns whose node cannot take them, and spawns whose answer is lost.</summary>
public sealed class TicketTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_node_that_is_draining_is_passed_over_and_others_take_the_spawn()
    {
        var slow = new SlowToStop();
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0, Weight = 1000 });
        await grid.Agents[1].AttachAddonAsync("slow", slow, ct: Ct);
        await grid.Agents[1].AttachAddonAsync("starter", (AddonContext node) => node.Run(slow.HoldAsync), ct: Ct);
        await using (GlooXClient second = new GlooXClient(grid.Agents[1].Url))
        {
            await second.CallAddonAsync<object>("starter");
        }

        Task stopping = grid.Agents[1].DisposeAsync().AsTask();
        await slow.Stopping;
        for (int i = 0; i < 3; i++)
        {
            await using SpawnedProcess process = await grid.SpawnAsync("Good", ct: Ct);
            Assert.Equal(grid.Agents[0].Url, process.Node);
            await process.KillAsync(Ct);
        }

        Assert.False(stopping.IsCompleted);
        slow.Go();
        await stopping;
    }

    [Fact]
    public async Task A_node_that_cannot_start_processes_is_passed_over_and_others_take_the_spawn()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0, Weight = 1000, Launcher = new FullDisk() });
        await using SpawnedProcess process = await grid.SpawnAsync("Good", ct: Ct);
        Assert.Equal(grid.Agents[0].Url, process.Node);
        var error = await Assert.ThrowsAsync<SpawnException>(async () =>
        {
            await using GlooXClient second = new GlooXClient(grid.Agents[1].Url);
            await second.SpawnAsync("Good", TestGrid.Payload, new SpawnOptions { Strategy = PlacementStrategy.Direct }, Ct);
        });
        Assert.Contains("No space left on device", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_port_that_is_taken_on_the_best_node_leads_to_another()
    {
        // Both nodes are on this machine, so the port is taken on both: the second is asked too, and the error names both.
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0 });
        await using SpawnedProcess first = await grid.SpawnAsync("Good", ct: Ct);
        var error = await Assert.ThrowsAsync<SpawnException>(() => grid.SpawnAsync("Good", new SpawnOptions { Url = first.Url }, Ct));
        Assert.All(grid.Agents, a => Assert.Contains(a.Url, error.Message, StringComparison.Ordinal));
        await first.KillAsync(Ct);
    }

    [Fact]
    public async Task A_spawn_that_is_asked_for_twice_under_one_ticket_is_one_process()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0, Weight = 1000 });
        var twice = new AskedTwice();
        await using GlooXClient client = new GlooXClient(grid.Agents[0].Url, new RpcClientOptions { Interceptors = [twice] });
        await using SpawnedProcess process = await client.SpawnAsync("Good", TestGrid.Payload, ct: Ct);
        Assert.Equal(2, twice.Answers.Count);
        Assert.Equal(twice.Answers[0].Id, twice.Answers[1].Id);
        Assert.Equal(process.Id, Assert.Single(await client.ProcessesAsync(Ct)).Id);
        Assert.Equal(grid.Agents[1].Url, process.Node);
        await process.KillAsync(Ct);
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_spawn_whose_caller_never_comes_back_leaves_no_process()
    {
        TimeSpan before = SpawnTickets.ClaimTimeout;
        SpawnTickets.ClaimTimeout = TimeSpan.FromMilliseconds(200);
        try
        {
            await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0, Weight = 1000 });
            await using (GlooXClient client = new GlooXClient(grid.Agents[0].Url, new RpcClientOptions { Interceptors = [new NeverClaims()] }))
            {
                var error = await Assert.ThrowsAsync<RpcException>(() => client.SpawnAsync("Good", TestGrid.Payload, ct: Ct));
                Assert.Equal("the caller is gone", error.Message);
            }

            await grid.NothingIsLeftAsync();
        }
        finally
        {
            SpawnTickets.ClaimTimeout = before;
        }
    }

    [Fact]
    public async Task A_worker_describes_itself_and_says_that_it_is_no_agent()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess process = await grid.SpawnAsync("Good", ct: Ct);
        await using GlooXClient worker = new GlooXClient(process.Url);
        NodeInfo info = await worker.InfoAsync(Ct);
        Assert.Equal(process.Url, info.Url);
        Assert.Equal(process.Pid, info.Pid);
        var error = await Assert.ThrowsAsync<RpcException>(() => worker.ProcessesAsync(Ct));
        Assert.Contains("is no agent", error.Message, StringComparison.Ordinal);
        await process.KillAsync(Ct);
        Assert.False(await worker.AliveAsync(Ct));
    }

    [Fact]
    public async Task Two_hundred_processes_that_are_killed_at_once_by_one_client_share_one_connection()
    {
        const int Count = 200;
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 });
        await using SpawnedProcess process = await grid.SpawnAsync("Good", ct: Ct);
        SpawnedProcess[] same = await Task.WhenAll(Enumerable.Range(0, Count).Select(async _ => (await grid.Client.AttachAsync(process.Id, Ct))!));
        ExitStatus[] ends = await Task.WhenAll(same.Select(p => p.KillAsync(Ct)));
        Assert.All(ends, e => Assert.Equal(9, e.Signal));
        await Task.WhenAll(same.Select(p => p.DisposeAsync().AsTask()));
    }

    internal sealed class SlowToStop : IAsyncDisposable
    {
        private readonly TaskCompletionSource _stopping = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource _go = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task Stopping => _stopping.Task;

        [Rpc("hello")]
        public string Hello() => "hello";

        public void Go() => _go.SetResult();

        public async Task HoldAsync(CancellationToken ct)
        {
            await Task.Delay(Timeout.Infinite, ct).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _stopping.TrySetResult();
            await _go.Task;
        }

        public async ValueTask DisposeAsync() => await _go.Task;
    }

    private sealed class FullDisk : IProcessLauncher
    {
        public ILaunchedProcess Start(ProcessLaunch launch) => throw new IOException("No space left on device");
    }

    // The connection broke after the question, as the caller sees it: the same question is asked again.
    private sealed class AskedTwice : RpcInterceptor
    {
        public List<SpawnReply> Answers { get; } = [];

        public override async ValueTask<T> CallAsync<T>(RpcClientCall call, Func<ValueTask<T>> next)
        {
            T answer = await next();
            if (answer is SpawnReply { Outcome: SpawnOutcome.Started } reply)
            {
                Answers.Add(reply);
                if (Answers.Count == 1)
                {
                    throw new RpcException(RpcError.Connection, "the answer was lost") { Method = call.Method };
                }
            }

            return answer;
        }
    }

    private sealed class NeverClaims : RpcInterceptor
    {
        public override async ValueTask<T> CallAsync<T>(RpcClientCall call, Func<ValueTask<T>> next) =>
            call.Method is "agent/claim" or "agent/abandon" ? throw new RpcException(RpcError.Remote, "the caller is gone") : await next();
    }
}
