using System.Buffers;
using System.Net;
using System.Net.Sockets;
using GlooX.Client;
using GlooX.Protocol;
using GlooX.Rpc.Tests.Client;
using GlooX.Rpc.Tests.Protocol.Fuzzing;
using GlooX.Rpc.Tests.RpcRuntime;
using GlooX.Tls;
using Nerdbank.MessagePack;

namespace GlooX.Rpc.Tests.Server;

/// <summary>What callers are told at the limits of a server, and that peers who hang cost it little. Sizes of messages: see <see cref="CallTests"/>.</summary>
public sealed class LimitTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_connection_too_many_is_Overloaded_until_there_is_room(bool perPeer)
    {
        var options = new RpcServerOptions { DrainTimeout = TimeSpan.Zero };
        await using Harness it = await Harness.StartAsync(perPeer ? options with { MaxConnectionsPerPeer = 1 } : options with { MaxConnections = 1 });
        await it.Client.OpenAsync(Ct);
        await using RpcClient second = Connect(it.Server.Url);
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => second.OpenAsync(Ct));
        Assert.Equal(RpcError.Overloaded, error.Code);
        Assert.Contains(perPeer ? "MaxConnectionsPerPeer" : "MaxConnections)", error.Message, StringComparison.Ordinal);
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));

        await using RpcClient patient = Connect(it.Server.Url, new RpcClientOptions { RetryConnectFor = TimeSpan.FromMinutes(10) });
        Task opening = patient.OpenAsync(Ct);
        await it.Client.DisposeAsync();
        await opening.WaitAsync(Wait.Deadline, Ct);
    }

    [Fact]
    public async Task A_client_that_may_not_have_more_connections_does_with_those_it_has()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxConnections = 1 }, new RpcClientOptions { Connections = 4 });
        int[] sums = await Task.WhenAll(Enumerable.Range(0, 1000).Select(async i => await it.Remote.AddAsync(i, 1)));
        Assert.Equal(Enumerable.Range(1, 1000), sums);
        Assert.Single(it.Client.Connections);
    }

    [Fact]
    public void Each_certificate_has_its_own_share()
    {
        var turnstile = new ConnectionLimiter(total: 3, perPeer: 2);
        Assert.Null(turnstile.Enter("a"));
        Assert.Null(turnstile.Enter("a"));
        Assert.Contains("PerPeer", turnstile.Enter("a"), StringComparison.Ordinal);
        Assert.Null(turnstile.Enter("b"));
        Assert.Contains("(MaxConnections)", turnstile.Enter("c"), StringComparison.Ordinal);
        turnstile.Leave("a");
        Assert.Null(turnstile.Enter("c"));
    }

    [Fact]
    public async Task One_who_connects_and_says_nothing_is_shown_out()
    {
        using var log = new LogKeeper();
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { HandshakeTimeout = TimeSpan.FromMilliseconds(200), LoggerFactory = log });
        using var silent = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await silent.ConnectAsync(IPEndPoint.Parse(it.Server.Url), Ct);
        Assert.Equal(0, await silent.ReceiveAsync(new byte[1], Ct).AsTask().WaitAsync(Wait.Deadline, Ct));
        await Wait.UntilAsync(() => log.Lines.Any(static l => l.Text.Contains("it took too long", StringComparison.Ordinal)), "the log");
    }

    [Fact]
    public async Task One_who_does_not_greet_is_told_so_and_shown_out()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { HandshakeTimeout = TimeSpan.FromSeconds(1) });
        await using RawPeer mute = await RawPeer.DialAsync(it.Server.Url);
        Assert.Equal(RpcError.Timeout, await mute.HearEndAsync());
    }

    [Fact]
    public async Task A_server_that_falls_silent_is_noticed()
    {
        await using Harness it = await Harness.StartAsync();
        await using var relay = new Relay(it.Server.Url);
        await using RpcClient client = Connect(relay.Url, new RpcClientOptions { KeepAliveInterval = TimeSpan.FromMilliseconds(200), CallTimeout = TimeSpan.Zero });
        Task<string> call = client.As<ICalculator>().HangAsync("x", Ct);
        await it.Calculator.Entered.Task.WaitAsync(Wait.Deadline, Ct);
        relay.Freeze();
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => call.WaitAsync(Wait.Deadline, Ct));
        Assert.Equal(RpcError.Connection, error.Code);
        Assert.Contains("nothing was heard of it", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_caller_that_falls_silent_is_noticed_and_its_calls_are_cancelled()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { KeepAliveInterval = TimeSpan.FromMilliseconds(200), DrainTimeout = TimeSpan.Zero });
        await using var relay = new Relay(it.Server.Url);
        await using RpcClient client = Connect(relay.Url, new RpcClientOptions { KeepAliveInterval = TimeSpan.Zero });
        Task call = client.As<ICalculator>().HangAsync("x", Ct);
        await it.Calculator.Entered.Task.WaitAsync(Wait.Deadline, Ct);
        relay.Freeze();
        await it.Calculator.Ended.Task.WaitAsync(Wait.Deadline, Ct);
        relay.Cut();
        await Assert.ThrowsAsync<RpcException>(() => call.WaitAsync(Wait.Deadline, Ct));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_idle_connection_is_kept_alive(bool byServer)
    {
        TimeSpan often = TimeSpan.FromSeconds(2);
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { KeepAliveInterval = byServer ? often : TimeSpan.Zero });
        await using var relay = new Relay(it.Server.Url);
        await using RpcClient client = Connect(relay.Url, new RpcClientOptions { KeepAliveInterval = byServer ? TimeSpan.Zero : often });
        await client.OpenAsync(Ct);
        ClientConnection connection = client.Current!;
        int passed = relay.Passed;
        await Wait.UntilAsync(() => relay.Passed >= passed + 6 || connection.IsClosed, "pings and pongs");
        Assert.False(connection.IsClosed);
    }

    [Fact]
    public async Task A_caller_that_reads_slowly_is_not_taken_for_dead()
    {
        const int Answers = 400;
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { KeepAliveInterval = TimeSpan.FromMilliseconds(1_500), MaxBufferedBytes = 100_000, DrainTimeout = TimeSpan.Zero });
        await using RawPeer slow = await RawPeer.GreetAsync(it.Server.Url, "Bytes");
        await slow.SayAsync([.. Enumerable.Range(0, Answers).Select(static i => RawPeer.Call((uint)i, 0, ArrayOf(100_000)))]);
        for (int answers = 0; answers < Answers;)
        {
            Piece? frame = await slow.HearAsync();
            Assert.NotNull(frame);
            if (frame.Type == FrameType.Response)
                answers++;
            else if (frame.Type == FrameType.Ping && answers > Answers / 2)
                await slow.SayAsync(new Piece(FrameType.Pong, 0, []));

            // The first half takes longer than two intervals, and that it reads is all that tells of it. What comes at the end is in the
            // kernel's buffers, where nobody sees that it is read, so that is read at once, and pings are answered.
            if (answers <= Answers / 2)
                await Task.Delay(20, Ct);
        }
    }

    [Fact]
    public async Task A_server_closes_idle_connections_if_asked_to_and_the_next_call_does_not_notice()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { IdleTimeout = TimeSpan.FromMilliseconds(200), DrainTimeout = TimeSpan.Zero });
        await using RpcClient busy = Connect(it.Server.Url);
        Task call = busy.As<ICalculator>().HangAsync("x", Ct);
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(i, await it.Remote.AddAsync(i, 0));
            foreach (ClientConnection idle in it.Client.Connections)
            {
                await idle.Closed.WaitAsync(Wait.Deadline, Ct);
                Assert.Equal(RpcError.ShuttingDown, ((RpcException)idle.CloseReason!).Code);
            }
        }

        Assert.False(call.IsCompleted);
        Assert.NotNull(busy.Current);
    }

    [Fact]
    public async Task A_caller_that_does_not_read_holds_up_no_one_and_piles_up_nothing()
    {
        const int Calls = 5000;
        const int Size = 20_000;
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxBufferedBytes = 1_000_000, DrainTimeout = TimeSpan.Zero });
        var source = new Source();
        it.Server.Add(source, "source");
        await using RawPeer stalled = await RawPeer.GreetAsync(it.Server.Url, "source/Get");
        await stalled.SayAsync([.. Enumerable.Range(0, Calls).Select(static i => RawPeer.Call((uint)i, 0, ArrayOf(Size)))]);
        for (int i = 0; i < 1000; i++)
            Assert.Equal(i, await it.Remote.AddAsync(i, 0));

        // What the kernel's buffers hold has been made too: some megabytes of a hundred.
        Assert.InRange(source.Made, 1, Calls / 4);
        for (int answers = 0; answers < Calls;)
        {
            Piece? answer = await stalled.HearAsync();
            Assert.Equal(FrameType.Response, answer?.Type);
            Assert.InRange(answer!.Body.Length, Size, Size + 10);
            answers++;
        }

        Assert.Equal(Calls, source.Made);
    }

    [Fact]
    public async Task A_server_that_does_not_read_makes_its_callers_wait_and_piles_up_nothing()
    {
        await using Harness it = await Harness.StartAsync();
        await using var relay = new Relay(it.Server.Url);
        await using RpcClient stalled = Connect(relay.Url, new RpcClientOptions { MaxBufferedBytes = 1_000_000, CallTimeout = TimeSpan.FromMinutes(10) });
        await stalled.OpenAsync(Ct);
        ClientConnection connection = stalled.Current!;
        relay.Freeze();
        Task<int>[] calls = [.. Enumerable.Range(0, 5000).Select(_ => stalled.As<ICalculator>().SizeAsync(new byte[20_000]))];
        await Wait.UntilAsync(() => connection.IsCongested, "the buffer to be full");
        Assert.InRange(connection.Load, 1, calls.Length / 4);
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
        relay.Thaw();
        Assert.All(await Task.WhenAll(calls).WaitAsync(Wait.Deadline, Ct), static size => Assert.Equal(20_000, size));
    }

    [Fact]
    public async Task Large_calls_and_large_answers_do_not_wait_for_each_other()
    {
        const int Limit = 100_000;
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxBufferedBytes = Limit, DrainTimeout = TimeSpan.Zero }, new RpcClientOptions { MaxBufferedBytes = Limit });
        it.Server.Add(new Source(), "source");
        byte[] much = new byte[1_000_000];
        byte[]?[] answers = await Task.WhenAll(Enumerable.Range(0, 64).Select(async _ => await it.Client.CallAsync<byte[]>("source/Echo", [much], Ct))).WaitAsync(Wait.Deadline, Ct);
        Assert.All(answers, a => Assert.Equal(much.Length, a?.Length));
    }

    /// <summary>The arguments of a call that takes a number.</summary>
    private static byte[] ArrayOf(int number)
    {
        var bytes = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(bytes);
        writer.WriteArrayHeader(1);
        writer.Write(number);
        writer.Flush();
        return bytes.WrittenSpan.ToArray();
    }

    private static RpcClient Connect(string url, RpcClientOptions? options = null) =>
        new RpcClient(url, (options ?? new RpcClientOptions()) with { Identity = Harness.Shared });
}

/// <summary>Makes bytes, and counts how often.</summary>
public sealed class Source
{
    private int _made;

    public int Made => Volatile.Read(ref _made);

    [Rpc]
    public byte[] Get(int size)
    {
        Interlocked.Increment(ref _made);
        return new byte[size];
    }

    [Rpc]
    public byte[] Echo(byte[] what) => what;
}
