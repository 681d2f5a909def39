using Microsoft.Extensions.Logging;

namespace GlooX.Protocol;

/// <summary>
/// Lines of a log that strangers cause: in each period a few are written, the others are counted and reported in one line. Thread-safe.
/// </summary>
/// <param name="logger">Where the report goes.</param>
/// <param name="level">The level of the lines.</param>
/// <param name="kind">What the lines are about, in the plural.</param>
/// <param name="time">The clock. Null: the system's.</param>
internal sealed partial class LogThrottle(ILogger logger, LogLevel level, string kind, TimeProvider? time = null)
{
    /// <summary>How many lines are written in each period.</summary>
    public const int Burst = 10;

    /// <summary>The period.</summary>
    public static readonly TimeSpan Period = TimeSpan.FromSeconds(10);
    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly Lock _gate = new();
    private long _began;
    private int _written;
    private int _counted;
    private ITimer? _report;

    /// <summary>Whether to write the line; otherwise it is counted.</summary>
    public bool MayWrite()
    {
        lock (_gate)
        {
            if (_written == 0 || (_report is null && _time.GetElapsedTime(_began) >= Period))
            {
                (_began, _written) = (_time.GetTimestamp(), 0);
            }

            if (_written < Burst)
            {
                _written++;
                return true;
            }

            _counted++;
            _report ??= _time.CreateTimer(static t => ((LogThrottle)t!).Report(), this, Period, Timeout.InfiniteTimeSpan);
            return false;
        }
    }

    private void Report()
    {
        int counted;
        lock (_gate)
        {
            _report?.Dispose();
            (counted, _counted, _written, _report) = (_counted, 0, 0, null);
        }

        LogMore(logger, level, counted, kind, (int)Period.TotalSeconds);
    }

    [LoggerMessage(EventId = 1007, Message = "… and {Count} more {Kind} within {Seconds} s")]
    private static partial void LogMore(ILogger logger, LogLevel level, int count, string kind, int seconds);
}
