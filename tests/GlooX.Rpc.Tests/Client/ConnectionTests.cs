using System.Net.Sockets;
using GlooX.Tls;
using Microsoft.Extensions.Logging;

namespace GlooX.Rpc.Tests.Client;

public sealed class ConnectionTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_client_of_another_authority_is_refused_and_told_why()
    {
        using var log = new LogKeeper();
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { LoggerFactory = log }, new RpcClientOptions { Identity = WithForeignClient() });
        var error = await Assert.ThrowsAsync<RpcException>(() => it.Client.OpenAsync(Ct));

        Assert.Equal(RpcError.Unauthorized, error.Code);
        Assert.Contains("refused this process", error.Message, StringComparison.Ordinal);
        Assert.Contains("CN=stranger", error.Message, StringComparison.Ordinal);
        Assert.Contains("CN=test", error.Message, StringComparison.Ordinal);
        Assert.Contains(log.Lines, l => l.Level == LogLevel.Warning && l.Text.Contains("CN=stranger", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_refused_call_says_so_too_and_each_caller_is_told()
    {
        await using Harness it = await Harness.StartAsync(client: new RpcClientOptions { Identity = WithForeignClient() });
        RpcException[] errors = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ =>
            Assert.ThrowsAsync<RpcException>(async () => await it.Remote.AddAsync(1, 2))));
        Assert.All(errors, e => Assert.Equal(RpcError.Unauthorized, e.Code));
    }

    [Fact]
    public async Task A_server_of_another_authority_is_not_trusted()
    {
        await using Harness it = await Harness.StartAsync(client: new RpcClientOptions { Identity = Identity.Ephemeral("other") });
        var error = await Assert.ThrowsAsync<RpcException>(async () => await it.Remote.AddAsync(1, 2));
        Assert.Equal(RpcError.Tls, error.Code);
        Assert.Contains("is not trusted", error.Message, StringComparison.Ordinal);
        Assert.Contains("issued by 'CN=test'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_port_where_nobody_listens_is_said_to_be_one()
    {
        string url;
        await using (Harness gone = await Harness.StartAsync())
            url = gone.Server.Url;

        await using RpcClient client = new RpcClient(url, new RpcClientOptions { Identity = Harness.Shared });
        var error = await Assert.ThrowsAsync<RpcException>(() => client.OpenAsync(Ct));
        Assert.Equal(RpcError.Connection, error.Code);
        Assert.Contains($"cannot connect to {url}: nothing listens there", error.Message, StringComparison.Ordinal);
        Assert.IsType<SocketException>(error.InnerException);
    }

    [Fact]
    public async Task A_port_in_use_is_said_to_be_so()
    {
        await using Harness it = await Harness.StartAsync();
        await using var second = new RpcServer(new RpcServerOptions { Identity = Harness.Shared });
        var error = await Assert.ThrowsAsync<RpcException>(() => second.StartAsync(it.Server.Url, Ct));
        Assert.Equal(RpcError.Connection, error.Code);
        Assert.Contains("another process listens on that port", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Calls_in_flight_fail_when_the_server_goes()
    {
        await using Harness it = await Harness.StartAsync();
        Task<string> call = it.Remote.HangAsync("x", Ct);
        await it.Calculator.Entered.Task;
        await it.Server.DisposeAsync();
        var error = await Assert.ThrowsAsync<RpcException>(() => call);
        Assert.Equal(RpcError.Connection, error.Code);
        Assert.Equal("Hang", error.Method);
        await it.Calculator.Ended.Task;
    }

    [Fact]
    public async Task A_server_that_stops_lets_calls_in_flight_finish_and_takes_no_new_ones()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { DrainTimeout = TimeSpan.FromMinutes(1) });
        var slow = it.Client.As<ISlow>("slow");
        var target = new Slow();
        it.Server.Add(target, "slow");
        Task<int> call = slow.GetAsync();
        await target.Entered.Task;
        Task stopping = it.Server.DisposeAsync().AsTask();
        Assert.False(call.IsCompleted);

        // New calls go to a new connection once the client has heard, and nobody listens any more; until then they are refused here.
        RpcException? refused;
        do
        {
            refused = await Record.ExceptionAsync(async () => await it.Remote.AddAsync(1, 2)) as RpcException;
        }
        while (refused is null);
        Assert.Contains(refused.Code, new[] { RpcError.ShuttingDown, RpcError.Connection });

        target.Go.SetResult();
        Assert.Equal(42, await call);
        await stopping;
    }

    [Fact]
    public async Task A_client_finds_a_server_that_came_back_on_the_same_port()
    {
        await using Harness it = await Harness.StartAsync(url: Harness.KeptUrl());
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
        Task gone = (await it.Client.ConnectionAsync(Ct)).Closed;
        await it.Server.DisposeAsync();
        await gone.WaitAsync(TimeSpan.FromSeconds(30), Ct); // a call made before the client has seen the end fails, as documented

        await using var again = new RpcServer(new RpcServerOptions { Identity = Harness.Shared });
        again.Add(new Calculator());
        await again.StartAsync(it.Server.Url, Ct);
        Assert.Equal(7, await it.Remote.AddAsync(3, 4));
    }

    [Fact]
    public async Task Connecting_is_tried_again_for_as_long_as_the_options_say()
    {
        string url;
        await using (Harness gone = await Harness.StartAsync(url: Harness.KeptUrl()))
            url = gone.Server.Url;

        await using RpcClient client = new RpcClient(url, new RpcClientOptions { Identity = Harness.Shared, RetryConnectFor = TimeSpan.FromMinutes(1) });
        Task opening = client.OpenAsync(Ct);
        await using Harness back = await Harness.StartAsync(url: url);
        await opening;
        Assert.Equal(3, await client.As<ICalculator>().AddAsync(1, 2));
    }

    [Fact]
    public async Task Something_that_is_no_GlooX_process_is_said_to_be_none()
    {
        using var other = new TcpListener(System.Net.IPAddress.Loopback, 0);
        other.Start();
        await using RpcClient client = new RpcClient(other.LocalEndpoint.ToString()!, new RpcClientOptions { Identity = Harness.Shared });
        Task opening = client.OpenAsync(Ct);
        using (Socket accepted = await other.AcceptSocketAsync(Ct))
            await accepted.SendAsync("HTTP/1.1 400 Bad Request\r\n\r\n"u8.ToArray(), Ct);
        var error = await Assert.ThrowsAsync<RpcException>(() => opening);
        Assert.Equal(RpcError.Tls, error.Code);
    }

    [Theory]
    [InlineData("", "it is empty")]
    [InlineData("host:x", "the port must be a number")]
    [InlineData("host:70000", "the port must be a number")]
    [InlineData("https://host:1", "leave out the scheme")]
    [InlineData("::1:99", "an IPv6 address needs brackets")]
    [InlineData("[nope]:99", "the brackets hold no IPv6 address")]
    [InlineData("a b:99", "is no host name or address")]
    [InlineData("127.0.0.1:0", "it has no port")]
    public void A_malformed_URL_is_refused_with_the_reason(string url, string why)
    {
        var error = Assert.Throws<ArgumentException>(() => new RpcClient(url));
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("0.0.0.0:9", "127.0.0.1:9")]
    [InlineData(":9", "127.0.0.1:9")]
    [InlineData("*:9", "127.0.0.1:9")]
    [InlineData("[::]:9", "[::1]:9")]
    [InlineData("example.org:9", "example.org:9")]
    public void An_any_address_is_dialled_as_this_machine(string url, string dialled) => Assert.Equal(dialled, new RpcClient(url).Url);

    // Trusts the server, but shows a certificate of an authority that the server does not know.
    private static Identity WithForeignClient() =>
        new(new IdentityParts(Harness.Shared.Authority, Harness.Shared.Server, Identity.Ephemeral("stranger").Client, [], null, new RevocationList()));
}

[RpcService]
public interface ISlow
{
    Task<int> GetAsync();
}

public sealed class Slow : ISlow
{
    public TaskCompletionSource Entered { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public TaskCompletionSource Go { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public async Task<int> GetAsync()
    {
        Entered.TrySetResult();
        await Go.Task;
        return 42;
    }
}
