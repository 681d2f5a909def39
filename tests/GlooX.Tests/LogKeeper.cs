using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace GlooX.Tests;

/// <summary>Keeps what is logged, from information on.</summary>
internal sealed class LogKeeper : ILoggerFactory, ILogger
{
    public ConcurrentQueue<string> Information { get; } = new();

    public ConcurrentQueue<string> Warnings { get; } = new();

    public ConcurrentQueue<string> Errors { get; } = new();

    public void AddProvider(ILoggerProvider provider)
    {
    }

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Information;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
    {
        if (IsEnabled(logLevel))
        {
            (logLevel == LogLevel.Information ? Information : logLevel == LogLevel.Warning ? Warnings : Errors).Enqueue(formatter(state, exception));
        }
    }

    public void Dispose()
    {
    }
}
