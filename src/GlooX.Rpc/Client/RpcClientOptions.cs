using GlooX.Tls;
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

    /// <summary>
    /// How long a call may take, connecting included, before it fails with <see cref="RpcError.Timeout"/>, unless its contract says otherwise.
    /// Default 30 s.
    /// </summary>
    public TimeSpan CallTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How long one attempt to connect may take, TLS included. Default 5 s. If the host has several addresses, the next one is tried after
    /// 250 ms while the attempts before go on, and the first to connect is used (RFC 8305).
    /// </summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long TLS and greeting may take once the other side's machine has answered; 0: what is left of <see cref="ConnectTimeout"/>.</summary>
    internal TimeSpan GreetTimeout { get; init; }

    /// <summary>Knows the addresses of hosts.</summary>
    internal Func<string, CancellationToken, Task<System.Net.IPAddress[]>> Resolve { get; init; } = Tls.DialOptions.Standard.Resolve;

    /// <summary>
    /// How long connecting is tried again when the server cannot be reached or takes no more connections. Default 0: that is reported at
    /// once. Longer hides the restart of a server, and hides for as long that there is none. A call itself is never repeated by this; see
    /// <see cref="RpcAttribute.Idempotent"/>.
    /// </summary>
    public TimeSpan RetryConnectFor { get; init; } = TimeSpan.Zero;

    /// <summary>
    /// The longest pause between two attempts to connect. Default 1 s. The first pause is about 20 ms and each next one twice as long.
    /// Longer spares a server to which many callers come back; shorter finds sooner that it is there again.
    /// </summary>
    public TimeSpan MaxConnectPause { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Most connections to the server. Default 1, which is the fastest for small calls, since they travel together. More let large messages
    /// not hold up small ones, and let several cores encrypt. The second is opened when a call begins while the first is in use, and so on;
    /// each call goes to the one with the fewest calls in flight. Calls on different connections may overtake each other.
    /// </summary>
    public int Connections { get; init; } = 1;

    /// <summary>
    /// Largest answer accepted, in bytes. Default 16 MiB. A larger one fails its call with <see cref="RpcError.TooLarge"/>. Raising it lets the
    /// server make this process hold that much at once.
    /// </summary>
    public int MaxFrameBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>
    /// Bytes of calls kept for a server that does not read. Default 4 MiB; at the limit further calls wait before they are sent, until their
    /// deadline. Raising it costs memory; lowering it makes callers wait for each other on slow links.
    /// </summary>
    public int MaxBufferedBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>Who stands between calls and the network, outermost first. Default: nobody, at no cost. Each call pays for each of them.</summary>
    public IReadOnlyList<RpcInterceptor> Interceptors { get; init; } = [];

    /// <summary>
    /// After how long a silence the server is asked whether it is there. Default 30 s; 0: never. When as long again nothing comes, and nothing
    /// can be sent, the connection counts as lost. Shorter notices a server that vanished or hangs sooner, costs a packet in each interval
    /// while the connection is idle, and gives up on a server that only stands still, as in a debugger or on a very slow link.
    /// </summary>
    public TimeSpan KeepAliveInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Where it logs, such as lost connections. Null (default): nowhere.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }
}
