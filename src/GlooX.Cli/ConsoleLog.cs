using System.Globalization;
using Microsoft.Extensions.Logging;

namespace GlooX.Cli;

/// <summary>Warnings and worse, one line each; of joining also that it succeeded.</summary>
internal sealed class ConsoleLog(Action<string> write, LogLevel least = LogLevel.Warning) : ILoggerFactory, ILogger
{
    public ILogger CreateLogger(string categoryName) => categoryName == "GlooX.Joining" ? new ConsoleLog(write, LogLevel.Information) : this;

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= least;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
        {
            write(OneLine($"{(logLevel == LogLevel.Information ? "" : $"{logLevel}: ")}{formatter(state, exception)}{(exception is null ? "" : $" ({exception.Message})")}"));
        }
    }

    // What others have chosen, such as a name or the message of an error, can be within it: it forges no line and commands no terminal.
    private static string OneLine(string text) => text.Any(char.IsControl)
        ? string.Concat(text.Select(static c => char.IsControl(c) ? string.Create(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}") : c.ToString()))
        : text;

    public void Dispose()
    {
    }
}
