using Microsoft.Extensions.Logging;
using Queue = System.Threading.Channels.Channel<string>; // a channel of the grid has the same name

namespace GlooX.Processes;

/// <summary>
/// Hands lines that processes write to <see cref="AgentOptions.Output"/>, one at a time, in the background. While the callback is slow or
/// blocks, at most <see cref="MaxQueued"/> characters wait; further lines are dropped, and their number is told before the next line.
/// Thread-safe.
/// </summary>
internal sealed class OutputEcho : IAsyncDisposable
{
    private const int MaxQueued = 1_000_000;
    private static readonly TimeSpan s_flushTimeout = TimeSpan.FromSeconds(1);
    private readonly Queue _lines = System.Threading.Channels.Channel.CreateUnbounded<string>(new() { SingleReader = true });
    private readonly BackgroundLoop _loop;
    private readonly Action<string> _output;
    private int _queued;
    private int _dropped;

    private OutputEcho(Action<string> output, ILogger logger)
    {
        _output = output;
        _loop = new BackgroundLoop("output of processes", WriteAsync, logger).Start();
    }

    /// <summary>Null when there is no callback.</summary>
    public static OutputEcho? Create(Action<string>? output, ILogger logger) => output is null ? null : new OutputEcho(output, logger);

    /// <summary>Queues a line, or drops the line; never blocks.</summary>
    public void Offer(string line)
    {
        if (Volatile.Read(ref _queued) > MaxQueued)
        {
            Interlocked.Increment(ref _dropped);
        }
        else if (_lines.Writer.TryWrite(line))
        {
            Interlocked.Add(ref _queued, line.Length + 1);
        }
    }

    /// <summary>Gives the callback one second for the lines that wait; lines after that are dropped.</summary>
    public async ValueTask DisposeAsync()
    {
        _lines.Writer.TryComplete();
        await _lines.Reader.Completion.WaitAsync(s_flushTimeout).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _loop.StopAsync(s_flushTimeout).ConfigureAwait(false);
    }

    private async Task WriteAsync(CancellationToken ct)
    {
        await foreach (string line in _lines.Reader.ReadAllAsync(ct).ConfigureAwait(false))
        {
            Interlocked.Add(ref _queued, -(line.Length + 1));
            if (Interlocked.Exchange(ref _dropped, 0) is > 0 and int dropped)
            {
                _output($"gloox | {dropped} lines are missing here, because the output was not taken in time");
            }

            _output(line);
            ct.ThrowIfCancellationRequested();
        }

        await Task.Delay(Timeout.Infinite, ct).ConfigureAwait(false); // until the loop is stopped
    }
}
