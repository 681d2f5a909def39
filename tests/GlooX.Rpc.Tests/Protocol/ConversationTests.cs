using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text.Json;
using GlooX.Protocol;

namespace GlooX.Rpc.Tests.Protocol;

/// <summary>The conversation of the vectors: our server beside the client's bytes, our client beside the server's.</summary>
public sealed class ConversationTests : IDisposable
{
    private static readonly JsonElement[] s_steps = [.. Vectors.Read("conversation.json").GetProperty("steps").EnumerateArray()];
    private readonly CancellationTokenSource _limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);

    public ConversationTests() => _limit.CancelAfter(TimeSpan.FromSeconds(30));

    private CancellationToken Ct => _limit.Token;

    [Fact]
    public async Task The_server_answers_the_clients_bytes_as_in_the_vectors()
    {
        var adder = new Adder();
        await using RpcServer server = await StartAsync(adder);
        await using SslStream stream = await DialAsync(server.Url);
        foreach (JsonElement step in s_steps)
        {
            if (step.Text("from") == "server")
            {
                await AssertNextAsync(stream, step);
                continue;
            }

            if (step.Text("type") == nameof(FrameType.Cancel))
            {
                await adder.Entered.Task.WaitAsync(Ct);
            }

            await stream.WriteAsync(step.Hex(), Ct);
        }
    }

    [Fact]
    public async Task The_client_says_what_is_in_the_vectors()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        await using RpcClient client = new RpcClient(listener.LocalEndpoint.ToString()!, new RpcClientOptions { Identity = Harness.Shared });
        using var stop = new CancellationTokenSource();
        Task playing = PlayServerAsync(listener, beforeCancel: stop);

        await client.OpenAsync(Ct); // or the first call would tell what connecting has left of its time
        Assert.Equal(5, await client.CallAsync<int>("Add", [2, 3], Ct));
        Assert.Equal(RpcError.MethodNotFound, (await Assert.ThrowsAsync<RpcException>(async () => await client.CallAsync<int>("Nope", [], Ct))).Code);
        Assert.Equal(RpcError.BadArguments, (await Assert.ThrowsAsync<RpcException>(async () => await client.CallAsync<int>("Add", [2], Ct))).Code);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await client.CallAsync<string>("Hang", ["x"], stop.Token));
        await playing;
    }

    [Fact]
    public async Task A_ping_is_answered_with_its_id()
    {
        await using RpcServer server = await StartAsync(new Adder());
        await using SslStream stream = await DialAsync(server.Url);
        await GreetAsync(stream);
        await stream.WriteAsync(new byte[] { 3, (byte)FrameType.Ping, 9, 0xFF }, Ct);
        Assert.Equal([2, (byte)FrameType.Pong, 9], await ReadFrameAsync(stream));
    }

    [Theory]
    [InlineData(new byte[] { 2, 99, 0 })] // no such type
    [InlineData(new byte[] { 4, 3, 5, 0x41, 0x42 })] // Define 5 without 0 to 4
    [InlineData(new byte[] { 5, 4, 0, 7, 0, 0x90 })] // a request of a method that was not defined
    [InlineData(new byte[] { 1, 4 })] // no id
    [InlineData(new byte[] { 0xFF, 0xFF, 0xFF, 0xFF, 0x1F })] // no length
    public async Task A_broken_protocol_is_answered_with_GoAway_and_the_end(byte[] frame)
    {
        await using RpcServer server = await StartAsync(new Adder());
        await using SslStream stream = await DialAsync(server.Url);
        await GreetAsync(stream);
        await stream.WriteAsync(frame, Ct);
        byte[] last = await ReadFrameAsync(stream);
        Assert.True(Frame.TryRead(last, 1 << 20, out int offset, out _, out FrameType type, out _, out _));
        Assert.Equal((FrameType.GoAway, RpcError.Protocol), (type, FrameBodies.ReadError(last.AsMemory(offset)).Code));
        Assert.Equal(0, await stream.ReadAsync(new byte[1], Ct));
    }

    [Fact]
    public async Task A_later_version_of_the_protocol_is_refused_and_one_that_speaks_both_is_let_in()
    {
        await using RpcServer server = await StartAsync(new Adder());
        await using (SslStream both = await DialAsync(server.Url))
        {
            await both.WriteAsync(Greeting(1, 9), Ct);
            Assert.Equal((byte)FrameType.HelloAck, (await ReadFrameAsync(both))[1]);
        }

        await using SslStream later = await DialAsync(server.Url);
        await later.WriteAsync(Greeting(2, 9), Ct);
        byte[] last = await ReadFrameAsync(later);
        Assert.Equal((byte)FrameType.GoAway, last.AsSpan(Frame.VarintLength((uint)last.Length))[0]);
    }

    public void Dispose() => _limit.Dispose();

    private async Task<RpcServer> StartAsync(Adder adder)
    {
        var server = new RpcServer(new RpcServerOptions { Identity = Harness.Shared, DrainTimeout = TimeSpan.Zero });
        server.Add(adder);
        await server.StartAsync("127.0.0.1:0", Ct);
        return server;
    }

    private async Task PlayServerAsync(TcpListener listener, CancellationTokenSource beforeCancel)
    {
        using Socket socket = await listener.AcceptSocketAsync(Ct);
        await using var stream = new SslStream(new NetworkStream(socket));
        await stream.AuthenticateAsServerAsync(
            new SslServerAuthenticationOptions
            {
                ServerCertificate = Harness.Shared.Server,
                ApplicationProtocols = [new SslApplicationProtocol("gloox/1")],
                EnabledSslProtocols = SslProtocols.Tls13,
                ClientCertificateRequired = true,
                RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate?.Equals(Harness.Shared.Client) == true,
            },
            Ct);
        foreach (JsonElement step in s_steps)
        {
            if (step.Text("from") == "server")
            {
                await stream.WriteAsync(step.Hex(), Ct);
                continue;
            }

            if (step.Text("type") == nameof(FrameType.Cancel))
            {
                await beforeCancel.CancelAsync();
            }

            await AssertNextAsync(stream, step);
        }
    }

    private async Task GreetAsync(SslStream stream)
    {
        await stream.WriteAsync(Greeting(1, 1), Ct);
        await ReadFrameAsync(stream);
    }

    private static byte[] Greeting(uint oldest, uint newest)
    {
        FrameBuffer frame = FrameBuffer.Begin(FrameType.Hello, 0);
        FrameBodies.WriteHello(frame, new Hello(oldest, newest, 1 << 20, 100, "raw/1", 1 << 16));
        return frame.End().ToArray();
    }

    private async Task<SslStream> DialAsync(string url)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPEndPoint.Parse(url), Ct);
        var stream = new SslStream(new NetworkStream(socket, ownsSocket: true));
        await stream.AuthenticateAsClientAsync(
            new SslClientAuthenticationOptions
            {
                TargetHost = "localhost",
                ClientCertificates = [Harness.Shared.Client],
                ApplicationProtocols = [new SslApplicationProtocol("gloox/1")],
                EnabledSslProtocols = SslProtocols.Tls13,
                RemoteCertificateValidationCallback = (_, certificate, _, _) => certificate?.Equals(Harness.Shared.Server) == true,
            },
            Ct);
        return stream;
    }

    private async Task AssertNextAsync(SslStream stream, JsonElement step)
    {
        byte[] frame = await ReadFrameAsync(stream);
        if (step.Text("type").StartsWith("Hello", StringComparison.Ordinal))
        {
            Assert.Equal(step.Text("type"), ((FrameType)frame[1]).ToString());
            Hello said = FrameBodies.ReadHello(frame.AsMemory(3));
            Assert.Equal((1u, 1u, 16 << 20), (said.MinVersion, said.MaxVersion, said.MaxFrame));
        }
        else
        {
            Assert.Equal(step.Text("hex"), Convert.ToHexStringLower(frame));
        }
    }

    private async Task<byte[]> ReadFrameAsync(SslStream stream)
    {
        var frame = new List<byte>();
        byte[] one = new byte[1];
        uint length;
        do
        {
            await stream.ReadExactlyAsync(one, Ct);
            frame.Add(one[0]);
        }
        while (!Frame.TryReadVarint([.. frame], out length, out _));

        byte[] rest = new byte[length];
        await stream.ReadExactlyAsync(rest, Ct);
        return [.. frame, .. rest];
    }
}

[RpcService]
public interface IAdder
{
    Task<int> AddAsync(int a, int b);

    Task<string> HangAsync(string key, CancellationToken ct);
}

public sealed class Adder : IAdder
{
    public TaskCompletionSource Entered { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Task<int> AddAsync(int a, int b) => Task.FromResult(a + b);

    public async Task<string> HangAsync(string key, CancellationToken ct)
    {
        Entered.TrySetResult();
        await Task.Delay(Timeout.Infinite, ct);
        return key;
    }
}
