using Microsoft.Extensions.Logging;

namespace GlooX.Lifecycle;

/// <summary>The parts of an agent, in the order in which they start; they stop in the reverse order. Not thread-safe.</summary>
internal sealed partial class PartSequence(ILogger logger)
{
    private readonly List<(string Name, Func<CancellationToken, Task>? Start, Func<ValueTask>? Stop)> _parts = [];

    /// <summary>Adds a part.</summary>
    /// <param name="name">The name of the part in the log.</param>
    /// <param name="start">Starts the part; null: the part needs no start.</param>
    /// <param name="stop">Stops the part, also when it was never started; null: the part needs no stop.</param>
    public void Add(string name, Func<CancellationToken, Task>? start = null, Func<ValueTask>? stop = null) =>
        _parts.Add((name, start, stop));

    /// <inheritdoc cref="Add(string, Func{CancellationToken, Task}, Func{ValueTask})"/>
    public void Add(string name, Action start, Func<ValueTask>? stop = null) => Add(
        name,
        _ =>
        {
            start();
            return Task.CompletedTask;
        },
        stop);

    /// <summary>Adds a part whose stop is its disposal.</summary>
    public void Add(string name, IDisposable part) => Add(name, stop: () =>
    {
        part.Dispose();
        return default;
    });

    /// <summary>Adds a loop.</summary>
    public void Add(BackgroundLoop loop) => Add(loop.Name, () => loop.Start(), loop.DisposeAsync);

    /// <summary>Starts the parts. Stop them also when this throws.</summary>
    public async Task StartAsync(CancellationToken ct)
    {
        foreach ((_, Func<CancellationToken, Task>? start, _) in _parts.Where(static p => p.Start is not null))
        {
            await start!(ct).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Stops the parts. A part that fails is logged and the next one is stopped all the same, so that whatever goes wrong the port is
    /// closed and every process is told.
    /// </summary>
    public async Task StopAsync()
    {
        foreach ((string name, _, Func<ValueTask>? stop) in _parts.Where(static p => p.Stop is not null).Reverse())
        {
            try
            {
                await stop!().ConfigureAwait(false);
            }
#pragma warning disable CA1031 // whatever a part throws, the parts behind it are stopped
            catch (Exception e)
#pragma warning restore CA1031
            {
                LogFailed(logger, e, name);
            }
        }
    }

    [LoggerMessage(3201, LogLevel.Error, "The agent stops, and its part '{Part}' failed to: the other parts are stopped all the same")]
    private static partial void LogFailed(ILogger logger, Exception e, string part);
}
