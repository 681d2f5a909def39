using System.Net.Security;
using GlooX.Tls;
using GlooX.Transport;
using GlooX.Transport.Linux;

namespace GlooX.Bench.Peers;

/// <summary>
/// What no RPC can beat: as many bytes as a call and its answer have, through the same TLS on the same sockets, all that is ready in one
/// write, with nothing in them and nobody to wake.
/// </summary>
internal sealed class LimitPeer : IPeer
{
    // What GlooX sends for Say(1000, "hello, agent 0042") within 30 s, and for its answer.
    private const int RequestLength = 31;
    private const int ResponseLength = 21;
    private const int MaxCallers = 1024;
    private static readonly SslApplicationProtocol s_protocol = new("limit/1");

    public string Kind => "limit";

    public async Task<IAsyncDisposable> ServeAsync(Identity identity, Action<int> listening, CancellationToken ct)
    {
        var server = new RpcServer(new RpcServerOptions { Identity = identity });
        server.Route(s_protocol, AnswerAsync, RpcRole.None);
        await server.StartAsync("127.0.0.1:0", ct);
        listening(RpcEndpoint.Parse(server.Url).Port);
        return server;
    }

    public async Task<IEchoClient> ConnectAsync(int port, Identity identity, CancellationToken ct) =>
        new Client(await TlsConnection.DialAsync(new RpcEndpoint("127.0.0.1", port), s_protocol, identity, null, RpcRole.None, ct));

    private static async Task AnswerAsync(TlsConnection connection)
    {
        (connection.Transport as SocketStream)?.ReadInline();
        byte[] requests = new byte[RequestLength * MaxCallers];
        byte[] answers = new byte[ResponseLength * MaxCallers];
        int have = 0;
        while (await connection.Stream.ReadAsync(requests.AsMemory(have)).ConfigureAwait(false) is > 0 and int read)
        {
            (int whole, have) = Math.DivRem(have + read, RequestLength);
            if (whole > 0)
            {
                await connection.Stream.WriteAsync(answers.AsMemory(0, whole * ResponseLength)).ConfigureAwait(false);
            }
        }
    }

    private sealed class Client : IEchoClient
    {
        private readonly TlsConnection _connection;

        public Client(TlsConnection connection)
        {
            _connection = connection;
            (connection.Transport as SocketStream)?.ReadInline();
        }

        public ValueTask DisposeAsync() => _connection.DisposeAsync();

        /// <summary>The first caller calls for all of them.</summary>
        public Task CallAsync(Load load, int caller) => caller == 0 ? PlayAsync(load) : Task.CompletedTask;

        public Task EchoAsync(Load load, int caller) => throw new NotSupportedException();

        public Task StreamAsync(Load load, int caller) => throw new NotSupportedException();

        public Task CallOnceAsync() => PlayAsync(new Load(1));

        private async Task PlayAsync(Load load)
        {
            byte[] requests = new byte[RequestLength * load.Callers];
            byte[] answers = new byte[ResponseLength * load.Callers];
            int have = 0;
            int open = load.Callers;
            long start = load.Now;
            await _connection.Stream.WriteAsync(requests).ConfigureAwait(false);
            while (open > 0 && await _connection.Stream.ReadAsync(answers.AsMemory(have)).ConfigureAwait(false) is > 0 and int read)
            {
                (int whole, have) = Math.DivRem(have + read, ResponseLength);
                for (int i = 0; i < whole; i++)
                {
                    load.Answered(0, start);
                }

                start = load.Now;
                if (load.IsOver)
                {
                    open -= whole;
                }
                else if (whole > 0)
                {
                    await _connection.Stream.WriteAsync(requests.AsMemory(0, whole * RequestLength)).ConfigureAwait(false);
                }
            }
        }
    }
}
