using Akka.Actor;
using Akka.Dispatch;
using Akka.Event;
using Microsoft.Extensions.Logging;
using AkkaLogLevel = Akka.Event.LogLevel;
using LogLevel = Microsoft.Extensions.Logging.LogLevel;

namespace GlooX.Grid;

/// <summary>
/// Akka's log, turned down: it calls every broken link an error and adds a stack trace, and links break whenever an agent stops.
/// What matters to people the membership logs itself.
/// </summary>
internal sealed class EngineLog : ReceiveActor, IRequiresMessageQueue<ILoggerMessageQueueSemantics>
{
    public EngineLog()
    {
        ILogger logger = EngineSetup.Of(Context.System).Logger;
        Receive<InitializeLogger>(_ => Sender.Tell(new LoggerInitialized()));
        Receive<LogEvent>(e =>
        {
            LogLevel level = LevelFor(e.LogLevel(), e.LogSource);
            if (logger.IsEnabled(level))
            {
                logger.EngineSaid(level, e.LogSource, e.Message?.ToString() ?? "", e.Cause?.Message ?? "");
            }
        });
    }

    /// <summary>Errors of the links are for debugging; of the rest they are warnings, since the engine restarts whenever it must.</summary>
    public static LogLevel LevelFor(AkkaLogLevel level, string source)
    {
        bool link = source.StartsWith(EngineConfig.Protocol, StringComparison.Ordinal) // a reference to somebody remote
            || source.Contains("endpoint", StringComparison.OrdinalIgnoreCase)
            || source.Contains("transport", StringComparison.OrdinalIgnoreCase)
            || source.Contains("remot", StringComparison.OrdinalIgnoreCase);
        return level switch
        {
            AkkaLogLevel.ErrorLevel when !link => LogLevel.Warning,
            AkkaLogLevel.ErrorLevel or AkkaLogLevel.WarningLevel => LogLevel.Debug,
            _ => LogLevel.Trace,
        };
    }
}

/// <summary>Takes the place of Akka's console logger, which speaks up while an engine starts and stops, whatever the level.</summary>
#pragma warning disable MA0097 // Akka compares its actor references; nobody compares this one.
internal sealed class EngineSilence : MinimalLogger
#pragma warning restore MA0097
{
    protected override void Log(object message)
    {
        // The console belongs to the user.
    }
}
