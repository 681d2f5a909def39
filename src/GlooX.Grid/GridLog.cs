using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>What the membership says; the ids are stable.</summary>
internal static partial class GridLog
{
    [LoggerMessage(4001, LogLevel.Information, "In a grid as {Address} ({Incarnation})")]
    public static partial void Up(this ILogger logger, string address, string incarnation);

    [LoggerMessage(4002, LogLevel.Information, "Nobody to join: {Address} forms a grid")]
    public static partial void Forming(this ILogger logger, string address);

    [LoggerMessage(4003, LogLevel.Information, "Joining the grid of {Peer}")]
    public static partial void Joining(this ILogger logger, string peer);

    [LoggerMessage(4004, LogLevel.Warning, "Could not join by way of {Peer} within {Timeout}: does its port let this agent's address through?")]
    public static partial void JoinFailed(this ILogger logger, string peer, TimeSpan timeout);

    [LoggerMessage(4005, LogLevel.Information, "The engine starts anew: {Reason}")]
    public static partial void Restarting(this ILogger logger, string reason);

    [LoggerMessage(4006, LogLevel.Information, "{Peer} is in another grid, which is expected to come here")]
    public static partial void Foreign(this ILogger logger, string peer);

    [LoggerMessage(4007, LogLevel.Information, "Member {Address}: {Kind}")]
    public static partial void MemberChanged(this ILogger logger, string address, GridChangeKind kind);

    [LoggerMessage(4008, LogLevel.Information, "Taking {Address} off the list: {Why}")]
    public static partial void Downing(this ILogger logger, string address, string why);

    [LoggerMessage(4009, LogLevel.Debug, "Keeping {Address}: somebody sees it")]
    public static partial void Kept(this ILogger logger, string address);

    [LoggerMessage(4010, LogLevel.Error, "The membership stumbled and tries again")]
    public static partial void Stumbled(this ILogger logger, Exception exception);

    [LoggerMessage(4011, LogLevel.Error, "A handler of membership changes threw")]
    public static partial void HandlerThrew(this ILogger logger, Exception exception);

    [LoggerMessage(4012, LogLevel.Debug, "The engine {Incarnation} takes long to stop and does so in the background")]
    public static partial void EngineStopsLate(this ILogger logger, string incarnation);

    [LoggerMessage(4013, LogLevel.Debug, "The grid stream with {Remote} is over: {Reason}")]
    public static partial void LinkBroken(this ILogger logger, string remote, string reason);

    [LoggerMessage(4014, LogLevel.Debug, "Closed a grid stream from {Remote}: {Reason}")]
    public static partial void StreamRefused(this ILogger logger, string? remote, string reason);

    [LoggerMessage(EventId = 4020, Message = "{Source}: {Message} {Cause}")]
    public static partial void EngineSaid(this ILogger logger, LogLevel level, string source, string message, string cause);
}
