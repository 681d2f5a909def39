using Microsoft.Extensions.Logging;

namespace GlooX.Lifecycle;

/// <summary>
/// Stops the parts of an agent one after the other. A part that fails is logged and the next one is stopped all the same, so that whatever goes wrong the
/// port is closed and every process is told.
/// </summary>
internal sealed partial class StopSequence(ILogger logger)
{
    /// <summary>Stops a part.</summary>
    /// <param name="part">The name of the part in the log.</param>
    /// <param name="stop">Stops it; null: it was never started.</param>
    public async ValueTask StopAsync(string part, Func<ValueTask>? stop)
    {
        if (stop is null)
        {
            return;
        }

        try
        {
            await stop().ConfigureAwait(false);
        }
#pragma warning disable CA1031 // whatever a part throws, the parts behind it are stopped
        catch (Exception e)
#pragma warning restore CA1031
        {
            LogFailed(logger, e, part);
        }
    }

    /// <inheritdoc cref="StopAsync(string, Func{ValueTask})"/>
    public ValueTask StopAsync(string part, IAsyncDisposable? stop) => StopAsync(part, stop is null ? null : stop.DisposeAsync);

    /// <inheritdoc cref="StopAsync(string, Func{ValueTask})"/>
    public ValueTask StopAsync(string part, Func<Task>? stop) => StopAsync(part, stop is null ? (Func<ValueTask>?)null : () => new ValueTask(stop()));

    [LoggerMessage(3201, LogLevel.Error, "The agent stops, and its part '{Part}' failed to: the other parts are stopped all the same")]
    private static partial void LogFailed(ILogger logger, Exception e, string part);
}
