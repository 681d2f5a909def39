using Microsoft.Extensions.Logging;

namespace GlooX;

/// <summary>Settings of an <see cref="RpcServer"/>: identity, limits and timeouts. Immutable.</summary>
public sealed record RpcServerOptions
{
    internal const long StandardInFlightBytes = 256 * 1024 * 1024;
    internal const int StandardHandlerThreads = 1024;

    /// <summary>The certificates of this process and the authority it trusts. Null (default): <see cref="GlooX.Identity.Load"/>.</summary>
    public Identity? Identity { get; init; }

    /// <summary>
    /// Host names and addresses by which callers reach this server, in addition to the names of this machine and the address it listens on. A
    /// certificate from the user's store is reissued with them; any other certificate must carry them already. Default empty.
    /// </summary>
    public IReadOnlyList<string> Names { get; init; } = [];

    /// <summary>
    /// Serial numbers, in hexadecimal, of certificates that are refused although they are valid. They apply to everything in this process that
    /// uses the same identity, until the process ends. See <see cref="Identity.Revoke"/> to revoke later. Default empty.
    /// </summary>
    public IReadOnlyList<string> RevokedSerials { get; init; } = [];

    /// <summary>
    /// Whether machines may join the authority of this server's identity on this port, with a token from <see cref="Identity.CreateJoinToken"/>.
    /// Default false. An agent accepts joins.
    /// </summary>
    public bool AcceptJoins { get; init; }

    /// <summary>
    /// The largest message accepted, in bytes. Default 16 MiB. A larger message fails on the caller's side with <see cref="RpcError.TooLarge"/>. A
    /// higher limit lets one caller make this process allocate that much memory at once.
    /// </summary>
    public int MaxFrameBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>
    /// How many bytes all partly received messages may occupy together. Default 1 GiB. A connection whose message does not fit ends with
    /// <see cref="RpcError.Overloaded"/>; messages up to 64 KiB and a single large message are always accepted. A higher limit takes more memory
    /// when many callers send large messages at once; a lower one makes such calls fail. Allow <see cref="MaxFrameBytes"/> times the number of
    /// large messages expected at once, times four while buffers grow.
    /// </summary>
    public long MaxFrameMemory { get; init; } = 1024L * 1024 * 1024;

    /// <summary>
    /// The largest number of calls in flight on one connection. Default 16,384. Further calls fail with <see cref="RpcError.Overloaded"/>; one-way
    /// calls, and calls that arrive behind them, wait instead. When more than <see cref="MaxBufferedBytes"/> wait, the server stops reading from
    /// that caller. Callbacks from handlers to the caller do not count. A higher limit lets one caller occupy more memory and threads; a lower
    /// one stops callers that wait for many slow calls at once.
    /// </summary>
    public int MaxInFlight { get; init; } = 16_384;

    /// <summary>
    /// How many bytes the calls in flight on one connection may have together; calls below 4 KiB do not count. Default 256 MiB. Further calls fail
    /// with <see cref="RpcError.Overloaded"/>; one-way calls wait. A single large call is always accepted.
    /// </summary>
    public long MaxInFlightBytes { get; init; } = StandardInFlightBytes;

    /// <summary>
    /// The largest number of threads for handlers that block, or that are not yet known to be quick; at least 1. Default 1,024. When all of them are
    /// busy and none becomes free for 100 ms, calls of such methods fail with <see cref="RpcError.Overloaded"/>, and one-way calls wait; quick
    /// methods are still answered. A thread costs about 50 KB while its handler blocks, and ends after 10 s without work. A higher limit lets
    /// more handlers block at once; a lower one saves memory and refuses calls sooner. Handlers that await hold no thread while they wait.
    /// </summary>
    public int MaxHandlerThreads { get; init; } = StandardHandlerThreads;

    /// <summary>
    /// How many bytes of answers to buffer for a caller that does not read. Default 4 MiB. At the limit the server starts no further call of that
    /// caller and reads nothing more from it until it catches up; other callers are not affected. One answer, and the answers of running calls,
    /// may exceed the limit. The same amount is buffered for waiting calls (see <see cref="MaxInFlight"/>). A higher limit costs memory for each
    /// slow caller; a lower one makes distant callers wait in the middle of large answers.
    /// </summary>
    public int MaxBufferedBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>
    /// The largest number of connections at once, of all protocols on the port. Default 10,000. Further callers are refused with
    /// <see cref="RpcError.Overloaded"/>. An idle connection costs about 25 KB and one descriptor.
    /// </summary>
    public int MaxConnections { get; init; } = 10_000;

    /// <summary>
    /// The largest number of connections at once with one certificate. Default 2,000. Further callers are refused with
    /// <see cref="RpcError.Overloaded"/>. Lower it where each caller has its own certificate, so that no caller takes all
    /// <see cref="MaxConnections"/>; raise it where very many processes share one certificate, for example those of one user.
    /// </summary>
    public int MaxConnectionsPerPeer { get; init; } = 2_000;

    /// <summary>
    /// How long a caller may take for TLS, and again for the protocol's greeting, before the server closes the connection. Default 10 s. While many
    /// callers wait, TLS may take 2 s, and less for callers of an address that holds more places than others. A shorter time makes room sooner when strangers hang; a longer one admits callers on bad
    /// links.
    /// </summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// After how much silence the server asks a caller for a sign of life. Default 30 s; 0: never. After the same time again without an answer, the
    /// connection is closed and its calls are cancelled. A shorter interval frees the resources of a dead caller sooner; it costs one packet for
    /// each interval on an idle connection, and drops a caller that only pauses, for example in a debugger.
    /// </summary>
    public TimeSpan KeepAliveInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How long a connection may be without calls before the caller is asked to close it. Default 0: forever. The caller's next call connects
    /// again, at the cost of a handshake. Set it where very many callers call rarely.
    /// </summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.Zero;

    /// <summary>
    /// How long calls in flight may continue when the server stops. Default 2 s. The server stops sooner when all callers have closed their
    /// connections, which they do after their last call. A longer time loses fewer calls; a shorter one stops sooner when a caller hangs.
    /// </summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Whether callers receive the stack trace of a handler's exception. Default false, because a stack trace tells strangers about the code.</summary>
    public bool SendStackTraces { get; init; }

    /// <summary>
    /// The interceptors between calls and handlers, outermost first. Default none, at no cost. Every call pays for every interceptor.
    /// </summary>
    public IReadOnlyList<RpcInterceptor> Interceptors { get; init; } = [];

    /// <summary>Creates the logger for refused callers and faults. Null (default): nothing is logged.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }
}
