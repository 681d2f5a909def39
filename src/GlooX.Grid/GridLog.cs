using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>Log messages of the membership; the event ids are stable.</summary>
internal static partial class GridLog
{
    [LoggerMessage(4001, LogLevel.Information, "Member of a grid as {Address} ({Incarnation})")]
    public static partial void Up(this ILogger logger, string address, string incarnation);

    [LoggerMessage(4002, LogLevel.Information, "Found no grid to join: {Address} forms one")]
    public static partial void Forming(this ILogger logger, string address);

    [LoggerMessage(4003, LogLevel.Information, "Joining the grid of {Peer}")]
    public static partial void Joining(this ILogger logger, string peer);

    [LoggerMessage(
        4004,
        LogLevel.Warning,
        "Joining through {Peer} timed out after {Timeout}: check that the peer can connect to this agent's advertised address")]
    public static partial void JoinFailed(this ILogger logger, string peer, TimeSpan timeout);

    [LoggerMessage(4005, LogLevel.Information, "The membership engine restarts: {Reason}")]
    public static partial void Restarting(this ILogger logger, string reason);

    [LoggerMessage(4006, LogLevel.Information, "{Peer} is in another, smaller grid, which is expected to join this one")]
    public static partial void Foreign(this ILogger logger, string peer);

    [LoggerMessage(4007, LogLevel.Information, "Member {Address}: {Kind}")]
    public static partial void MemberChanged(this ILogger logger, string address, GridChangeKind kind);

    [LoggerMessage(4008, LogLevel.Information, "Removing member {Address}: {Why}")]
    public static partial void Downing(this ILogger logger, string address, string why);

    [LoggerMessage(4009, LogLevel.Debug, "Keeping member {Address}: another member hears it")]
    public static partial void Kept(this ILogger logger, string address);

    [LoggerMessage(4010, LogLevel.Error, "An actor of the membership engine failed")]
    public static partial void EngineWorkFailed(this ILogger logger, Exception exception);

    [LoggerMessage(4011, LogLevel.Error, "A handler of membership changes failed")]
    public static partial void HandlerFailed(this ILogger logger, Exception exception);

    [LoggerMessage(4012, LogLevel.Debug, "The membership engine {Incarnation} has not stopped within {Timeout} and is left behind")]
    public static partial void EngineStopsLate(this ILogger logger, string incarnation, TimeSpan timeout);

    [LoggerMessage(4013, LogLevel.Debug, "The grid stream with {Remote} ended: {Reason}")]
    public static partial void LinkBroken(this ILogger logger, string remote, string reason);

    [LoggerMessage(4014, LogLevel.Debug, "Closed a grid stream from {Remote}: {Reason}")]
    public static partial void StreamRefused(this ILogger logger, string? remote, string reason);

    [LoggerMessage(4018, LogLevel.Warning, "Refused a grid stream from {Remote}: {Reason}")]
    public static partial void OriginRefused(this ILogger logger, string remote, string reason);

    [LoggerMessage(EventId = 4020, Message = "{Source}: {Message} {Cause}")]
    public static partial void EngineSaid(this ILogger logger, LogLevel level, string source, string message, string cause);
}
