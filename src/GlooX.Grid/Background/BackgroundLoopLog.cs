using Microsoft.Extensions.Logging;

namespace GlooX;

/// <summary>What background loops log; the ids are stable.</summary>
internal static partial class BackgroundLoopLog
{
    [LoggerMessage(2001, LogLevel.Error, "Background loop '{Loop}' failed and restarts in {Pause}: {Reason}")]
    public static partial void LoopFailed(this ILogger logger, Exception? exception, string loop, string reason, TimeSpan pause);

    [LoggerMessage(2002, LogLevel.Warning, "Background loop '{Loop}' failed while it was stopping")]
    public static partial void LoopFailedWhileStopping(this ILogger logger, Exception exception, string loop);

    [LoggerMessage(2003, LogLevel.Warning, "Background loop '{Loop}' has not stopped within {Timeout}; stopping goes on without it")]
    public static partial void LoopStopsLate(this ILogger logger, string loop, TimeSpan timeout);
}
