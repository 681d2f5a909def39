using System.Runtime.CompilerServices;

namespace GlooX.Bench.Peers;

[RpcService]
internal interface IEcho
{
    ValueTask<string> SayAsync(int id, string text);

    ValueTask<byte[]> EchoAsync(byte[] payload);

    IAsyncEnumerable<string> CountAsync(int count, CancellationToken ct);
}

internal sealed class EchoTarget : IEcho
{
    public ValueTask<string> SayAsync(int id, string text) => new(text);

    public ValueTask<byte[]> EchoAsync(byte[] payload) => new(payload);

    public async IAsyncEnumerable<string> CountAsync(int count, [EnumeratorCancellation] CancellationToken ct)
    {
        await Task.Yield();
        for (int i = 0; i < count && !ct.IsCancellationRequested; i++)
        {
            yield return Peer.Text;
        }
    }
}

internal sealed class GlooXPeer : IPeer
{
    public string Kind => "gloox";

    public async Task<IAsyncDisposable> ServeAsync(Identity identity, Action<int> listening, CancellationToken ct)
    {
        var server = new RpcServer(new RpcServerOptions { Identity = identity });
        server.Add(new EchoTarget());
        await server.StartAsync("127.0.0.1:0", ct);
        listening(RpcEndpoint.Parse(server.Url).Port);
        return server;
    }

    public async Task<IEchoClient> ConnectAsync(int port, Identity identity, CancellationToken ct)
    {
        RpcClient client = new RpcClient($"127.0.0.1:{port}", new RpcClientOptions { Identity = identity });
        await client.OpenAsync(ct);
        return new Client(client);
    }

    private sealed class Client(RpcClient client) : EchoClient<string>
    {
        private readonly IEcho _echo = client.As<IEcho>();

        public override ValueTask DisposeAsync() => client.DisposeAsync();

        protected override ValueTask<string> SendAsync(int id, string text) => _echo.SayAsync(id, text);

        protected override string TextOf(string reply) => reply;

        protected override async ValueTask<int> EchoAsync(byte[] payload) => (await _echo.EchoAsync(payload).ConfigureAwait(false)).Length;

        protected override IAsyncEnumerable<string> Count(int count) => _echo.CountAsync(count, CancellationToken.None);
    }
}
