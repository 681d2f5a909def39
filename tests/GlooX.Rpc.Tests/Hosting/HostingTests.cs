using System.Net;
using System.Net.Sockets;
using GlooX.Rpc.Tests.Interceptors;
using GlooX.Rpc.Tests.Streams;
using GlooX.Rpc.Tests.Transport;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GlooX.Rpc.Tests.Hosting;

public sealed class HostingTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);
    private static readonly RpcServerOptions s_server = new() { Identity = Harness.Shared, DrainTimeout = s_limit };
    private static readonly RpcClientOptions s_client = new() { Identity = Harness.Shared };

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_host_starts_the_server_with_services_and_interceptors_made_by_it()
    {
        HostApplicationBuilder builder = Quiet();
        builder.Services.AddSingleton<Prefix>();
        builder.Services.AddGlooXRpc(o =>
        {
            o.Url = "127.0.0.1:0";
            o.Server = s_server;
            o.AddService<Calculator>().AddService<Greeter>("greeter").AddInterceptor<Gate>();
        });
        using IHost host = builder.Build();
        await host.StartAsync(Ct);

        await using RpcClient client = new RpcClient(Url(host), s_client);
        Assert.Equal(5, await client.As<ICalculator>().AddAsync(2, 3));
        Assert.Equal("hello you", await client.CallAsync<string>("greeter/Greet", "you"));
        RpcException refused = await Assert.ThrowsAsync<RpcException>(async () => await client.CallAsync<string>("Name"));
        Assert.Equal("hello no", refused.Message);

        string url = Url(host);
        await host.StopAsync(Ct).WaitAsync(s_limit, Ct);
        await AssertGoneAsync(url);
    }

    [Fact]
    public async Task Calls_in_flight_finish_when_the_host_stops()
    {
        HostApplicationBuilder builder = Quiet();
        builder.Services.AddSingleton<Calculator>().AddGlooXRpc(static o =>
        {
            o.Url = "127.0.0.1:0";
            o.Server = s_server;
            o.AddService<Calculator>();
        });
        using IHost host = builder.Build();
        await host.StartAsync(Ct);
        Calculator calculator = host.Services.GetRequiredService<Calculator>(); // the one that serves
        await using RpcClient client = new RpcClient(Url(host), s_client);
        Task<string?> slow = client.CallAsync<string>("deaf").AsTask();
        Assert.Equal("calculator", await client.CallAsync<string>("Name")); // so the one before has begun

        Task stopping = host.StopAsync(Ct);
        var server = host.Services.GetRequiredService<RpcServer>();
        using var limit = new CancellationTokenSource(s_limit);
        while (!server.IsStopping)
        {
            limit.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }

        Assert.False(slow.IsCompleted);
        calculator.Release();
        Assert.Equal("", await slow.WaitAsync(s_limit, Ct));
        await stopping.WaitAsync(s_limit, Ct);
    }

    [Fact]
    public async Task Contracts_of_other_processes_come_from_the_host_and_share_a_connection()
    {
        await using Harness other = await Harness.StartAsync();
        other.Server.Add(new Who(), "who");
        HostApplicationBuilder builder = Quiet();
        builder.Services
            .AddGlooXClient<ICalculator>(other.Server.Url, options: s_client)
            .AddGlooXClient<IWho>(other.Server.Url, "who");
        using IHost host = builder.Build();
        await host.StartAsync(Ct);

        Assert.Equal(5, await host.Services.GetRequiredService<ICalculator>().AddAsync(2, 3));
        Assert.Equal("who/Method", await host.Services.GetRequiredService<IWho>().MethodAsync());
        Assert.Equal(1, other.Server.ConnectionCount);
        await host.StopAsync(Ct);
    }

    [Fact]
    public async Task Health_tells_of_the_server_and_of_those_that_are_called()
    {
        Harness other = await Harness.StartAsync();
        HostApplicationBuilder builder = Quiet();
        builder.Services.AddGlooXRpc(static o =>
        {
            o.Url = "127.0.0.1:0";
            o.Server = s_server;
        });
        builder.Services.AddGlooXClient<ICalculator>(other.Server.Url, options: s_client);
        builder.Services.AddHealthChecks().AddCheck<GlooXHealthCheck>("gloox");
        using IHost host = builder.Build();
        var health = host.Services.GetRequiredService<HealthCheckService>();
        HealthReport report = await health.CheckHealthAsync(Ct);
        Assert.Contains("does not listen", report.Entries["gloox"].Description, StringComparison.Ordinal);

        await host.StartAsync(Ct);
        report = await health.CheckHealthAsync(Ct);
        Assert.Equal((HealthStatus.Healthy, Url(host)), (report.Status, report.Entries["gloox"].Data["url"]));

        string url = other.Server.Url;
        await other.DisposeAsync();
        using var limit = new CancellationTokenSource(Wait.Deadline);
        do
        {
            report = await health.CheckHealthAsync(limit.Token); // the client hears of the end a moment later
        }
        while (report.Status == HealthStatus.Healthy);

        Assert.Equal(HealthStatus.Unhealthy, report.Status);
        Assert.Contains(url, report.Entries["gloox"].Description, StringComparison.Ordinal);

        await host.StopAsync(Ct);
        report = await health.CheckHealthAsync(Ct);
        Assert.Contains("shutting down", report.Entries["gloox"].Description, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_host_that_cannot_listen_does_not_start()
    {
        await using Harness other = await Harness.StartAsync();
        HostApplicationBuilder builder = Quiet();
        builder.Services.AddGlooXRpc(o =>
        {
            o.Url = other.Server.Url;
            o.Server = s_server;
        });
        Assert.Throws<InvalidOperationException>(() => builder.Services.AddGlooXRpc(static _ => { }));
        using IHost host = builder.Build();
        RpcException e = await Assert.ThrowsAsync<RpcException>(() => host.StartAsync(Ct));
        Assert.Contains("another process listens", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Beside_a_web_application_in_one_process()
    {
        await using WebApplication app = await StartWebAsync(static o => o.Url = "127.0.0.1:0", static _ => { });
        await using RpcClient client = new RpcClient(Url(app), s_client);
        Assert.Equal(5, await client.As<ICalculator>().AddAsync(2, 3));
        using var http = new HttpClient();
        Assert.Equal("hello", await http.GetStringAsync(new Uri(app.Urls.Single()), Ct).WaitAsync(s_limit, Ct));
        await app.StopAsync(Ct).WaitAsync(s_limit, Ct);
    }

    [Fact]
    public async Task On_an_endpoint_of_the_web_server()
    {
        await using WebApplication app = await StartWebAsync(static _ => { }, static o => o.Listen(IPAddress.Loopback, 0, static l => l.UseGlooXRpc()));
        string url = new Uri(app.Urls.ElementAt(1)).Authority;
        using var http = new HttpClient();
        Assert.Equal("hello", await http.GetStringAsync(new Uri(app.Urls.First()), Ct).WaitAsync(s_limit, Ct));

        await using RpcClient client = new RpcClient(url, s_client);
        Assert.Equal(5, await client.As<ICalculator>().AddAsync(2, 3));
        Assert.Equal(100_000, await client.As<IFeed>("feed").CountAsync(100_000, Ct).CountAsync(Ct));
        byte[] large = new byte[4_000_000];
        int[] sizes = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => client.As<ICalculator>().SizeAsync(large))).WaitAsync(s_limit, Ct);
        Assert.Equal([large.Length, large.Length, large.Length, large.Length], sizes);

        await app.StopAsync(Ct).WaitAsync(s_limit, Ct);
        await AssertGoneAsync(url);
    }

    [Fact]
    public async Task On_an_endpoint_of_the_web_server_trust_is_decided_as_on_its_own_port()
    {
        await using WebApplication app = await StartWebAsync(static _ => { }, static o => o.Listen(IPAddress.Loopback, 0, static l => l.UseGlooXRpc()));
        string url = new Uri(app.Urls.ElementAt(1)).Authority;

        // It trusts the server, which does not trust it.
        byte[][] stranger = [.. Harness.Shared.Export()[..3], .. Identity.Ephemeral("stranger").Export()[3..]];
        await using RpcClient refused = new RpcClient(url, new RpcClientOptions { Identity = Identity.Import(stranger) });
        RpcException e = await Assert.ThrowsAsync<RpcException>(() => refused.OpenAsync(Ct));
        Assert.Equal(RpcError.Unauthorized, e.Code);
        Assert.Contains("stranger", e.Message, StringComparison.Ordinal);

        // Nobody is served who does not speak TLS, and the next caller is.
        using var socket = new TcpClient();
        await socket.ConnectAsync(IPEndPoint.Parse(url), Ct);
        await socket.GetStream().WriteAsync("GET / HTTP/1.1\r\n\r\n"u8.ToArray(), Ct);
        byte[] answer = new byte[1024];
        while (await socket.GetStream().ReadAsync(answer, Ct).AsTask().WaitAsync(s_limit, Ct) > 0)
        {
        }

        await using RpcClient friend = new RpcClient(url, s_client);
        Assert.Equal(5, await friend.As<ICalculator>().AddAsync(2, 3));
    }

    [Fact]
    public async Task On_an_endpoint_of_the_web_server_a_revoked_certificate_is_refused()
    {
        var identity = Identity.Ephemeral("revoking");
        await using WebApplication app = await StartWebAsync(
            o => o.Server = o.Server with { Identity = identity, RevokedSerials = [identity.Client.SerialNumber] },
            static o => o.Listen(IPAddress.Loopback, 0, static l => l.UseGlooXRpc()));
        await using RpcClient client = new RpcClient(new Uri(app.Urls.ElementAt(1)).Authority, new RpcClientOptions { Identity = identity });
        RpcException e = await Assert.ThrowsAsync<RpcException>(() => client.OpenAsync(Ct));
        Assert.Equal(RpcError.Unauthorized, e.Code);
    }

    private static async Task AssertGoneAsync(string url)
    {
        await using RpcClient late = new RpcClient(url, s_client);
        RpcException gone = await Assert.ThrowsAsync<RpcException>(() => late.OpenAsync(Ct));
        Assert.Equal(RpcError.Connection, gone.Code);
    }

    private static string Url(IHost host) => host.Services.GetRequiredService<RpcServer>().Url;

    private static HostApplicationBuilder Quiet()
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(null);
        builder.Logging.ClearProviders();
        return builder;
    }

    private static async Task<WebApplication> StartWebAsync(Action<GlooXRpcOptions> rpc, Action<KestrelServerOptions> kestrel)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.WebHost.UseKestrelCore().ConfigureKestrel(o =>
        {
            o.Listen(IPAddress.Loopback, 0);
            kestrel(o);
        });
        builder.Services.AddRoutingCore();
        builder.Services.AddGlooXRpc(o =>
        {
            o.Server = s_server;
            o.AddService<Calculator>().AddService<Feed>("feed");
            rpc(o);
        });
        WebApplication app = builder.Build();
        app.MapGet("/", static () => "hello");
        await app.StartAsync(Ct);
        return app;
    }

    internal sealed class Prefix
    {
        public string Text => "hello ";
    }

    internal sealed class Greeter(Prefix prefix)
    {
        [Rpc]
        public string Greet(string name) => prefix.Text + name;
    }

    private sealed class Gate(Prefix prefix) : RpcInterceptor
    {
        public override void Admit(RpcCall call)
        {
            if (call.Method == "Name")
            {
                throw new RpcException(RpcError.Unauthorized, prefix.Text + "no");
            }
        }
    }
}
