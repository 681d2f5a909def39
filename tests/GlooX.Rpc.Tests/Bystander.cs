using GlooX.Client;

namespace GlooX.Rpc.Tests;

/// <summary>A well-behaved client of a server that others treat badly.</summary>
internal sealed class Bystander : IAsyncDisposable
{
    private static readonly RpcClientOptions s_options = new() { ConnectTimeout = TimeSpan.FromSeconds(60), CallTimeout = TimeSpan.FromSeconds(60) };
    private readonly RpcClient _client;
    private readonly RpcClientOptions _options;
    private readonly ClientConnection _connection;

    private Bystander(RpcClient client, RpcClientOptions options, ClientConnection connection)
    {
        _client = client;
        _options = options;
        _connection = connection;
    }

    public static async Task<Bystander> OfAsync(Harness harness, Identity? identity = null)
    {
        RpcClientOptions options = s_options with { Identity = identity ?? Harness.Shared };
        RpcClient client = new RpcClient(harness.Server.Url, options);
        return new Bystander(client, options, await client.ConnectionAsync(CancellationToken.None));
    }

    /// <summary>Its calls are answered, on the connection that it has had all the time; and somebody new is let in.</summary>
    public async Task IsServedAsync()
    {
        ICalculator calculator = _client.As<ICalculator>();
        for (int i = 0; i < 50; i++)
        {
            Assert.Equal(i + 1, await calculator.AddAsync(i, 1));
        }

        Assert.Same(_connection, _client.Current);
        await using RpcClient other = new RpcClient(_client.Url, _options);
        Assert.Equal(7, await other.As<ICalculator>().AddAsync(3, 4));
    }

    public ValueTask DisposeAsync() => _client.DisposeAsync();
}
