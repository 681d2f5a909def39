namespace GlooX.Rpc.Tests.RpcRuntime;

public delegate Task<int> AskBack();

[RpcService]
public interface IGoBetween
{
    /// <summary>Calls a process that is not there.</summary>
    Task<int> AskAnotherAsync();

    IAsyncEnumerable<int> ListOfAnotherAsync();

    /// <summary>Calls the caller.</summary>
    Task<int> AskBackAsync(AskBack ask);

    Task<int> SumAsync(IAsyncEnumerable<int> items);

    /// <summary>Sends what cannot be sent.</summary>
    Task<int> SendAmissAsync();

    [Rpc(OneWay = true)]
    Task TellAnotherAsync();

    Task<int> RefuseAsync(bool because);
}

/// <summary>What fails within a handler does not look like a failure of the line to its caller.</summary>
public sealed class LeakTests : IAsyncLifetime
{
    private readonly LogKeeper _log = new();
    private readonly GoBetween _handler = new();
    private RpcServer _server = null!;
    private RpcClient _client = null!;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private IGoBetween Remote => _client.As<IGoBetween>();

    public async ValueTask InitializeAsync()
    {
        _server = new RpcServer(new RpcServerOptions { Identity = Harness.Shared, DrainTimeout = TimeSpan.Zero, LoggerFactory = _log });
        _server.Add(_handler);
        await _server.StartAsync("127.0.0.1:0", Ct);
        _client = new RpcClient(_server.Url, new RpcClientOptions { Identity = Harness.Shared });
    }

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        await _server.DisposeAsync();
        await _handler.DisposeAsync();
        _log.Dispose();
    }

    [Fact]
    public async Task A_call_of_the_handler_that_broke_is_told_as_remote_with_its_own_code_beside() =>
        AssertLeaked(RpcError.Connection, await Assert.ThrowsAsync<RpcException>(() => Remote.AskAnotherAsync()));

    [Fact]
    public async Task So_is_one_within_a_stream() =>
        AssertLeaked(RpcError.Connection, await Assert.ThrowsAsync<RpcException>(async () => await SumAsync(Remote.ListOfAnotherAsync())));

    [Fact]
    public async Task So_is_one_within_a_stream_that_the_caller_sends() =>
        AssertLeaked(RpcError.Connection, await Assert.ThrowsAsync<RpcException>(() => Remote.SumAsync(_handler.ListOfAnotherAsync())));

    [Fact]
    public async Task So_is_one_within_a_callback() =>
        AssertLeaked(RpcError.Connection, await Assert.ThrowsAsync<RpcException>(() => Remote.AskBackAsync(_handler.AskAnotherAsync)));

    [Fact]
    public async Task So_is_a_call_of_the_handler_that_was_never_sent() =>
        AssertLeaked(RpcError.BadArguments, await Assert.ThrowsAsync<RpcException>(() => Remote.SendAmissAsync()));

    [Fact]
    public async Task A_one_way_call_that_fails_is_logged()
    {
        await Remote.TellAnotherAsync();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        limit.CancelAfter(TimeSpan.FromMinutes(1));
        while (!_log.Lines.Any(static l => l.Text.Contains("TellAnother", StringComparison.Ordinal)))
        {
            await Task.Delay(10, limit.Token);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_handler_that_refuses_on_purpose_chooses_the_code(bool because)
    {
        RpcException e = await Assert.ThrowsAsync<RpcException>(() => Remote.RefuseAsync(because));
        Assert.Equal((RpcError.Overloaded, "later", null), (e.Code, e.Message, e.InnerCode));
    }

    private void AssertLeaked(RpcError inner, RpcException e)
    {
        Assert.Equal((RpcError.Remote, inner, typeof(RpcException).FullName), (e.Code, e.InnerCode, e.RemoteType));
        Assert.Equal(_server.Url, e.Url);
    }

    private static async Task<int> SumAsync(IAsyncEnumerable<int> items)
    {
        int sum = 0;
        await foreach (int item in items.ConfigureAwait(false))
        {
            sum += item;
        }

        return sum;
    }

    private sealed class GoBetween : IGoBetween, IAsyncDisposable
    {
        // Nobody listens on a port that was just given back.
        private readonly RpcClient _another = new RpcClient(Harness.KeptUrl(), new RpcClientOptions { Identity = Harness.Shared });

        private IGoBetween Another => _another.As<IGoBetween>();

        public ValueTask DisposeAsync() => _another.DisposeAsync();

        public Task<int> AskAnotherAsync() => Another.AskAnotherAsync();

        public async IAsyncEnumerable<int> ListOfAnotherAsync()
        {
            yield return 1;
            yield return await Another.AskAnotherAsync();
        }

        public Task<int> AskBackAsync(AskBack ask) => ask();

        public Task<int> SumAsync(IAsyncEnumerable<int> items) => LeakTests.SumAsync(items);

        public async Task<int> SendAmissAsync()
        {
            object nested = 1;
            for (int i = 0; i < 40; i++)
            {
                nested = new object[] { nested };
            }

            await using Harness it = await Harness.StartAsync();
            return await it.Client.CallAsync<int>("Add", nested, 1);
        }

        public async Task TellAnotherAsync() => await Another.AskAnotherAsync();

        public async Task<int> RefuseAsync(bool because)
        {
            try
            {
                return because ? await Another.AskAnotherAsync() : throw new RpcException(RpcError.Overloaded, "later");
            }
            catch (RpcException e) when (e.Code == RpcError.Connection)
            {
                throw new RpcException(RpcError.Overloaded, "later", e);
            }
        }
    }
}
