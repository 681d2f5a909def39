using GlooX.Client;

namespace GlooX.Rpc.Tests.Client;

public sealed class CallTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_typed_call_brings_the_result()
    {
        await using Harness it = await Harness.StartAsync();
        Assert.Equal(5, await it.Remote.AddAsync(2, 3));
    }

    [Fact]
    public async Task An_untyped_call_reaches_methods_with_the_attribute_and_those_of_contracts()
    {
        await using Harness it = await Harness.StartAsync();
        Assert.Equal("calculator", await it.Client.CallAsync<string>("Name"));
        Assert.Equal("hello you", await it.Client.CallAsync<string>("Greet", "you"));
        Assert.Equal(7, await it.Client.CallAsync<int>("Add", 3, 4));
        Assert.Equal(7L, await it.Client.CallAsync<object>("Add", 3, 4));
    }

    [Fact]
    public async Task A_named_service_is_called_by_its_name()
    {
        await using Harness it = await Harness.StartAsync();
        it.Server.Add(new Calculator(), "second");
        Assert.Equal(3, await it.Client.As<ICalculator>("second").AddAsync(1, 2));
        Assert.Equal("calculator", await it.Client.CallAsync<string>("second/Name"));

        var error = await Assert.ThrowsAsync<RpcException>(async () => await it.Client.CallAsync<string>("third/Name"));
        Assert.Equal(RpcError.ServiceNotFound, error.Code);
        Assert.Contains("second", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Records_travel_both_ways()
    {
        await using Harness it = await Harness.StartAsync();
        Order back = await it.Remote.DoubleAsync(new Order("größer", 21, ["a", "b"], new Order("part", 1, [])), Ct);
        Assert.Equal(("größer", 42, "part"), (back.Name, back.Amount, back.Part?.Name));
        Assert.Equal(["a", "b"], back.Tags);

        Order? untyped = await it.Client.CallAsync<Order>("Double", new Order("x", 4, []));
        Assert.Equal(8, untyped?.Amount);
    }

    [Fact]
    public async Task A_call_without_result_completes_after_the_method()
    {
        await using Harness it = await Harness.StartAsync();
        await it.Remote.ForgetAsync("it");
        Assert.Equal(["it"], it.Calculator.Forgotten);
    }

    [Fact]
    public async Task An_exception_of_the_handler_comes_home_with_type_and_message()
    {
        await using Harness it = await Harness.StartAsync();
        var error = await Assert.ThrowsAsync<RpcException>(() => it.Remote.FailAsync("no luck"));
        Assert.Equal(RpcError.Remote, error.Code);
        Assert.Equal(typeof(OddException).FullName, error.RemoteType);
        Assert.Contains("no luck", error.Message, StringComparison.Ordinal);
        Assert.Equal("Fail", error.Method);
        Assert.Equal(it.Server.Url, error.Url);
        Assert.Null(error.RemoteStack);
    }

    [Fact]
    public async Task The_stack_is_sent_by_a_server_that_was_told_to()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { SendStackTraces = true });
        var error = await Assert.ThrowsAsync<RpcException>(() => it.Remote.FailAsync("no luck"));
        Assert.Contains(nameof(ICalculator.FailAsync), error.RemoteStack, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_error_larger_than_the_caller_accepts_is_shortened_and_both_live_on()
    {
        await using Harness it = await Harness.StartAsync(client: new RpcClientOptions { MaxFrameBytes = 1024 });
        var error = await Assert.ThrowsAsync<RpcException>(() => it.Remote.FailAsync(new string('x', 5000)));
        Assert.Equal(RpcError.Remote, error.Code);
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
    }

    [Fact]
    public async Task An_unknown_method_is_refused_with_those_that_there_are()
    {
        await using Harness it = await Harness.StartAsync();
        var error = await Assert.ThrowsAsync<RpcException>(async () => await it.Client.CallAsync<string>("Nmae"));
        Assert.Equal(RpcError.MethodNotFound, error.Code);
        Assert.Contains("Nmae", error.Message, StringComparison.Ordinal);
        Assert.Contains("Greet, Hang, Name", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("takes 2 arguments, got 1", 1)]
    [InlineData("takes 2 arguments, got 3", 1, 2, 3)]
    [InlineData("the arguments do not fit", "one", "two")]
    public async Task Arguments_that_do_not_fit_are_refused_and_the_connection_goes_on(string complaint, params object[] arguments)
    {
        await using Harness it = await Harness.StartAsync();
        var error = await Assert.ThrowsAsync<RpcException>(async () => await it.Client.CallAsync<int>("Add", arguments));
        Assert.Equal(RpcError.BadArguments, error.Code);
        Assert.Contains(complaint, error.Message, StringComparison.Ordinal);
        Assert.StartsWith("Add: ", error.Message, StringComparison.Ordinal);
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
    }

    [Fact]
    public async Task An_answer_of_another_type_concerns_its_call_only()
    {
        await using Harness it = await Harness.StartAsync();
        var error = await Assert.ThrowsAsync<RpcException>(async () => await it.Client.CallAsync<int>("Name"));
        Assert.Equal(RpcError.BadResult, error.Code);
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
    }

    [Fact]
    public async Task Many_callers_share_one_connection_and_each_gets_its_own_answers()
    {
        await using Harness it = await Harness.StartAsync();
        ICalculator remote = it.Remote;
        await Task.WhenAll(Enumerable.Range(0, 64).Select(caller => Task.Run(async () =>
        {
            for (int i = 0; i < 500; i++)
            {
                if (i % 2 == 0)
                    Assert.Equal((caller * 1000) + i, await remote.AddAsync(caller * 1000, i));
                else
                    Assert.Equal($"hello {caller}:{i}", await it.Client.CallAsync<string>("Greet", $"{caller}:{i}"));
            }
        })));
    }

    [Fact]
    public async Task Cancellation_reaches_the_handler()
    {
        await using Harness it = await Harness.StartAsync();
        using var stop = new CancellationTokenSource();
        Task<string> call = it.Remote.HangAsync("x", stop.Token);
        await it.Calculator.Entered.Task;
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        await it.Calculator.Ended.Task;
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
    }

    [Fact]
    public async Task A_token_at_the_end_of_an_untyped_call_cancels_it_and_is_no_argument()
    {
        await using Harness it = await Harness.StartAsync();
        Assert.Equal(3, await it.Client.CallAsync<int>("Add", 1, 2, Ct));
        Assert.Equal(3, await it.Client.CallAsync<int>("Add", [1, 2], Ct));
        using var stop = new CancellationTokenSource();
        Task<string?> call = it.Client.CallAsync<string>("Hang", "x", stop.Token).AsTask();
        await it.Calculator.Entered.Task;
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => call);
        await it.Calculator.Ended.Task;
    }

    [Fact]
    public async Task A_value_that_makes_a_call_while_it_is_written_is_sent_whole()
    {
        await using Harness it = await Harness.StartAsync();
        await it.Client.OpenAsync(Ct);
        Task<int>? inner = null;
        var tags = new Calling(() => inner ??= it.Remote.AddAsync(1, 2).AsTask()) { "a" };
        Order? order = await it.Client.CallAsync<Order>("Double", new Dictionary<string, object?> { ["Name"] = "outer", ["Amount"] = 2, ["Tags"] = tags, ["Part"] = null });
        Assert.Equal(("outer", 4, "a"), (order!.Name, order.Amount, Assert.Single(order.Tags)));
        Assert.Equal(3, await inner!);
    }

    [Fact]
    public async Task A_token_elsewhere_among_the_arguments_is_refused_before_anything_is_sent()
    {
        await using Harness it = await Harness.StartAsync();
        Assert.Contains("last", (await Assert.ThrowsAsync<ArgumentException>(async () => await it.Client.CallAsync<int>("Add", Ct, 2))).Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentException>(async () => await it.Client.CallAsync<int>("Add", [1, Ct], Ct));
        RpcException nested = await Assert.ThrowsAsync<RpcException>(async () => await it.Client.CallAsync<int>("Size", new object[] { new object[] { Ct } }));
        Assert.Equal((RpcError.BadArguments, true), (nested.Code, nested.Method is null));
    }

    [Fact]
    public async Task A_caller_that_is_gone_cancels_its_handlers()
    {
        await using Harness it = await Harness.StartAsync();
        Task<string> call = it.Remote.HangAsync("x", Ct);
        await it.Calculator.Entered.Task;
        await it.Client.DisposeAsync();
        await it.Calculator.Ended.Task;
        await Assert.ThrowsAsync<RpcException>(() => call);
        await Assert.ThrowsAsync<ObjectDisposedException>(async () => await it.Remote.AddAsync(1, 2));
    }

    [Fact]
    public async Task A_call_that_was_cancelled_before_is_not_sent()
    {
        await using Harness it = await Harness.StartAsync();
        await it.Client.OpenAsync(Ct);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => it.Remote.HangAsync("x", new CancellationToken(true)));
        Assert.False(it.Calculator.Entered.Task.IsCompleted);
    }

    [Fact]
    public async Task A_deadline_ends_the_handler_and_the_call_with_Timeout()
    {
        await using Harness it = await Harness.StartAsync();
        await it.Client.OpenAsync(Ct); // which counts towards the deadline
        var error = await Assert.ThrowsAsync<RpcException>(() => it.Remote.ImpatientAsync(Ct));
        Assert.Equal(RpcError.Timeout, error.Code);
        await it.Calculator.Ended.Task;
    }

    [Fact]
    public async Task A_deadline_ends_the_call_of_a_handler_that_cannot_be_cancelled_and_its_late_answer_reaches_nobody()
    {
        await using Harness it = await Harness.StartAsync();
        await it.Client.OpenAsync(Ct);
        var error = await Assert.ThrowsAsync<RpcException>(it.Remote.DeafAsync);
        Assert.Equal(RpcError.Timeout, error.Code);
        Assert.Equal("deaf", error.Method);
        it.Calculator.Release();
        for (int i = 0; i < 100; i++)
            Assert.Equal(i, await it.Remote.AddAsync(i, 0));
    }

    [Fact]
    public async Task A_message_larger_than_the_server_accepts_is_TooLarge_and_the_connection_survives()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxFrameBytes = 10_000 });
        await it.Client.OpenAsync(Ct);
        ClientConnection? before = it.Client.Current;
        var error = await Assert.ThrowsAsync<RpcException>(() => it.Remote.SizeAsync(new byte[10_000]));
        Assert.Equal(RpcError.TooLarge, error.Code);
        Assert.Contains("10000", error.Message, StringComparison.Ordinal);
        Assert.Equal(9_000, await it.Remote.SizeAsync(new byte[9_000]));
        Assert.Same(before, it.Client.Current);
    }

    [Fact]
    public async Task An_answer_larger_than_the_client_accepts_is_TooLarge_and_the_connection_survives()
    {
        await using Harness it = await Harness.StartAsync(client: new RpcClientOptions { MaxFrameBytes = 10_000 });
        await it.Client.OpenAsync(Ct);
        ClientConnection? before = it.Client.Current;
        var error = await Assert.ThrowsAsync<RpcException>(() => it.Remote.BytesAsync(10_000));
        Assert.Equal(RpcError.TooLarge, error.Code);
        Assert.Equal(9_000, (await it.Remote.BytesAsync(9_000)).Length);
        Assert.Same(before, it.Client.Current);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(4_000)]
    [InlineData(70_000)]
    [InlineData(3_000_000)]
    public async Task Messages_of_any_size_travel_both_ways(int size)
    {
        await using Harness it = await Harness.StartAsync();
        Assert.Equal(size, await it.Remote.SizeAsync(new byte[size]));
        Assert.Equal(size, (await it.Remote.BytesAsync(size)).Length);
    }

    [Fact]
    public async Task Large_answers_at_once_fill_no_memory_and_all_arrive()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxBufferedBytes = 100_000 });
        int[] sizes = await Task.WhenAll(Enumerable.Range(0, 100).Select(async i => (await it.Remote.BytesAsync(100_000 + i)).Length));
        Assert.Equal(Enumerable.Range(100_000, 100), sizes);
    }

    [Fact]
    public async Task More_calls_than_the_server_takes_are_Overloaded()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxInFlight = 1, DrainTimeout = TimeSpan.Zero });
        using var stop = new CancellationTokenSource();
        Task<string> first = it.Remote.HangAsync("x", stop.Token);
        await it.Calculator.Entered.Task;
        var error = await Assert.ThrowsAsync<RpcException>(async () => await it.Remote.AddAsync(1, 2));
        Assert.Equal(RpcError.Overloaded, error.Code);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => first);
    }
}

internal sealed class Calling(Action call) : List<object?>, IEnumerable<object?>
{
    IEnumerator<object?> IEnumerable<object?>.GetEnumerator()
    {
        call();
        return GetEnumerator();
    }
}
