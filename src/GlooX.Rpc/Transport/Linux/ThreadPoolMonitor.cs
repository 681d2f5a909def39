namespace GlooX.Transport.Linux;

/// <summary>
/// Sees when users' code blocks all threads of .NET's thread pool, and has the pool make more of them at once instead of one or two a second:
/// continuations of everything else in the process run there too. It does so by the pool's least number of threads, the only way there is,
/// and puts that back when the pool has been well for a while. Called by one thread, the monitor of the event loops.
/// </summary>
internal sealed class ThreadPoolMonitor : IThreadPoolWorkItem
{
    private const int MaxThreads = 2048;
    private const int MinStep = 16;

    /// <summary>Between two probes, and the time after which a probe is late; in milliseconds.</summary>
    public const int Pause = 50;

    // After it, in milliseconds, a pool that is well gets back what it had.
    private const long Recovery = 30_000;

    private bool _isOut;
    private long _sent;
    private long _done;
    private long _raised;
    private int _before; // the pool's least number of threads, while it is raised

    /// <summary>The probe has come through.</summary>
    public void Execute() => Volatile.Write(ref _isOut, false);

    /// <summary>Sends a probe through the pool now and then, and looks for the one that is under way.</summary>
    /// <param name="now">In milliseconds.</param>
    /// <param name="isBusy">Whether there was work that may have led to more in the pool.</param>
    /// <returns>Whether to look again soon, though nothing else happens.</returns>
    public bool Look(long now, bool isBusy)
    {
        bool isOut = Volatile.Read(ref _isOut);
        if (isOut && now - _sent >= Pause)
        {
            // A pool that gets on with its work has too few processors, and more threads would not help it.
            long done = ThreadPool.CompletedWorkItemCount;
            if (done - _done < ThreadPool.ThreadCount)
            {
                Raise(now);
            }

            (_sent, _done) = (now, done);
        }
        else if (!isOut && isBusy && now - _sent >= Pause)
        {
            (_sent, _done) = (now, ThreadPool.CompletedWorkItemCount);
            Volatile.Write(ref _isOut, true);
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
            return true;
        }
        else if (!isOut && _before > 0 && now - _raised >= Recovery)
        {
            ThreadPool.GetMinThreads(out _, out int ports);
            ThreadPool.SetMinThreads(_before, ports);
            _before = 0;
        }

        return isOut || _before > 0;
    }

    private void Raise(long now)
    {
        ThreadPool.GetMinThreads(out int least, out int ports);
        int wanted = ThreadPool.ThreadCount + (int)Math.Clamp(ThreadPool.PendingWorkItemCount, MinStep, MaxThreads);
        if (wanted > least && least < MaxThreads && ThreadPool.SetMinThreads(Math.Min(wanted, MaxThreads), ports))
        {
            _before = _before > 0 ? _before : least;
        }

        _raised = now;
    }
}
