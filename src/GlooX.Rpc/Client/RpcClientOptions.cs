using Microsoft.Extensions.Logging;

namespace GlooX;

/// <summary>How a client calls. Immutable.</summary>
public sealed record RpcClientOptions
{
    /// <summary>Who the client is and whom it trusts. Null (default): <see cref="GlooX.Identity.Load"/>.</summary>
    public Identity? Identity { get; init; }

    /// <summary>
    /// The host, address or node (<c>gloox://node/ID</c>, see <c>gloox certs</c>) that the server's certificate must carry. Null (default):
    /// the host that is dialled. Set it where a process is reached by an address that is not its own, as through a tunnel.
    /// </summary>
    public string? ServerName { get; init; }

    /// <summary>The role that the server's certificate must have. Default none; for example <see cref="RpcRole.Agent"/>, so that no child is taken for its agent.</summary>
    public RpcRole ServerRole { get; init; }

    /// <summary>The secrets that services ask for beside a certificate (<see cref="RpcAccess.Token"/>), by the services' names. Sent once, inside TLS, to a server that is verified.</summary>
    public IReadOnlyDictionary<string, string> Tokens { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>How long a call may take before it fails with <see cref="RpcError.Timeout"/>, unless its contract says otherwise. Default 30 s.</summary>
    public TimeSpan CallTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long one attempt to connect may take, TLS included. Default 5 s.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// How long connecting is tried again when nobody listens, with a growing, jittered pause. Default 0: a refused connection is reported at once.
    /// A call itself is never repeated.
    /// </summary>
    public TimeSpan RetryConnectFor { get; init; } = TimeSpan.Zero;

    /// <summary>Largest answer accepted, in bytes. Default 16 MiB.</summary>
    public int MaxFrameBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>Bytes of calls kept for a server that does not read. Default 4 MiB; at the limit further calls wait before they are sent.</summary>
    public int MaxBufferedBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>Who stands between calls and the network, outermost first. Default: nobody, at no cost. Each call pays for each of them.</summary>
    public IReadOnlyList<RpcInterceptor> Interceptors { get; init; } = [];

    /// <summary>Where lost connections are logged. Null (default): nowhere.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }
}
