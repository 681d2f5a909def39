using Microsoft.Extensions.Logging;

namespace GlooX;

/// <summary>How a server treats its callers. Immutable.</summary>
public sealed record RpcServerOptions
{
    /// <summary>Who the server is and whom it trusts. Null (default): <see cref="GlooX.Identity.Load"/>.</summary>
    public Identity? Identity { get; init; }

    /// <summary>Largest message accepted, in bytes. Default 16 MiB. Raising it lets one caller make this process hold that much at once.</summary>
    public int MaxFrameBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>Most calls in flight on one connection. Default 16,384. Calls beyond it fail with <see cref="RpcError.Overloaded"/>.</summary>
    public int MaxInFlight { get; init; } = 16_384;

    /// <summary>
    /// Bytes of answers kept for a caller that does not read. Default 4 MiB. At the limit nothing more is read from that caller until it
    /// catches up; others are not affected.
    /// </summary>
    public int MaxBufferedBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>Most connections at once. Default 10,000. An idle connection costs about 25 KB.</summary>
    public int MaxConnections { get; init; } = 10_000;

    /// <summary>
    /// How long calls in flight may go on when the server stops. Default 2 s. It stops sooner when all callers have closed their
    /// connections, as they do when their calls have ended. Longer loses fewer calls; shorter stops sooner when a caller hangs.
    /// </summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Whether callers are sent the stack of a handler's exception. Default false: stacks tell strangers about the code.</summary>
    public bool SendStackTraces { get; init; }

    /// <summary>Where refusals and faults are logged. Null (default): nowhere.</summary>
    public ILoggerFactory? LoggerFactory { get; init; }
}
