namespace GlooX.Rpc.Tests.Transport;

[RpcService]
public interface IGate
{
    /// <summary>Holds its thread until the gate opens.</summary>
    ValueTask<int> PassAsync(int id);

    ValueTask<int> EchoAsync(int id);

    /// <summary>Works in one of many ways, by the number's remainder.</summary>
    ValueTask<int> MixedAsync(int id);

    /// <summary>What an earlier call left in the thread's context; leaves its own.</summary>
    ValueTask<string> ContextAsync(string mark);
}

/// <summary>
/// Calls run on the thread that read them. These tests hold that thread, in handlers and in what follows an answer: nothing else may
/// notice.
/// </summary>
public sealed class BlockingTests
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(30);

    [Theory]
    [InlineData(1, 0)]
    [InlineData(1, 3000)]
    [InlineData(12, 0)]
    [InlineData(12, 3000)]
    public async Task HandlersThatBlockHoldUpNobodyElse(int blocked, int before)
    {
        using var gate = new Gate();
        await using RpcServer server = await ServeAsync(gate);
        await using RpcClient client = Connect(server);
        await using RpcClient other = Connect(server);
        IGate remote = client.As<IGate>();
        IGate neighbour = other.As<IGate>();
        await CallManyAsync(remote, before);
        await CallManyAsync(neighbour, before / 10);

        Task<int>[] waiting = [.. Enumerable.Range(0, blocked).Select(i => remote.PassAsync(i).AsTask())];
        await gate.UntilWaitingAsync(blocked);
        for (int i = 0; i < 200; i++)
        {
            Assert.Equal(i, await remote.EchoAsync(i));
            Assert.Equal(i, await neighbour.EchoAsync(i));
        }

        Assert.DoesNotContain(waiting, static w => w.IsCompleted);
        gate.Open();
        Assert.Equal(Enumerable.Range(0, blocked), await Task.WhenAll(waiting).WaitAsync(s_deadline, TestContext.Current.CancellationToken));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3000)]
    public async Task WhatFollowsAnAnswerMayBlockOnTheSameConnection(int before)
    {
        using var gate = new Gate();
        await using RpcServer server = await ServeAsync(gate);
        await using RpcClient client = Connect(server);
        IGate remote = client.As<IGate>();
        await CallManyAsync(remote, before);

        async Task<int> CallAsync(int id)
        {
            int first = await remote.EchoAsync(id).ConfigureAwait(false);
            int second = remote.EchoAsync(first + 1).AsTask().GetAwaiter().GetResult(); // deadlocks where answers need this thread
            int third = await remote.EchoAsync(second + 1).ConfigureAwait(false);
            return remote.EchoAsync(third + 1).AsTask().GetAwaiter().GetResult();
        }

        int[] results = await Task.WhenAll(Enumerable.Range(0, 16).Select(CallAsync)).WaitAsync(s_deadline, TestContext.Current.CancellationToken);
        Assert.Equal(Enumerable.Range(3, 16), results);
    }

    [Fact]
    public async Task ThreadsThatNeverComeBackAreReplaced()
    {
        using var gate = new Gate();
        await using RpcServer server = await ServeAsync(gate);
        await using RpcClient client = Connect(server);
        IGate remote = client.As<IGate>();
        var held = new List<Task>();
        using var end = new ManualResetEventSlim();
        for (int i = 0; i < 5; i++)
        {
            await CallManyAsync(remote, 3000); // trusted again
            var holding = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            held.Add(Task.Run(() => HoldAsync(holding), TestContext.Current.CancellationToken)); // an answer that is there already must not hold this method
            await holding.Task.WaitAsync(s_deadline, TestContext.Current.CancellationToken);
            Assert.Equal(i, await remote.EchoAsync(i));
        }

        end.Set();
        await Task.WhenAll(held).WaitAsync(s_deadline, TestContext.Current.CancellationToken);

        async Task HoldAsync(TaskCompletionSource holding)
        {
            await remote.EchoAsync(0).ConfigureAwait(false);
            holding.SetResult();
            end.Wait();
        }
    }

    [Fact]
    public async Task OneHandlersContextIsNotTheNexts()
    {
        using var gate = new Gate();
        await using RpcServer server = await ServeAsync(gate);
        await using RpcClient client = Connect(server);
        IGate remote = client.As<IGate>();
        await CallManyAsync(remote, 1000);
        string[] seen = await Task.WhenAll(Enumerable.Range(0, 500).Select(i => remote.ContextAsync($"call {i}").AsTask()));
        Assert.All(seen, static s => Assert.Equal("", s));
    }

    [Fact]
    public async Task AMixtureOfAllIsAnswered()
    {
        using var gate = new Gate();
        await using RpcServer server = await ServeAsync(gate);
        var clients = new List<RpcClient>();
        try
        {
            for (int i = 0; i < 4; i++)
            {
                clients.Add(Connect(server));
            }

            int wrong = 0;
            async Task CallAsync(IGate remote, int seed)
            {
                var random = new Random(seed);
                for (int i = 0; i < 400; i++)
                {
                    int id = random.Next(1_000_000);
                    if (await remote.MixedAsync(id).ConfigureAwait(false) != id)
                    {
                        Interlocked.Increment(ref wrong);
                    }
                }
            }

            await Task.WhenAll(Enumerable.Range(0, 64).Select(i => CallAsync(clients[i % 4].As<IGate>(), i))).WaitAsync(s_deadline, TestContext.Current.CancellationToken);
            Assert.Equal(0, wrong);
        }
        finally
        {
            foreach (RpcClient client in clients)
            {
                await client.DisposeAsync();
            }
        }
    }

    private static async Task<RpcServer> ServeAsync(Gate gate)
    {
        var server = new RpcServer(new RpcServerOptions { Identity = Harness.Shared, DrainTimeout = TimeSpan.Zero });
        server.Add(gate);
        await server.StartAsync("127.0.0.1:0", TestContext.Current.CancellationToken);
        return server;
    }

    private static RpcClient Connect(RpcServer server) => new RpcClient(server.Url, new RpcClientOptions { Identity = Harness.Shared });

    private static async Task CallManyAsync(IGate remote, int count)
    {
        for (int i = 0; i < count; i++)
        {
            Assert.Equal(i, await remote.EchoAsync(i).ConfigureAwait(false));
        }
    }
}

internal sealed class Gate : IGate, IDisposable
{
    private static readonly AsyncLocal<string?> s_mark = new();
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);
    private readonly ManualResetEventSlim _open = new();
    private readonly SemaphoreSlim _entered = new(0);

    public async Task UntilWaitingAsync(int count)
    {
        for (int i = 0; i < count; i++)
        {
            Assert.True(await _entered.WaitAsync(s_limit), "a handler did not begin");
        }
    }

    public void Open() => _open.Set();

    public void Dispose()
    {
        _open.Set();
        _entered.Dispose();
    }

    public ValueTask<int> PassAsync(int id)
    {
        _entered.Release();
        _open.Wait();
        return new(id);
    }

    public ValueTask<int> EchoAsync(int id) => new(id);

    public async ValueTask<int> MixedAsync(int id)
    {
        switch (id % 97)
        {
            case 0:
                Thread.Sleep(id % 7);
                break;
            case 1:
                Thread.SpinWait(100_000);
                break;
            case < 20:
                await Task.Yield();
                break;
            case 20:
                await Task.Delay(1);
                break;
            default:
                break;
        }

        return id;
    }

    public ValueTask<string> ContextAsync(string mark)
    {
        string before = s_mark.Value ?? "";
        s_mark.Value = mark;
        return new(before);
    }
}
