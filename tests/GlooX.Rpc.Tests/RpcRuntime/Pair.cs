namespace GlooX.Rpc.Tests.RpcRuntime;

/// <summary>A server of one object and a client of it.</summary>
internal sealed class Pair : IAsyncDisposable
{
    private Pair(RpcServer server, RpcClient client) => (Server, Client) = (server, client);

    public RpcServer Server { get; }

    public RpcClient Client { get; }

    public static async Task<Pair> StartAsync(object target, RpcServerOptions? options = null, RpcClientOptions? client = null)
    {
        var server = new RpcServer((options ?? new RpcServerOptions()) with { Identity = Harness.Shared, DrainTimeout = TimeSpan.Zero });
        server.Add(target);
        await server.StartAsync("127.0.0.1:0", TestContext.Current.CancellationToken);
        return new Pair(server, new RpcClient(server.Url, (client ?? new RpcClientOptions()) with { Identity = Harness.Shared }));
    }

    public async ValueTask DisposeAsync()
    {
        await Client.DisposeAsync();
        await Server.DisposeAsync();
    }
}
