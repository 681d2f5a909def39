using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using GlooX.Client;

namespace GlooX.Rpc.Tests.Client;

/// <summary>What becomes of calls when connections break, servers restart, and more than one connection is there.</summary>
public sealed class LifeTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_call_after_a_lost_connection_connects_again()
    {
        await using Scene it = await Scene.StartAsync();
        Assert.Equal(1, await it.Remote.NoteAsync(1));
        await it.LoseConnectionAsync();
        Assert.Equal(2, await it.Remote.NoteAsync(2));
        Assert.Equal(2, it.Relay.Accepted);
    }

    [Fact]
    public async Task All_callers_share_one_attempt_and_its_failure()
    {
        await using Scene it = await Scene.StartAsync();
        it.Relay.Freeze();
        it.Relay.Refuses = true;
        Task<RpcException>[] calls = [.. Enumerable.Range(0, 32).Select(i => Assert.ThrowsAsync<RpcException>(async () => await it.Remote.NoteAsync(i)))];
        await it.Relay.UntilAcceptedAsync(1);
        it.Relay.Thaw();
        Assert.All(await it.SoonAsync(Task.WhenAll(calls)), static e => Assert.Equal((RpcError.Connection, null), (e.Code, e.Method)));
        Assert.Equal(1, it.Relay.Accepted);
        Assert.Empty(it.Target.Notes);
    }

    [Fact]
    public async Task A_caller_that_gives_up_does_not_end_the_attempt_of_the_others()
    {
        await using Scene it = await Scene.StartAsync();
        it.Relay.Freeze();
        using var stop = new CancellationTokenSource();
        Task impatient = it.Client.CallAsync<int>("Note", [1], stop.Token).AsTask();
        Task<int> patient = it.Remote.NoteAsync(2).AsTask();
        await it.Relay.UntilAcceptedAsync(1);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => it.SoonAsync(impatient));
        it.Relay.Thaw();
        Assert.Equal(2, await it.SoonAsync(patient));
        Assert.Equal(1, it.Relay.Accepted);
    }

    [Fact]
    public async Task Connecting_counts_towards_the_deadline_of_a_call()
    {
        await using Scene it = await Scene.StartAsync(new RpcClientOptions { CallTimeout = TimeSpan.FromMilliseconds(100), RetryConnectFor = TimeSpan.FromMinutes(10) });
        it.Relay.Refuses = true;
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => it.SoonAsync(it.Remote.NoteAsync(1).AsTask()));
        Assert.Equal((RpcError.Timeout, null), (error.Code, error.Method));
    }

    [Fact]
    public async Task A_call_in_flight_when_the_connection_breaks_fails_and_is_never_repeated()
    {
        await using Scene it = await Scene.StartAsync(new RpcClientOptions { RetryConnectFor = TimeSpan.FromMinutes(10) });
        Task<int> call = it.Remote.HoldAsync(1);
        await it.UntilExecutedAsync(1);
        await it.LoseConnectionAsync();
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => it.SoonAsync(call));
        Assert.Equal((RpcError.Connection, "Hold"), (error.Code, error.Method));
        Assert.Equal(2, await it.Remote.NoteAsync(2));
        Assert.Equal(1, it.Target.Times(1));
    }

    [Fact]
    public async Task An_idempotent_call_whose_connection_breaks_is_made_again()
    {
        await using Scene it = await Scene.StartAsync();
        Task<int> call = it.Remote.HoldAgainAsync(1);
        Task quiet = it.Remote.HoldAgainQuietlyAsync(2);
        for (int times = 1; times <= 3; times++)
        {
            await it.UntilExecutedAsync(1, times);
            await it.UntilExecutedAsync(2, times);
            if (times < 3)
                it.Relay.Cut();
        }

        it.Target.Release();
        Assert.Equal(1, await it.SoonAsync(call));
        await it.SoonAsync(quiet);
        Assert.Equal(3, it.Relay.Accepted);
    }

    [Fact]
    public async Task An_idempotent_call_outlives_a_server_that_is_away_for_a_while()
    {
        await using Scene it = await Scene.StartAsync();
        Task<int> call = it.Remote.HoldAgainAsync(1);
        await it.UntilExecutedAsync(1);
        it.Relay.Refuses = true;
        it.Relay.Cut();
        await it.Relay.UntilAcceptedAsync(4);
        Task<int> later = it.Remote.HoldAgainAsync(2); // made while the server is away
        it.Target.Release();
        it.Relay.Refuses = false;
        Assert.Equal(Enumerable.Range(1, 2), await it.SoonAsync(Task.WhenAll(call, later)));
    }

    [Fact]
    public async Task An_idempotent_call_is_repeated_until_its_deadline_only()
    {
        await using Scene it = await Scene.StartAsync();
        await it.Client.OpenAsync(Ct);
        Task<int> call = it.Remote.HoldAgainBrieflyAsync(1);
        await it.UntilExecutedAsync(1);
        it.Relay.Refuses = true;
        it.Relay.Cut();
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => it.SoonAsync(call));
        Assert.Equal(RpcError.Timeout, error.Code);
        Assert.Equal(1, it.Target.Times(1));
    }

    [Fact]
    public async Task An_idempotent_call_to_a_server_that_never_was_there_fails_at_once()
    {
        await using Scene it = await Scene.StartAsync();
        it.Relay.Refuses = true;
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => it.SoonAsync(it.Remote.HoldAgainAsync(1)));
        Assert.Equal(RpcError.Connection, error.Code);
    }

    [Fact]
    public async Task An_idempotent_call_that_fails_by_itself_is_not_repeated()
    {
        await using Harness it = await Harness.StartAsync();
        var fault = new NestedFault();
        it.Server.Add(fault, "nested");
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => it.Client.As<INested>("nested").CallAsync());
        Assert.Equal((RpcError.Remote, RpcError.Connection), (error.Code, error.InnerCode)); // of the handler's own call
        Assert.Equal(1, fault.Calls);
    }

    [Fact]
    public async Task Disposing_the_client_ends_calls_that_wait_for_a_connection_or_an_answer()
    {
        await using Scene it = await Scene.StartAsync();
        Task<int> call = it.Remote.HoldAgainAsync(1);
        await it.UntilExecutedAsync(1);
        await using RpcClient other = new RpcClient(it.Relay.Url, new RpcClientOptions { Identity = Harness.Shared });
        it.Relay.Freeze();
        Task<int> waiting = other.As<IRegistrar>().NoteAsync(2).AsTask();
        await it.Relay.UntilAcceptedAsync(2);
        await other.DisposeAsync().AsTask().WaitAsync(Wait.Deadline, Ct);
        await Assert.ThrowsAsync<ObjectDisposedException>(() => it.SoonAsync(waiting));
        await it.Client.DisposeAsync().AsTask().WaitAsync(Wait.Deadline, Ct);
        Assert.Equal(RpcError.Connection, (await Assert.ThrowsAsync<RpcException>(() => it.SoonAsync(call))).Code);
    }

    [Fact]
    public async Task While_a_server_drains_its_calls_finish_there_and_new_ones_go_to_its_successor()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { DrainTimeout = TimeSpan.FromMinutes(10) }, new RpcClientOptions { RetryConnectFor = TimeSpan.FromMinutes(10) });
        var before = new Registrar();
        it.Server.Add(before, "r");
        var remote = it.Client.As<IRegistrar>("r");
        Task<int> held = remote.HoldAsync(1);
        await Wait.UntilAsync(() => before.Times(1) == 1, "the call");

        Task stopping = it.Server.DisposeAsync().AsTask();
        var after = new Registrar();
        await using RpcServer successor = await RestartAsync(it.Server.Url, after);
        await Wait.UntilAsync(() => it.Client.Current is null or { Load: 0 }, "the client to hear of it");
        Assert.Equal(2, await remote.NoteAsync(2).AsTask().WaitAsync(Wait.Deadline, Ct));
        Assert.Equal((0, 1), (before.Times(2), after.Times(2)));
        Assert.False(held.IsCompleted || stopping.IsCompleted);

        before.Release();
        Assert.Equal(1, await held.WaitAsync(Wait.Deadline, Ct));
        await stopping.WaitAsync(Wait.Deadline, Ct);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_server_restarted_under_load_executes_no_call_twice_and_loses_only_those_whose_connection_broke(bool drains)
    {
        var options = new RpcServerOptions { Identity = Harness.Shared, DrainTimeout = drains ? TimeSpan.FromMinutes(10) : TimeSpan.Zero };
        var target = new Registrar();
        RpcServer server = await StartAsync("127.0.0.1:0", target, options);
        await using RpcClient client = new RpcClient(server.Url, new RpcClientOptions { Identity = Harness.Shared, RetryConnectFor = TimeSpan.FromMinutes(10), CallTimeout = TimeSpan.FromMinutes(10) });
        var remote = client.As<IRegistrar>("r");
        var failures = new ConcurrentDictionary<int, RpcException>();
        int calls = 0;
        bool stop = false;
        Task[] callers = [.. Enumerable.Range(0, 16).Select(_ => Task.Run(async () =>
        {
            while (!Volatile.Read(ref stop))
            {
                int id = Interlocked.Increment(ref calls);
                try
                {
                    Assert.Equal(id, await remote.NoteAsync(id));
                }
                catch (RpcException e)
                {
                    failures[id] = e;
                }
            }
        }))];

        for (int restarts = 0; restarts < 5; restarts++)
        {
            int seen = Volatile.Read(ref calls);
            await Wait.UntilAsync(() => Volatile.Read(ref calls) > seen + 500, "calls");
            await server.DisposeAsync().AsTask().WaitAsync(Wait.Deadline, Ct);
            server = await RestartAsync(server.Url, target, options);
        }

        Volatile.Write(ref stop, true);
        await Task.WhenAll(callers).WaitAsync(Wait.Deadline, Ct);
        await client.DisposeAsync();
        await server.DisposeAsync();
        Assert.All(Enumerable.Range(1, calls), id => Assert.InRange(target.Times(id), failures.ContainsKey(id) ? 0 : 1, 1));
        Assert.All(failures.Values, static e => Assert.Equal((RpcError.Connection, "r/Note"), (e.Code, e.Method)));
        if (drains)
            Assert.Empty(failures);
    }

    [Fact]
    public async Task A_server_that_stops_waits_no_longer_than_its_callers_need()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { DrainTimeout = TimeSpan.FromMinutes(10) });
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
        await it.Server.DisposeAsync().AsTask().WaitAsync(Wait.Deadline, Ct);
    }

    [Fact]
    public async Task Several_connections_share_the_calls()
    {
        await using Scene it = await Scene.StartAsync(new RpcClientOptions { Connections = 4 });
        for (int i = 0; i < 20; i++)
            Assert.Equal(-1, await it.Remote.NoteAsync(-1));
        Assert.Single(it.Client.Connections); // one call at a time needs no second

        var calls = new List<Task<int>>();
        await it.OpenAllAsync(calls, 4);
        while (it.Client.Connections.Min(static c => c.Load) < it.Client.Connections.Max(static c => c.Load))
            calls.Add(it.Remote.HoldAsync(calls.Count));
        Assert.All(it.Client.Connections, c => Assert.Equal(calls.Count / 4, c.Load));
        it.Target.Release();
        Assert.Equal(Enumerable.Range(0, calls.Count), await it.SoonAsync(Task.WhenAll(calls)));
        Assert.Equal(4, it.Relay.Accepted);
    }

    [Fact]
    public async Task Several_connections_that_are_lost_are_made_again()
    {
        await using Scene it = await Scene.StartAsync(new RpcClientOptions { Connections = 2 });
        var calls = new List<Task<int>>();
        await it.OpenAllAsync(calls, 2);
        Assert.Equal(2, it.Client.Connections.Count);
        it.Relay.Cut();
        it.Target.Release();
        RpcException[] errors = await it.SoonAsync(Task.WhenAll(calls.Select(static c => Assert.ThrowsAsync<RpcException>(() => c))));
        Assert.All(errors, static e => Assert.Equal(RpcError.Connection, e.Code));
        Assert.Equal(Enumerable.Range(0, 8), await it.SoonAsync(Task.WhenAll(Enumerable.Range(0, 8).Select(it.Remote.HoldAsync))));
    }

    [Fact]
    public void A_client_without_connections_is_refused() =>
        Assert.Throws<ArgumentOutOfRangeException>(static () => new RpcClient("127.0.0.1:1", new RpcClientOptions { Connections = 0 }));

    private static async Task<RpcServer> StartAsync(string url, Registrar target, RpcServerOptions options)
    {
        var server = new RpcServer(options);
        server.Add(target, "r");
        try
        {
            await server.StartAsync(url, Ct);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Takes the port as soon as it is free.</summary>
    [SuppressMessage("Reliability", "CA2000", Justification = "The caller's.")]
    private static async Task<RpcServer> RestartAsync(string url, Registrar target, RpcServerOptions? options = null)
    {
        RpcServer? server = null;
        await Wait.UntilAsync(
            () =>
            {
                try
                {
                    server = StartAsync(url, target, options ?? new RpcServerOptions { Identity = Harness.Shared }).GetAwaiter().GetResult();
                    return true;
                }
                catch (RpcException)
                {
                    return false;
                }
            },
            "the port");
        return server!;
    }

    /// <summary>A server behind a relay, and a client.</summary>
    private sealed class Scene : IAsyncDisposable
    {
        private Scene(RpcServer server, Registrar target, Relay relay, RpcClient client) => (Server, Target, Relay, Client) = (server, target, relay, client);

        public RpcServer Server { get; }

        public Registrar Target { get; }

        public Relay Relay { get; }

        public RpcClient Client { get; }

        public IRegistrar Remote => Client.As<IRegistrar>();

        public static async Task<Scene> StartAsync(RpcClientOptions? client = null, RpcServerOptions? server = null)
        {
            var target = new Registrar();
            var started = new RpcServer((server ?? new RpcServerOptions { DrainTimeout = TimeSpan.Zero }) with { Identity = Harness.Shared });
            started.Add(target);
            await started.StartAsync("127.0.0.1:0", Ct);
            var relay = new Relay(started.Url);
            return new Scene(started, target, relay, new RpcClient(relay.Url, (client ?? new RpcClientOptions()) with { Identity = Harness.Shared }));
        }

        public async Task LoseConnectionAsync()
        {
            ClientConnection connection = Client.Current!;
            Relay.Cut();
            await connection.Closed.WaitAsync(Wait.Deadline, Ct);
        }

        /// <summary>Makes calls that are held until so many connections are open.</summary>
        public Task OpenAllAsync(List<Task<int>> calls, int connections) => Wait.UntilAsync(
            () =>
            {
                calls.Add(Remote.HoldAsync(calls.Count));
                return Client.Connections.Count == connections;
            },
            $"{connections} connections");

        public Task UntilExecutedAsync(int id, int times = 1) => Wait.UntilAsync(() => Target.Times(id) >= times, $"{times} executions of call {id}");

        public Task<T> SoonAsync<T>(Task<T> task) => task.WaitAsync(Wait.Deadline, Ct);

        public Task SoonAsync(Task task) => task.WaitAsync(Wait.Deadline, Ct);

        public async ValueTask DisposeAsync()
        {
            Target.Release();
            await Client.DisposeAsync();
            await Relay.DisposeAsync();
            await Server.DisposeAsync();
        }
    }
}

[RpcService]
public interface INested
{
    [Rpc(Idempotent = true)]
    Task CallAsync();
}

/// <summary>Fails as a handler does whose own call to somewhere else broke.</summary>
public sealed class NestedFault : INested
{
    private int _calls;

    public int Calls => _calls;

    public Task CallAsync()
    {
        Interlocked.Increment(ref _calls);
        throw new RpcException(RpcError.Connection, "elsewhere");
    }
}
