namespace GlooX;

/// <summary>
/// Talks to an agent, or to any process that serves a subclass of it. Connects on the first call, and again when the connection was lost.
/// All members are safe for concurrent use.
/// </summary>
public sealed class GlooXClient : IAsyncDisposable
{
    private readonly RpcClient _rpc;
    private readonly IAgentService _agent;

    private GlooXClient(RpcClient rpc)
    {
        _rpc = rpc;
        _agent = rpc.As<IAgentService>(AgentService.Name);
    }

    /// <summary>Whom it talks to, as <c>host:port</c>.</summary>
    public string Url => _rpc.Url;

    /// <summary>Makes a client; nothing is sent before the first call.</summary>
    /// <param name="url"><c>host:port</c>; 0.0.0.0 means this machine.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <returns>The client.</returns>
    /// <exception cref="ArgumentException">The URL is malformed.</exception>
    public static GlooXClient Connect(string url, RpcClientOptions? options = null) => new(RpcClient.Connect(url, options));

    /// <summary>Whether the other side answers.</summary>
    /// <param name="ct">Gives up.</param>
    /// <returns>True; it never returns false.</returns>
    /// <exception cref="RpcException">It does not answer; <see cref="RpcException.Code"/> says why.</exception>
    public ValueTask<bool> AliveAsync(CancellationToken ct = default) => _agent.AliveAsync(ct);

    /// <summary>How the node describes itself.</summary>
    /// <param name="ct">Gives up.</param>
    /// <returns>Its description.</returns>
    /// <exception cref="RpcException">It does not answer.</exception>
    public ValueTask<NodeInfo> InfoAsync(CancellationToken ct = default) => _agent.InfoAsync(ct);

    /// <summary>The other side as a contract.</summary>
    /// <typeparam name="T">An interface with <see cref="RpcServiceAttribute"/>.</typeparam>
    /// <param name="service">Which service; empty: the process's own methods.</param>
    /// <returns>A proxy; keep it.</returns>
    public T As<T>(string service = "")
        where T : class => _rpc.As<T>(service);

    /// <inheritdoc cref="RpcClient.CallAsync{T}(string, object?[])"/>
    public ValueTask<T?> CallAsync<T>(string method, params object?[] arguments) => _rpc.CallAsync<T>(method, arguments);

    /// <summary>Closes the connection; calls in flight fail.</summary>
    /// <returns>Completes when it is closed.</returns>
    public ValueTask DisposeAsync() => _rpc.DisposeAsync();
}
