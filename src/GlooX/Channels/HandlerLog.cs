using Microsoft.Extensions.Logging;

namespace GlooX.Channels;

internal static partial class HandlerLog
{
    [LoggerMessage(5001, LogLevel.Error, "A handler of changes of the channel '{Channel}' threw at the key '{Key}'; the others go on")]
    public static partial void HandlerThrew(this ILogger logger, string channel, string key, Exception exception);
}
