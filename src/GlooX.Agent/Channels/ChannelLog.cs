using Microsoft.Extensions.Logging;

namespace GlooX.Channels;

internal static partial class ChannelLog
{
    [LoggerMessage(5002, LogLevel.Warning, "A message about channels from {Caller} is malformed: {Reason}")]
    public static partial void Malformed(this ILogger logger, string caller, string reason);

    [LoggerMessage(5003, LogLevel.Debug, "Channel messages for {Node} were given up: {Reason}. It will pull what it misses")]
    public static partial void GivenUp(this ILogger logger, string node, string reason);

    [LoggerMessage(5004, LogLevel.Warning, "The clock of this or another node is wrong: entries come from more than a minute ahead")]
    public static partial void Drift(this ILogger logger);

    [LoggerMessage(5005, LogLevel.Error, "The channels stumbled and go on")]
    public static partial void Stumbled(this ILogger logger, Exception exception);

    [LoggerMessage(5006, LogLevel.Warning, "Channel '{Channel}' is durable, but this node has no AgentOptions.DataFolder: it keeps it in memory")]
    public static partial void NoFolder(this ILogger logger, string channel);

    [LoggerMessage(5007, LogLevel.Error, "Channel '{Channel}' could not be kept on disk")]
    public static partial void NotKept(this ILogger logger, string channel, Exception exception);

    [LoggerMessage(5008, LogLevel.Warning, "The channels were not compared with another node's within {Seconds} s; that goes on in the background")]
    public static partial void NotSynced(this ILogger logger, double seconds);

    [LoggerMessage(5009, LogLevel.Warning, "A reader or handler of the channel '{Channel}' is too slow: more than {Most} changes wait for it, and of each key it is told only the last until it has caught up")]
    public static partial void Skipping(this ILogger logger, string channel, int most);
}
