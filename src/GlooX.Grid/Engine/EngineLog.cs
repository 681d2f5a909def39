using Akka.Actor;
using Akka.Dispatch;
using Akka.Event;
using Microsoft.Extensions.Logging;
using AkkaLogLevel = Akka.Event.LogLevel;
using LogLevel = Microsoft.Extensions.Logging.LogLevel;

namespace GlooX.Grid;

/// <summary>
/// Akka's log at lower levels: Akka logs each broken link as an error with a stack trace, and links break whenever an agent stops.
/// The membership itself logs what matters to users.
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

    /// <summary>Errors of links are logged at Debug, other errors as warnings, since the engine restarts when it must.</summary>
    public static LogLevel LevelFor(AkkaLogLevel level, string source)
    {
        bool link = source.StartsWith(EngineConfig.Protocol, StringComparison.Ordinal) // a reference to a remote actor
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

/// <summary>Replaces Akka's console logger, which writes while an engine starts and stops at any level.</summary>
#pragma warning disable MA0097 // Actor references are comparable to Akka; this one is never compared.
internal sealed class NullConsoleLogger : MinimalLogger
#pragma warning restore MA0097
{
    protected override void Log(object message)
    {
        // The console belongs to the user.
    }
}
