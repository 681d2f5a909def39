using System.Diagnostics.Metrics;
using Microsoft.Extensions.Logging;

namespace GlooX.Channels;

/// <summary>
/// Tells of the changes that one slow reader of a channel is not told: counts them in the meter <c>GlooX.Channels</c>, and logs once until
/// the reader has caught up. They are counted under the hub's lock, where nobody else's code may run: listeners and logs run on the thread
/// pool, with all that have come together meanwhile.
/// </summary>
internal sealed class SkippedChanges(string channel, ILogger logger) : IThreadPoolWorkItem
{
    private static readonly Meter s_meter = new("GlooX.Channels", typeof(SkippedChanges).Assembly.GetName().Version?.ToString(3));
    private static readonly Counter<long> s_skipped = s_meter.CreateCounter<long>(
        "gloox.channel.changes.skipped", "{change}", "Changes that a slow reader of a channel was not told, because a later one of the same key had come.");

    private long _count;
    private int _isLogged;

    public void Add()
    {
        if (Interlocked.Increment(ref _count) == 1)
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    /// <summary>Nothing waits for the reader any more.</summary>
    public void CaughtUp() => Volatile.Write(ref _isLogged, 0);

    public void Execute()
    {
        s_skipped.Add(Interlocked.Exchange(ref _count, 0), new KeyValuePair<string, object?>("gloox.channel.name", channel));
        if (Interlocked.Exchange(ref _isLogged, 1) == 0)
        {
            logger.Skipping(channel, ChangeQueue.MostQueued);
        }
    }
}
