using GlooX.Protocol;
using GlooX.Rpc.Tests.Protocol.Fuzzing;
using GlooX.Tls;
using Microsoft.Extensions.Logging.Abstractions;
using Nerdbank.MessagePack;

namespace GlooX.Rpc.Tests.Client;

/// <summary>Servers whose certificate is good and whose manners are not: a call fails with its reason, and the client lives on.</summary>
public sealed class HostileServerTests
{
    [Fact]
    public Task An_answer_that_nobody_asked_for_ends_the_connection() =>
        FailsAsync(RpcError.Protocol, id => new Piece(FrameType.Response, id + 1000, [7]).ToBytes());

    [Fact]
    public Task An_error_that_nobody_asked_for_ends_the_connection() =>
        FailsAsync(RpcError.Protocol, id => new Piece(FrameType.Error, id + 1000, [0x94, 1, 0xA1, 0x78, MessagePackCode.Nil, MessagePackCode.Nil]).ToBytes());

    [Fact]
    public Task An_error_that_cannot_be_read_ends_the_connection() =>
        FailsAsync(RpcError.Protocol, id => new Piece(FrameType.Error, id, [0x94, 1, 0xC1]).ToBytes());

    [Theory]
    [InlineData("FFFFFFFF0F", RpcError.TooLarge)]
    [InlineData("FFFFFFFF1F", RpcError.Protocol)]
    [InlineData("00", RpcError.Protocol)]
    [InlineData("020100", RpcError.Protocol)] // a caller's greeting
    [InlineData("020400", RpcError.Protocol)] // a call
    [InlineData("02FF00", RpcError.Protocol)]
    public Task A_frame_that_a_server_may_not_send_ends_the_connection(string hex, RpcError why) => FailsAsync(why, _ => Convert.FromHexString(hex));

    [Fact]
    public Task An_answer_of_another_type_fails_its_call_alone() => FailsAsync(RpcError.BadResult, id => new Piece(FrameType.Response, id, [0xA1, 0x78]).ToBytes());

    [Fact]
    public Task An_answer_without_a_body_fails_its_call_alone() => FailsAsync(RpcError.BadResult, id => new Piece(FrameType.Response, id, []).ToBytes());

    [Theory]
    [InlineData(0x91)]
    [InlineData(0x81)]
    public Task An_answer_that_is_nested_deeply_fails_its_call_alone(byte nest) =>
        FailsAsync(RpcError.BadResult, id => new Piece(FrameType.Response, id, [.. Enumerable.Repeat(nest, 4_000_000)]).ToBytes());

    [Fact]
    public async Task An_answer_that_comes_twice_counts_once()
    {
        await using var it = new Setting(async (peer, attempt) =>
        {
            Piece call = await peer.NextCallAsync();
            byte[] answer = new Piece(FrameType.Response, call.Id, [7]).ToBytes();
            await peer.Raw.SayAsync(attempt == 0 ? [.. answer, .. answer] : answer);
            await peer.Raw.HearEndAsync();
        });
        ICalculator calculator = await it.StartAsync();
        Assert.Equal(7, await calculator.AddAsync(3, 4));
        await it.FirstIsOverAsync(); // by then the client has seen the second
        Assert.Equal(7, await calculator.AddAsync(3, 4));
    }

    [Fact]
    public async Task A_server_that_does_not_greet_is_given_up()
    {
        await using var it = new Setting((peer, _) => peer.Raw.HearEndAsync(), greets: false);
        ICalculator calculator = await it.StartAsync(new RpcClientOptions { ConnectTimeout = TimeSpan.FromSeconds(2) });
        Assert.Equal(RpcError.Timeout, (await Assert.ThrowsAsync<RpcException>(async () => await calculator.AddAsync(3, 4))).Code);
        await it.FirstIsOverAsync();
    }

    /// <summary>The first call gets the reply and fails; the second is answered properly, on a new connection if need be.</summary>
    private static async Task FailsAsync(RpcError why, Func<uint, byte[]> reply)
    {
        int calls = 0;
        await using var it = new Setting(async (peer, _) =>
        {
            while (true)
            {
                Piece call = await peer.NextCallAsync();
                await peer.Raw.SayAsync(Interlocked.Increment(ref calls) == 1 ? reply(call.Id) : new Piece(FrameType.Response, call.Id, [7]).ToBytes());
            }
        });
        await using Harness beside = await Harness.StartAsync();
        await using Bystander bystander = await Bystander.OfAsync(beside);
        ICalculator calculator = await it.StartAsync();
        var error = await Assert.ThrowsAsync<RpcException>(async () => await calculator.AddAsync(3, 4));
        Assert.Equal((why, "Add"), (error.Code, error.Method));
        Assert.Equal(7, await calculator.AddAsync(3, 4));
        await bystander.IsServedAsync();
    }

    /// <summary>A server that does what the test says, and a client of it.</summary>
    private sealed class Setting(Func<Server, int, Task> serve, bool greets = true) : IAsyncDisposable
    {
        private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
        private readonly TaskCompletionSource _first = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private TlsListener? _listener;
        private RpcClient? _client;
        private int _connections;

        public async Task<ICalculator> StartAsync(RpcClientOptions? options = null)
        {
            _listener = await TlsListener.BindAsync(RpcEndpoint.Parse("127.0.0.1:0"), Harness.Shared, new ListenerLimits(100, 100, TimeSpan.FromSeconds(10)), [TlsConnection.Rpc], NullLogger.Instance, TestContext.Current.CancellationToken);
            _listener.Route(TlsConnection.Rpc, ServeAsync, RpcRole.None);
            _listener.Start();
            _client = new RpcClient($"127.0.0.1:{_listener.Endpoint.Port}", (options ?? new RpcClientOptions()) with { Identity = Harness.Shared });
            return _client.As<ICalculator>();
        }

        public Task FirstIsOverAsync() => _first.Task.WaitAsync(s_patience);

        public async ValueTask DisposeAsync()
        {
            await _client!.DisposeAsync();
            await _listener!.DisposeAsync();
        }

        private async Task ServeAsync(TlsConnection connection)
        {
            int attempt = Interlocked.Increment(ref _connections) - 1;
            await using var raw = new RawPeer(connection);
            try
            {
                if (greets)
                {
                    Assert.Equal(FrameType.Hello, (await raw.HearAsync())?.Type);
                    await raw.SayAsync(Corpus.Acknowledgement);
                }

                await serve(new Server(raw), attempt);
            }
            catch (EndOfStreamException)
            {
                // the client has hung up
            }
            finally
            {
                _first.TrySetResult();
            }
        }
    }

    private sealed class Server(RawPeer raw)
    {
        public RawPeer Raw => raw;

        /// <exception cref="EndOfStreamException">The client has hung up.</exception>
        public async Task<Piece> NextCallAsync()
        {
            while (await raw.HearAsync() is { } frame)
            {
                if (frame.Type == FrameType.Request)
                {
                    return frame;
                }
            }

            throw new EndOfStreamException();
        }
    }
}
