using System.Net.Sockets;
using GlooX.Rpc.Tests.Client;

namespace GlooX.Rpc.Tests.Transport;

public sealed class EndpointTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("gloox-");

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private string SocketPath => Path.Combine(_folder.FullName, "s.sock");

    private string UnixUrl => $"unix:{SocketPath}";

    public void Dispose() => _folder.Delete(recursive: true);

    [Theory]
    [InlineData("127.0.0.1:0")]
    [InlineData("[::1]:0")]
    [InlineData("[::]:0")]
    [InlineData("localhost:0")]
    [InlineData("unix:")]
    public async Task Calls_go_over_IPv4_IPv6_names_and_UNIX_domain_sockets(string url)
    {
        Assert.SkipUnless(Socket.OSSupportsIPv6 || !url.StartsWith('['), "no IPv6 here");
        await using Harness it = await Harness.StartAsync(url: url == "unix:" ? UnixUrl : url);
        Assert.Equal(5, await it.Remote.AddAsync(2, 3));
        Assert.Equal(3_000_000, (await it.Remote.BytesAsync(3_000_000)).Length);
        Assert.Equal(3_000_000, await it.Remote.SizeAsync(new byte[3_000_000]));
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => it.Remote.FailAsync("why"));
        Assert.Equal(it.Client.Url, error.Url);
    }

    [Theory]
    [InlineData("9", "127.0.0.1:9", false)]
    [InlineData(":9", "0.0.0.0:9", true)]
    [InlineData("*:9", "0.0.0.0:9", true)]
    public void A_port_alone_means_this_machine_alone(string url, string meant, bool isAny)
    {
        var endpoint = RpcEndpoint.Parse(url);
        Assert.Equal((meant, isAny), (endpoint.ToString(), endpoint.IsAny));
    }

    [Fact]
    public async Task A_server_on_a_port_alone_listens_on_loopback()
    {
        await using Harness it = await Harness.StartAsync(url: "0");
        Assert.StartsWith("127.0.0.1:", it.Server.Url, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_name_is_tried_at_all_its_addresses()
    {
        await using Harness it = await Harness.StartAsync();
        string url = $"localhost:{RpcEndpoint.Parse(it.Server.Url).Port}"; // which may be ::1 first, where nobody listens
        await using RpcClient client = new RpcClient(url, new RpcClientOptions { Identity = Harness.Shared });
        Assert.Equal(5, await client.As<ICalculator>().AddAsync(2, 3));
    }

    [Fact]
    public async Task A_name_that_nobody_has_is_said_to_be_one()
    {
        await using RpcClient client = new RpcClient("nobody.invalid:9", new RpcClientOptions { Identity = Harness.Shared });
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => client.OpenAsync(Ct));
        Assert.Equal(RpcError.Connection, error.Code);
        Assert.Contains("cannot connect to nobody.invalid:9", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_UNIX_domain_socket_is_its_users_alone_and_gone_with_its_server()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "no modes there");
        await using (Harness it = await Harness.StartAsync(url: UnixUrl))
        {
            Assert.Equal(UnixUrl, it.Server.Url);
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(SocketPath));
        }

        Assert.Empty(_folder.GetFileSystemInfos());
    }

    [Fact]
    public async Task Strangers_are_refused_on_a_UNIX_domain_socket_too()
    {
        await using Harness it = await Harness.StartAsync(url: UnixUrl);
        await using RpcClient stranger = new RpcClient(UnixUrl, new RpcClientOptions { Identity = Identity.Ephemeral("stranger") });
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => stranger.OpenAsync(Ct));
        Assert.Equal(RpcError.Tls, error.Code);
    }

    [Fact]
    public async Task A_socket_that_a_dead_process_left_is_replaced()
    {
        LeaveStaleSocket();
        Assert.Equal(RpcError.Connection, (await Assert.ThrowsAsync<RpcException>(() => CallAsync())).Code);
        await using Harness it = await Harness.StartAsync(url: UnixUrl);
        Assert.Equal(5, await it.Remote.AddAsync(2, 3));
    }

    [Fact]
    public async Task A_socket_on_which_somebody_listens_is_left_alone()
    {
        await using Harness it = await Harness.StartAsync(url: UnixUrl);
        await using var second = new RpcServer(new RpcServerOptions { Identity = Harness.Shared });
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => second.StartAsync(UnixUrl, Ct));
        Assert.Equal(RpcError.Connection, error.Code);
        Assert.Contains("another process listens there", error.Message, StringComparison.Ordinal);
        await second.DisposeAsync();
        Assert.Equal(5, await it.Remote.AddAsync(2, 3));
    }

    [Fact]
    public async Task A_socket_of_another_program_that_listens_is_left_alone()
    {
        using var other = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        other.Bind(new UnixDomainSocketEndPoint(SocketPath));
        other.Listen(1);
        await using var server = new RpcServer(new RpcServerOptions { Identity = Harness.Shared });
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => server.StartAsync(UnixUrl, Ct));
        Assert.Contains("another process listens there", error.Message, StringComparison.Ordinal);
        Assert.True(File.Exists(SocketPath));
    }

    [Fact]
    public async Task A_file_that_is_no_socket_is_left_alone()
    {
        await File.WriteAllTextAsync(SocketPath, "precious", Ct);
        await using var server = new RpcServer(new RpcServerOptions { Identity = Harness.Shared });
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => server.StartAsync(UnixUrl, Ct));
        Assert.Contains("is no socket", error.Message, StringComparison.Ordinal);
        Assert.Equal("precious", await File.ReadAllTextAsync(SocketPath, Ct));
    }

    [Fact]
    public async Task A_folder_that_is_not_there_is_named()
    {
        await using var server = new RpcServer(new RpcServerOptions { Identity = Harness.Shared });
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => server.StartAsync($"unix:{_folder.FullName}/none/s.sock", Ct));
        Assert.Equal(RpcError.Connection, error.Code);
        Assert.Contains("none", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Of_many_that_find_a_dead_ones_socket_one_gets_it()
    {
        LeaveStaleSocket();
        RpcServer[] servers = [.. Enumerable.Range(0, 16).Select(static _ => new RpcServer(new RpcServerOptions { Identity = Harness.Shared }))];
        Exception?[] outcomes = await Task.WhenAll(servers.Select(s => Task.Run(() => Record.ExceptionAsync(() => s.StartAsync(UnixUrl, Ct)).AsTask())));
        int winner = Assert.Single(Enumerable.Range(0, servers.Length), i => outcomes[i] is null);
        servers[winner].Add(new Calculator());
        Assert.Equal(3, await CallAsync());
        foreach (RpcServer server in servers)
            await server.DisposeAsync();
    }

    [Fact]
    public async Task While_a_server_drains_its_successor_has_the_socket()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { DrainTimeout = TimeSpan.FromMinutes(10) }, url: UnixUrl);
        var slow = new Slow();
        it.Server.Add(slow, "slow");
        Task<int> held = it.Client.As<ISlow>("slow").GetAsync();
        await slow.Entered.Task.WaitAsync(Wait.Deadline, Ct);
        Task stopping = it.Server.DisposeAsync().AsTask();
        await Wait.UntilAsync(() => !File.Exists(SocketPath + ".lock"), "the socket to be free");
        await using Harness next = await Harness.StartAsync(url: UnixUrl);
        Assert.Equal(5, await next.Remote.AddAsync(2, 3));
        slow.Go.SetResult();
        Assert.Equal(42, await held.WaitAsync(Wait.Deadline, Ct));
        await stopping.WaitAsync(Wait.Deadline, Ct);
        Assert.Equal(5, await next.Remote.AddAsync(2, 3));
    }

    [Theory]
    [InlineData("unix:relative.sock", "must begin at the root")]
    [InlineData("unix:", "must begin at the root")]
    public void A_malformed_path_is_refused_with_the_reason(string url, string why) =>
        Assert.Contains(why, Assert.Throws<ArgumentException>(() => new RpcClient(url)).Message, StringComparison.Ordinal);

    [Fact]
    public void A_path_that_is_too_long_is_refused() =>
        Assert.Contains("bytes", Assert.Throws<ArgumentException>(static () => new RpcClient($"unix:/{new string('x', 200)}")).Message, StringComparison.Ordinal);

    private async Task<int> CallAsync()
    {
        await using RpcClient client = new RpcClient(UnixUrl, new RpcClientOptions { Identity = Harness.Shared });
        return await client.As<ICalculator>().AddAsync(1, 2);
    }

    /// <summary>As a process that was killed does: its socket is closed and the file stays.</summary>
    private void LeaveStaleSocket()
    {
        string moved = SocketPath + "x";
        using (var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified))
        {
            socket.Bind(new UnixDomainSocketEndPoint(moved));
            socket.Listen(1);
            File.Move(moved, SocketPath);
        }
    }
}
