using GlooX.Tls;
using Microsoft.Extensions.Logging;

namespace GlooX;

/// <summary>Settings of an <see cref="RpcClient"/>. Immutable.</summary>
public sealed record RpcClientOptions
{
    /// <summary>The certificates of this process and the authority it trusts. Null (default): <see cref="GlooX.Identity.Load"/>.</summary>
    public Identity? Identity { get; init; }

    /// <summary>
    /// The host, address, node (<c>gloox://node/ID</c>, shown by <c>gloox certs</c>) or spawned process (<see cref="Identity.ProcessName"/>) that the
    /// server's certificate must carry. Null (default): the host of the URL. Set it where the server is reached through an address that is not its own, such as a tunnel.
    /// </summary>
    public string? ServerName { get; init; }

    /// <summary>
    /// The roles that the server's certificate must have. Default <see cref="RpcRole.None"/>. With <see cref="RpcRole.Agent"/>, a spawned process
    /// that took over its agent's port is refused.
    /// </summary>
    public RpcRole ServerRole { get; init; }

    /// <summary>
    /// The tokens of services that ask for one (<see cref="RpcAccess.Token"/>), by service name. Sent once for each connection, inside TLS, after
    /// the server's certificate was verified. Default empty.
    /// </summary>
    public IReadOnlyDictionary<string, string> Tokens { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>
    /// The roles that the server's certificate must have to be sent <see cref="Tokens"/>. Default <see cref="RpcRole.None"/>: any server that
    /// <see cref="ServerName"/> and <see cref="ServerRole"/> admit. With <see cref="RpcRole.Agent"/>, a process that took over its agent's port does
    /// not get them.
    /// </summary>
    public RpcRole TokenRole { get; init; }

    /// <summary>
    /// How long a call may take, including the time to connect, before it fails with <see cref="RpcError.Timeout"/>. Default 30 s; 0 or less: no
    /// limit. A contract overrides it with <see cref="RpcAttribute.TimeoutMilliseconds"/>.
    /// </summary>
    public TimeSpan CallTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How long one attempt to connect may take, including TLS. Default 5 s. If the host has several addresses, the next one is tried after 250 ms
    /// while earlier attempts continue, and the first to connect is used (RFC 8305).
    /// </summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// How long TLS and the greeting may take once the server's machine has accepted the connection. Default 0: what is left of
    /// <see cref="ConnectTimeout"/>. Set it longer than that where a server may be very busy but a machine that is gone should be noticed soon.
    /// </summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.Zero;

    /// <summary>Resolves host names. For tests.</summary>
    internal Func<string, CancellationToken, Task<System.Net.IPAddress[]>> Resolve { get; init; } = Tls.DialOptions.Standard.Resolve;

    /// <summary>
    /// How long to keep trying to connect when the server cannot be reached or accepts no more connections. Default 0: the call fails at once. A
    /// longer time hides the restart of a server, but also delays the news that there is no server. A call itself is never repeated by this; see
    /// <see cref="RpcAttribute.Idempotent"/>.
    /// </summary>
    public TimeSpan RetryConnectFor { get; init; } = TimeSpan.Zero;

    /// <summary>
    /// The longest pause between two attempts to connect. Default 1 s. The first pause is about 20 ms; each following pause is twice as long. A
    /// longer pause protects a server to which many callers return at once; a shorter pause finds a returned server sooner.
    /// </summary>
    public TimeSpan MaxConnectPause { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// The largest number of connections to the server; at least 1. Default 1, the fastest choice for small calls, because they share TLS records.
    /// With more, a large message does not delay small ones, and several cores encrypt. A further connection is opened when a call starts while
    /// all open ones are in use; each call goes to the connection with the fewest calls in flight. Calls on different connections may overtake
    /// each other.
    /// </summary>
    public int Connections { get; init; } = 1;

    /// <summary>
    /// The largest answer accepted, in bytes. Default 16 MiB. A larger answer fails its call with <see cref="RpcError.TooLarge"/>. A higher limit
    /// lets the server make this process allocate that much memory at once.
    /// </summary>
    public int MaxFrameBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>
    /// How many bytes of calls to buffer while the server does not read. Default 4 MiB. At the limit, further calls wait to be sent, at most until
    /// their deadline. A higher limit costs memory; a lower one makes callers wait for each other on slow links.
    /// </summary>
    public int MaxBufferedBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>
    /// The interceptors between calls and the network, outermost first. Default none, at no cost. Every call pays for every interceptor.
    /// </summary>
    public IReadOnlyList<RpcInterceptor> Interceptors { get; init; } = [];

    /// <summary>
    /// After how much silence the client asks the server for a sign of life. Default 30 s; 0: never. After the same time again without an answer,
    /// the connection counts as lost. A shorter interval notices a vanished or hanging server sooner; it costs one packet for each interval on an
    /// idle connection, and drops a server that only pauses, for example in a debugger.
    /// </summary>
    public TimeSpan KeepAliveInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Creates the logger for events such as lost connections. Null (default): nothing is logged.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }

    /// <summary>How to dial under <paramref name="limit"/>, which <see cref="HandshakeTimeout"/> extends once the server's machine has answered.</summary>
    internal DialOptions DialOptions(CancellationTokenSource limit) => new()
    {
        Resolve = Resolve,
        OnConnected = HandshakeTimeout > TimeSpan.Zero ? () => limit.CancelAfter(HandshakeTimeout) : null,
    };
}
