using GlooX.Protocol;
using GlooX.Rpc.Tests.Protocol.Fuzzing;
using GlooX.RpcRuntime;
using GlooX.Server;

namespace GlooX.Rpc.Tests.Server;

/// <summary>One-way calls at the limits of what is served, and when their caller goes.</summary>
public sealed class OneWayTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Handlers_beyond_the_limit_that_call_back_get_their_answers()
    {
        const int Calls = 500;
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxInFlight = 10, DrainTimeout = TimeSpan.Zero });
        var target = new Chatter();
        it.Server.Add(target, "chatter");
        IChatter remote = it.Client.As<IChatter>("chatter");
        var ear = new Ear();
        await remote.LendAsync(ear);
        for (int i = 0; i < Calls; i++)
        {
            await remote.EchoAsync(i);
        }

        // None is heard before more have come than may be served: were the connection not read, none would ever be.
        await Wait.UntilAsync(() => ear.Heard >= 10, "as many as may be served");
        ear.Answer.SetResult();
        await Wait.UntilAsync(() => target.Done == Calls, "all handlers");
        Assert.Empty(target.Failures);
        Assert.Equal(Enumerable.Range(0, Calls), ear.Numbers.Order());
    }

    [Fact]
    public async Task Calls_that_a_server_makes_do_not_count_against_those_that_it_serves()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxInFlight = 2, DrainTimeout = TimeSpan.Zero });
        var target = new Chatter();
        it.Server.Add(target, "chatter");
        IChatter remote = it.Client.As<IChatter>("chatter");
        var ear = new Ear();
        await remote.LendAsync(ear);
        Task asking = remote.AskManyAsync(20);
        await Wait.UntilAsync(() => ear.Heard == 20, "the calls of the server");
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
        ear.Answer.SetResult();
        await asking.WaitAsync(Wait.Deadline, Ct);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Handlers_whose_caller_is_gone_are_cancelled_and_so_are_those_in_line(bool cut)
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxInFlight = 5, DrainTimeout = TimeSpan.Zero });
        var target = new Chatter();
        it.Server.Add(target, "chatter");
        await using var relay = new Relay(it.Server.Url);
        await using RpcClient client = new RpcClient(relay.Url, new RpcClientOptions { Identity = Harness.Shared });
        IChatter remote = client.As<IChatter>("chatter");
        for (int i = 0; i < 20; i++)
        {
            await remote.HangAsync(Ct);
        }

        Task<int> last = remote.CountAsync(1); // waits behind them
        await Wait.UntilAsync(() => target.Hanging == 5, "handlers");
        if (cut)
        {
            relay.Cut();
        }
        else
        {
            await client.DisposeAsync();
        }

        await Assert.ThrowsAsync<RpcException>(() => last.WaitAsync(Wait.Deadline, Ct));
        await Wait.UntilAsync(() => target.Cancelled == 20, "the end of all handlers");
    }

    [Fact]
    public async Task What_waits_in_line_is_bounded_and_none_of_it_is_lost()
    {
        const int Calls = 3000;
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxInFlight = 5, MaxBufferedBytes = 100_000, DrainTimeout = TimeSpan.Zero });
        var patient = new Patient();
        it.Server.Add(patient, "patient");
        var target = new Chatter();
        it.Server.Add(target, "chatter");
        await using RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "patient/Hold", "Add");
        await peer.SayAsync([.. Enumerable.Repeat(new Piece(FrameType.Request, 0, [0, (byte)RequestFlags.OneWay, 0x90]).ToBytes(), Calls).SelectMany(b => b)]);
        await peer.SayAsync(RawPeer.Call(7, 1, 0x92, 3, 4)); // beyond the bound: not even read before the others run
        await patient.HasBegunAsync(5);
        patient.Release(Calls);
        await patient.HasBegunAsync(Calls - 5);
        Assert.Equal((FrameType.Response, 7u), await peer.HearAsync() is { } answer ? (answer.Type, answer.Id) : default);
        Assert.InRange(patient.MostHeld, 5, 6);
    }

    [Fact]
    public async Task Large_ones_beyond_the_bytes_in_flight_wait_instead_of_being_dropped()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxInFlightBytes = 100_000, DrainTimeout = TimeSpan.Zero });
        var target = new Chatter();
        it.Server.Add(target, "chatter");
        IChatter remote = it.Client.As<IChatter>("chatter");
        for (int i = 0; i < 50; i++)
        {
            await remote.TakeAsync(new byte[40_000]);
        }

        await Wait.UntilAsync(() => target.Done == 50, "all of them");
        Assert.InRange(target.MostTaken, 1, 2);
    }

    [Fact]
    public void The_line_is_left_in_order_and_only_into_room()
    {
        var served = new ServedCalls(most: 2, mostBytes: 100, mostWaiting: 1000);
        var requests = Enumerable.Range(0, 6).Select(static _ => new NoRequest()).ToArray();
        int[] large = [0, 90, 20, 0, 200, 0];
        for (int i = 0; i < requests.Length; i++)
        {
            served.Begin(isOneWay: true, large[i]);
            Assert.Null(served.Refusal(isOneWay: true, large[i]));
            Assert.Equal(i >= 2, served.TryWait(requests[i], isOneWay: true, large[i], 10));
        }

        Assert.Equal((2, true), (served.Count, served.IsFull));
        Assert.Null(served.Next());
        served.End(isOneWay: true, 0); // the first; the next in line is too large beside the second, and those behind it do not overtake it
        Assert.Null(served.Next());
        served.End(isOneWay: true, 90);
        Assert.Same(requests[2], served.Next());
        Assert.Same(requests[3], served.Next());
        Assert.Null(served.Next());
        served.End(isOneWay: true, 20);
        Assert.Same(requests[4], served.Next()); // too large by itself, and alone
        served.End(isOneWay: true, 0);
        Assert.Same(requests[5], served.Next());
        served.End(isOneWay: true, 200);
        Assert.False(served.IsIdle);
        served.End(isOneWay: true, 0);
        Assert.Equal((true, false), (served.IsIdle, served.IsFull));
    }

    [Fact]
    public void Calls_with_an_answer_wait_behind_one_way_calls_and_are_refused_where_they_are_too_many_themselves()
    {
        var served = new ServedCalls(most: 2, mostBytes: 100, mostWaiting: 1000);
        var request = new NoRequest();
        for (int i = 0; i < 3; i++)
        {
            served.Begin(isOneWay: true, 0);
            Assert.Equal(i == 2, served.TryWait(request, isOneWay: true, 0, 10));
        }

        for (int i = 0; i < 2; i++)
        {
            served.Begin(isOneWay: false, 0);
            Assert.Null(served.Refusal(isOneWay: false, 0));
            Assert.True(served.TryWait(request, isOneWay: false, 0, 10));
        }

        served.Begin(isOneWay: false, 0);
        Assert.NotNull(served.Refusal(isOneWay: false, 0));
        served.End(isOneWay: false, 0);
        served.End(isOneWay: true, 0);
        Assert.NotNull(served.Next());
        Assert.Null(served.Next());
        served.End(isOneWay: true, 0);
        served.End(isOneWay: true, 0);
        Assert.NotNull(served.Next());
        Assert.NotNull(served.Next());
        served.Begin(isOneWay: false, 0);
        Assert.NotNull(served.Refusal(isOneWay: false, 0));
    }

    private sealed class NoRequest() : RpcVoidRequest(cancellable: false)
    {
        protected override ValueTask InvokeAsync(CancellationToken ct) => default;
    }
}

[RpcService]
public interface IEar
{
    Task<int> HearAsync(int number);
}

[RpcService]
public interface IChatter
{
    Task LendAsync(IEar ear);

    Task AskManyAsync(int count);

    Task<int> CountAsync(int number);

    [Rpc(OneWay = true)]
    Task EchoAsync(int number);

    [Rpc(OneWay = true)]
    Task HangAsync(CancellationToken ct);

    [Rpc(OneWay = true)]
    Task TakeAsync(byte[] bytes);
}

/// <summary>Answers when it may.</summary>
public sealed class Ear : IEar
{
    private int _heard;

    public int Heard => Volatile.Read(ref _heard);

    public System.Collections.Concurrent.ConcurrentQueue<int> Numbers { get; } = new();

    public TaskCompletionSource Answer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public async Task<int> HearAsync(int number)
    {
        Numbers.Enqueue(number);
        Interlocked.Increment(ref _heard);
        await Answer.Task;
        return number;
    }
}

/// <summary>Calls back whoever has lent it an ear, while it is called.</summary>
public sealed class Chatter : IChatter
{
    private IEar? _ear;
    private int _done;
    private int _hanging;
    private int _cancelled;
    private int _taken;
    private int _mostTaken;

    public int Done => Volatile.Read(ref _done);

    public int Hanging => Volatile.Read(ref _hanging);

    public int Cancelled => Volatile.Read(ref _cancelled);

    public int MostTaken => Volatile.Read(ref _mostTaken);

    public System.Collections.Concurrent.ConcurrentQueue<Exception> Failures { get; } = new();

    public Task LendAsync(IEar ear)
    {
        _ear = ear;
        return Task.CompletedTask;
    }

    public Task AskManyAsync(int count) => Task.WhenAll(Enumerable.Range(0, count).Select(_ear!.HearAsync));

    public Task<int> CountAsync(int number) => Task.FromResult(number);

    public async Task EchoAsync(int number)
    {
        try
        {
            Assert.Equal(number, await _ear!.HearAsync(number));
        }
        catch (Exception e)
        {
            Failures.Enqueue(e);
        }

        Interlocked.Increment(ref _done);
    }

    public async Task HangAsync(CancellationToken ct)
    {
        Interlocked.Increment(ref _hanging);
        try
        {
            await Task.Delay(Timeout.Infinite, ct);
        }
        finally
        {
            Interlocked.Increment(ref _cancelled);
        }
    }

    public async Task TakeAsync(byte[] bytes)
    {
        int taken = Interlocked.Increment(ref _taken);
        InterlockedMax(ref _mostTaken, taken);
        await Task.Yield();
        Interlocked.Decrement(ref _taken);
        Interlocked.Increment(ref _done);
    }

    private static void InterlockedMax(ref int target, int value)
    {
        int seen;
        while ((seen = Volatile.Read(ref target)) < value && Interlocked.CompareExchange(ref target, value, seen) != seen)
        {
        }
    }
}
