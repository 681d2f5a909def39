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

    [LoggerMessage(5007, LogLevel.Error, "Durable channels could not be written to '{File}'; they go on in memory, and it is tried again each second")]
    public static partial void NotKept(this ILogger logger, string file, Exception exception);

    [LoggerMessage(5008, LogLevel.Warning, "The channels were not compared with another node's within {Seconds} s; that goes on in the background")]
    public static partial void NotSynced(this ILogger logger, double seconds);

    [LoggerMessage(5009, LogLevel.Warning, "A reader or handler of the channel '{Channel}' is too slow: more than {Most} changes wait for it, and of each key it is told only the last until it has caught up")]
    public static partial void Skipping(this ILogger logger, string channel, int most);

    [LoggerMessage(5010, LogLevel.Error, "The state file '{File}' is damaged: {Damage}. It is kept as '{KeptAs}'; this node gets its durable channels from the other nodes of the grid")]
    public static partial void Damaged(this ILogger logger, string file, string damage, string keptAs);

    [LoggerMessage(5012, LogLevel.Warning, "Changes of channels from {Caller} were refused: they name an agent of another node as their sender than {Node}, which its certificate names")]
    public static partial void SpokeForAnother(this ILogger logger, string caller, string? node);
}
