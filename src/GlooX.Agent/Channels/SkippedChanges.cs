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
    private bool _isBehind;
    private int _isToBeLogged;

    /// <summary>A change is not told. Never two calls at once, of this and <see cref="CaughtUp"/>.</summary>
    public void Add()
    {
        if (!_isBehind)
        {
            _isBehind = true;
            Volatile.Write(ref _isToBeLogged, 1);
        }

        if (Interlocked.Increment(ref _count) == 1)
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    /// <summary>Nothing waits for the reader any more.</summary>
    public void CaughtUp() => _isBehind = false;

    public void Execute()
    {
        s_skipped.Add(Interlocked.Exchange(ref _count, 0), new KeyValuePair<string, object?>("gloox.channel.name", channel));
        if (Interlocked.Exchange(ref _isToBeLogged, 0) == 1)
        {
            logger.Skipping(channel, ChangeQueue.MostQueued);
        }
    }
}
