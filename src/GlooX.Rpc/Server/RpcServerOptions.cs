using Microsoft.Extensions.Logging;

namespace GlooX;

/// <summary>How a server treats its callers. Immutable.</summary>
public sealed record RpcServerOptions
{
    internal const long StandardInFlightBytes = 256 * 1024 * 1024;

    /// <summary>Who the server is and whom it trusts. Null (default): <see cref="GlooX.Identity.Load"/>.</summary>
    public Identity? Identity { get; init; }

    /// <summary>
    /// Host names and addresses, beside this machine's own and the one that it listens on, by which callers reach this server. A certificate of
    /// the user's store will carry them; others must carry them already.
    /// </summary>
    public IReadOnlyList<string> Names { get; init; } = [];

    /// <summary>
    /// Serial numbers of certificates, in hexadecimal, that are refused although they are valid; for all that shares the identity, as long as
    /// the process runs. See <see cref="Identity.Revoke"/> for later ones.
    /// </summary>
    public IReadOnlyList<string> RevokedSerials { get; init; } = [];

    /// <summary>
    /// Largest message accepted, in bytes. Default 16 MiB. A larger one fails on the caller's side with <see cref="RpcError.TooLarge"/>. Raising
    /// it lets one caller make this process hold that much at once.
    /// </summary>
    public int MaxFrameBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>
    /// Bytes that messages may hold, over all connections, while they have not come completely. Default 1 GiB. A connection whose message does
    /// not fit beside the others ends with <see cref="RpcError.Overloaded"/>; small messages (64 KiB) are always taken, and so is a single
    /// large one. Raising it takes more memory when many callers send large messages at once, or only begin to; lowering it makes them
    /// fail. <see cref="MaxFrameBytes"/> bounds one message; allow for as many as are to arrive at once, and up to four times as much for one
    /// that has just outgrown its buffer.
    /// </summary>
    public long MaxFrameMemory { get; init; } = 1024L * 1024 * 1024;

    /// <summary>
    /// Most calls in flight on one connection. Default 16,384. Calls beyond it fail with <see cref="RpcError.Overloaded"/>, but one-way calls,
    /// and those made behind them, wait until there is room; when more wait than <see cref="MaxBufferedBytes"/>, nothing more is read from that
    /// caller. Calls that handlers make back to it do not count. Raising it lets one caller keep more of this process's memory and threads
    /// busy; lowering it stops callers that wait for many slow calls at once.
    /// </summary>
    public int MaxInFlight { get; init; } = 16_384;

    /// <summary>
    /// Bytes of calls in flight on one connection, those under 4 KiB not counted. Default 256 MiB. Calls beyond it fail with
    /// <see cref="RpcError.Overloaded"/>, but one is always let in, and one-way calls wait.
    /// </summary>
    public long MaxInFlightBytes { get; init; } = StandardInFlightBytes;

    /// <summary>
    /// Bytes of answers kept for a caller that does not read. Default 4 MiB. At the limit no further call of that caller is begun and nothing
    /// more is read from it until it catches up; others are not affected. One answer, and those of calls that have begun, may come on top.
    /// As much again may be kept of its calls that wait (<see cref="MaxInFlight"/>).
    /// Raising it costs memory for each slow caller; lowering it makes callers far away wait in the midst of large answers.
    /// </summary>
    public int MaxBufferedBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>
    /// Most connections at once, of all protocols on the port. Default 10,000. A caller beyond it is told so in its own words:
    /// <see cref="RpcError.Overloaded"/>. An idle connection costs about 25 KB and a descriptor.
    /// </summary>
    public int MaxConnections { get; init; } = 10_000;

    /// <summary>
    /// Most connections at once with one certificate. Default 2,000. A caller beyond it fails with <see cref="RpcError.Overloaded"/>. Lower it
    /// where each caller has a certificate of its own, so that none can take all of <see cref="MaxConnections"/>; raise it where very many
    /// processes share one, as those of one user do.
    /// </summary>
    public int MaxConnectionsPerPeer { get; init; } = 2_000;

    /// <summary>
    /// How long a caller may take for TLS, and again for its greeting, before it is hung up on. Default 10 s; 2 s for TLS while so many
    /// are at it that others wait. A shorter time lets in others sooner while strangers hang there; a longer one lets in those on bad links.
    /// </summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>
    /// After how long a silence a caller is asked whether it is there. Default 30 s; 0: never. When as long again nothing comes, and nothing
    /// can be sent, the connection is closed and its calls are cancelled. Shorter frees what a dead caller holds sooner, costs a packet in
    /// each interval for each idle connection, and gives up on a caller that stands still, as in a debugger or on a very slow link.
    /// </summary>
    public TimeSpan KeepAliveInterval { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// How long a connection may have no call before the caller is asked to close it. Default 0: for ever. The caller's next call connects
    /// again. Set it where very many callers call seldom: each of those calls then costs a handshake.
    /// </summary>
    public TimeSpan IdleTimeout { get; init; } = TimeSpan.Zero;

    /// <summary>
    /// How long calls in flight may go on when the server stops. Default 2 s. It stops sooner when all callers have closed their
    /// connections, as they do when their calls have ended. Longer loses fewer calls; shorter stops sooner when a caller hangs.
    /// </summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Whether callers are sent the stack of a handler's exception. Default false: stacks tell strangers about the code.</summary>
    public bool SendStackTraces { get; init; }

    /// <summary>Who stands between calls and handlers, outermost first. Default: nobody, at no cost. Each call pays for each of them.</summary>
    public IReadOnlyList<RpcInterceptor> Interceptors { get; init; } = [];

    /// <summary>Where refusals and faults are logged. Null (default): nowhere.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }
}
