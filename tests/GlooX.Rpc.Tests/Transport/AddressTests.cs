using System.Net;
using System.Net.Sockets;
using GlooX.Rpc.Tests.RpcRuntime;
using GlooX.Transport;

namespace GlooX.Rpc.Tests.Transport;

/// <summary>Hosts with several addresses, some of which are dead.</summary>
public sealed class AddressTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_dead_address_does_not_keep_from_the_ones_behind_it()
    {
        await using Harness it = await Harness.StartAsync();
        IPEndPoint alive = IPEndPoint.Parse(it.Server.Url);
        using var hole = new BlackHole(alive.Port);
        await using RpcClient client = Client(alive.Port, hole.Address, hole.Address, alive.Address);
        Assert.Equal(3, await client.As<ICalculator>().AddAsync(1, 2));
    }

    [Fact]
    public async Task Without_an_address_that_lives_the_attempt_ends_in_its_time()
    {
        using var hole = new BlackHole(0);
        await using RpcClient client = Client(hole.Port, hole.Address, hole.Address);
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => client.OpenAsync(Ct).WaitAsync(Wait.Deadline, Ct));
        Assert.Equal(RpcError.Timeout, error.Code);
    }

    [Fact]
    public async Task A_host_that_refuses_at_every_address_is_one_where_nobody_listens()
    {
        int port;
        using (var free = new TcpListener(IPAddress.Loopback, 0))
        {
            free.Start();
            port = ((IPEndPoint)free.LocalEndpoint).Port;
        }

        await using RpcClient client = Client(port, IPAddress.Loopback, IPAddress.Parse("127.0.0.3"));
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => client.OpenAsync(Ct).WaitAsync(Wait.Deadline, Ct));
        Assert.Equal(RpcError.Connection, error.Code);
        Assert.Contains("nothing listens there", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("6a 6b 6c 4a", "6a 4a 6b 6c")]
    [InlineData("4a 6a 6b 4b", "4a 6a 4b 6b")]
    [InlineData("4a 4b", "4a 4b")]
    [InlineData("", "")]
    public void The_families_take_turns_in_the_resolvers_order(string given, string expected) =>
        Assert.Equal(Addresses(expected), HappyEyeballs.Interleave(Addresses(given)));

    [Fact]
    public async Task The_next_attempt_begins_as_soon_as_the_last_has_failed()
    {
        var race = new Race { Time = new StoppedTime() };
        Task<Runner> running = race.RunAsync("4a 4b 4c");
        Assert.Equal(["4a"], race.Started);
        race.Fail("4a", SocketError.ConnectionRefused);
        await Wait.UntilAsync(() => race.Started.Count == 2, "the second");
        race.Fail("4b", SocketError.NetworkUnreachable);
        await Wait.UntilAsync(() => race.Started.Count == 3, "the third");
        race.Fail("4c", SocketError.ConnectionRefused);
        SocketException error = await Assert.ThrowsAsync<SocketException>(() => running);
        Assert.Equal(SocketError.NetworkUnreachable, error.SocketErrorCode); // that of all which proves the least
    }

    [Fact]
    public async Task The_first_to_connect_wins_and_the_others_are_ended()
    {
        var race = new Race();
        Task<Runner> running = race.RunAsync("4a 4b 4c 4d");
        await Wait.UntilAsync(() => race.Started.Count == 3, "three");
        race.DoesNotListen = "4a"; // to the end of the race: it connects all the same
        race.Win("4b");
        await Wait.UntilAsync(() => race.IsEnded("4a") && race.IsEnded("4c"), "the end of the others");
        Assert.False(running.IsCompleted);
        race.Win("4a");
        Runner winner = await running;
        Assert.Equal(("4b", false), (winner.Name, winner.IsClosed));
        Assert.True(race.LateOne!.IsClosed);
        Assert.Equal(3, race.Started.Count);
    }

    [Fact]
    public async Task Giving_up_ends_all_attempts()
    {
        using var stop = new CancellationTokenSource();
        var race = new Race();
        Task<Runner> running = race.RunAsync("4a 4b", stop.Token);
        await Wait.UntilAsync(() => race.Started.Count == 2, "both");
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
        Assert.True(race.IsEnded("4a") && race.IsEnded("4b"));
    }

    private static RpcClient Client(int port, params IPAddress[] addresses) => new RpcClient($"many.test:{port}", new RpcClientOptions
    {
        Identity = Harness.Shared,
        ServerName = "127.0.0.1",
        Resolve = (host, _) => Task.FromResult(host == "many.test" ? addresses : []),
    });

    private static IPAddress[] Addresses(string names) => [.. names.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select(n => IPAddress.Parse((n[0] == '6' ? "fd00::" : "10.0.0.") + (n[1] - 'a' + 1)))];

    /// <summary>An address of the loopback whose packets are dropped, as by a firewall: its listener has no room, and never makes any.</summary>
    private sealed class BlackHole : IDisposable
    {
        private readonly Socket _listener = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        private readonly List<Socket> _fillers = [];

        public BlackHole(int port)
        {
            _listener.Bind(new IPEndPoint(Address, port));
            _listener.Listen(0);
            for (bool full = false; !full;)
            {
                var filler = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
                _fillers.Add(filler);
                full = !filler.ConnectAsync(Address, Port).Wait(TimeSpan.FromMilliseconds(200));
            }
        }

        public IPAddress Address { get; } = IPAddress.Parse("127.0.0.2");

        public int Port => ((IPEndPoint)_listener.LocalEndPoint!).Port;

        public void Dispose()
        {
            _fillers.ForEach(static f => f.Dispose());
            _listener.Dispose();
        }
    }

    private sealed class Runner(string name) : IAsyncDisposable
    {
        public string Name => name;

        public bool IsClosed { get; private set; }

        public ValueTask DisposeAsync()
        {
            IsClosed = true;
            return default;
        }
    }

    /// <summary>Attempts that end when the test says so.</summary>
    private sealed class Race
    {
        private readonly Lock _gate = new();
        private readonly Dictionary<string, TaskCompletionSource<Runner>> _attempts = [];
        private readonly HashSet<string> _ended = [];
        private readonly List<string> _started = [];

        public TimeProvider Time { get; init; } = TimeProvider.System;

        public string? DoesNotListen { get; set; }

        public Runner? LateOne { get; private set; }

        public List<string> Started
        {
            get
            {
                lock (_gate)
                    return [.. _started];
            }
        }

        public bool IsEnded(string name)
        {
            lock (_gate)
                return _ended.Contains(name);
        }

        public Task<Runner> RunAsync(string names, CancellationToken ct = default) => HappyEyeballs.RunAsync(Addresses(names), ConnectAsync, Time, ct);

        public void Fail(string name, SocketError why)
        {
            lock (_gate)
                _attempts[name].SetException(new SocketException((int)why));
        }

        public void Win(string name)
        {
            var runner = new Runner(name);
            LateOne = name == DoesNotListen ? runner : LateOne;
            lock (_gate)
                _attempts[name].TrySetResult(runner);
        }

        private async Task<Runner> ConnectAsync(IPAddress address, CancellationToken ct)
        {
            string name = $"4{(char)('a' + address.GetAddressBytes()[3] - 1)}";
            var attempt = new TaskCompletionSource<Runner>(TaskCreationOptions.RunContinuationsAsynchronously);
            lock (_gate)
            {
                _started.Add(name);
                _attempts[name] = attempt;
            }

            await using CancellationTokenRegistration end = ct.Register(() =>
            {
                lock (_gate)
                    _ended.Add(name);
                if (name != DoesNotListen)
                    attempt.TrySetCanceled(ct);
            });
            return await attempt.Task;
        }
    }

    /// <summary>A clock whose timers never fire.</summary>
    private sealed class StoppedTime : TimeProvider
    {
        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) => new Never();

        private sealed class Never : ITimer
        {
            public bool Change(TimeSpan dueTime, TimeSpan period) => true;

            public void Dispose()
            {
            }

            public ValueTask DisposeAsync() => default;
        }
    }
}
