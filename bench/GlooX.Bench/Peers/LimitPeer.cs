using System.Net.Security;
using System.Reflection;

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
    private const string Protocol = "limit/1";
    private static readonly PropertyInfo s_inner = typeof(AuthenticatedStream).GetProperty("InnerStream", BindingFlags.Instance | BindingFlags.NonPublic)!;

    public string Kind => "limit";

    public async Task<IAsyncDisposable> ServeAsync(Identity identity, Action<int> listening, CancellationToken ct)
    {
        var server = new RpcServer(new RpcServerOptions { Identity = identity });
        server.AddProtocol(Protocol, AnswerAsync, RpcRole.None);
        await server.StartAsync("127.0.0.1:0", ct);
        listening(RpcEndpoint.Parse(server.Url).Port);
        return server;
    }

    public async Task<IEchoClient> ConnectAsync(int port, Identity identity, CancellationToken ct)
    {
        await using var client = new RpcClient($"127.0.0.1:{port}", new RpcClientOptions { Identity = identity });
        return new Client(await client.OpenStreamAsync(Protocol, ct));
    }

    /// <summary>Reads end on the thread that woke for them, as those of an RPC connection do. Nothing that a user of the library can ask for.</summary>
    private static void ReadInline(Stream stream)
    {
        object socket = s_inner.GetValue(stream)!;
        socket.GetType().GetMethod("ReadInline")?.Invoke(socket, null);
    }

    private static async Task AnswerAsync(Stream stream, RpcPeer caller)
    {
        ReadInline(stream);
        byte[] requests = new byte[RequestLength * MaxCallers];
        byte[] answers = new byte[ResponseLength * MaxCallers];
        int have = 0;
        while (await stream.ReadAsync(requests.AsMemory(have)).ConfigureAwait(false) is > 0 and int read)
        {
            (int whole, have) = Math.DivRem(have + read, RequestLength);
            if (whole > 0)
            {
                await stream.WriteAsync(answers.AsMemory(0, whole * ResponseLength)).ConfigureAwait(false);
            }
        }
    }

    private sealed class Client : IEchoClient
    {
        private readonly Stream _stream;

        public Client(Stream stream)
        {
            _stream = stream;
            ReadInline(stream);
        }

        public ValueTask DisposeAsync() => _stream.DisposeAsync();

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
            await _stream.WriteAsync(requests).ConfigureAwait(false);
            while (open > 0 && await _stream.ReadAsync(answers.AsMemory(have)).ConfigureAwait(false) is > 0 and int read)
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
                    await _stream.WriteAsync(requests.AsMemory(0, whole * RequestLength)).ConfigureAwait(false);
                }
            }
        }
    }
}
