namespace GlooX.Server;

/// <summary>Calls that wait for a thread of <see cref="HandlerThreads"/>.</summary>
internal interface IHandlerQueue
{
    /// <summary>Takes the next calls and runs them. Queues itself again before each, if more calls wait.</summary>
    void RunNext();

    /// <summary>No thread is free and none becomes free: refuses the calls that can be refused.</summary>
    void Refuse();
}

/// <summary>
/// The threads that run handlers which are not known to be quick: a handler that blocks holds one of them and nothing else. A call that
/// finds no idle thread gets a new one at once, up to a bound. When all are busy, and none becomes free for a while, calls are refused.
/// Threads that have been idle for a while end. Thread-safe.
/// </summary>
/// <param name="most">Most handlers at once; there is one more thread, which starts the next one or refuses.</param>
internal sealed class HandlerThreads(int most)
{
    private static readonly TimeSpan s_idle = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan s_patience = TimeSpan.FromMilliseconds(100);
    private readonly Lock _gate = new();
    private readonly Queue<IHandlerQueue> _queue = new();
    private readonly List<Worker> _idle = []; // the last to come is the first to be woken, so that the others can end
    private int _threads;
    private int _busy;
    private int _waking; // threads that were started or woken and have not looked at the queue yet
    private long _taken;
    private bool _isWatched;

    /// <summary>Most handlers at once.</summary>
    public int Most => most;

    /// <summary>How many threads there are.</summary>
    internal int Count => Volatile.Read(ref _threads);

    /// <summary>Runs calls of <paramref name="calls"/> soon.</summary>
    public void Queue(IHandlerQueue calls)
    {
        Worker? idle = null;
        bool isNew;
        lock (_gate)
        {
            _queue.Enqueue(calls);
            if (_idle.Count > 0 && _queue.Count > _waking)
            {
                idle = _idle[^1];
                _idle.RemoveAt(_idle.Count - 1);
                _waking++;
            }

            isNew = AddThread();
        }

        idle?.Wake();
        if (isNew)
        {
            Start();
        }
    }

    // Under the lock. One thread is always ready for the call that comes next.
    private bool AddThread()
    {
        if (_idle.Count > 0 || _waking > 0 || _isWatched || _threads > most)
        {
            return false;
        }

        _threads++;
        _waking++;
        return true;
    }

    private void Start()
    {
        try
        {
            new Thread(new Worker(this).Run) { IsBackground = true, Name = "GlooX handler" }.UnsafeStart();
        }
        catch (Exception e) when (e is OutOfMemoryException or ThreadStartException)
        {
            // The system gives no more threads: those that there are go on, and the thread pool helps out.
            IHandlerQueue? waiting;
            lock (_gate)
            {
                _waking--;
                _threads--;
                _queue.TryDequeue(out waiting);
            }

            ThreadPool.UnsafeQueueUserWorkItem(static w => w?.RunNext(), waiting, preferLocal: false);
        }
    }

    /// <summary>The next calls; null: there are none, or as many handlers run as may.</summary>
    private IHandlerQueue? Take(Worker worker, bool wasBusy, out bool mustWatch)
    {
        IHandlerQueue? calls = null;
        bool isNew = false;
        mustWatch = false;
        lock (_gate)
        {
            (_busy, _waking) = wasBusy ? (_busy - 1, _waking) : (_busy, _waking - 1);
            if (_queue.Count > 0 && _busy < most)
            {
                calls = _queue.Dequeue();
                _busy++;
                _taken++;
                isNew = AddThread();
            }
            else if (_queue.Count > 0 && !_isWatched)
            {
                _isWatched = mustWatch = true;
            }
            else
            {
                _idle.Add(worker);
            }
        }

        if (isNew)
        {
            Start();
        }

        return calls;
    }

    /// <summary>Refuses calls for as long as no thread becomes free.</summary>
    private void Watch()
    {
        while (true)
        {
            long taken = Volatile.Read(ref _taken);
            Thread.Sleep(s_patience);
            IHandlerQueue[] waiting;
            lock (_gate)
            {
                if (_queue.Count == 0 || _busy < most)
                {
                    _isWatched = false;
                    _waking++;
                    return;
                }

                waiting = taken == _taken ? [.. _queue] : [];
            }

            Array.ForEach(waiting, static w => w.Refuse());
        }
    }

    /// <summary>False: the thread was woken at the last moment.</summary>
    private bool TryEnd(Worker worker)
    {
        lock (_gate)
        {
            bool isIdle = _idle.Remove(worker);
            _threads -= isIdle ? 1 : 0;
            return isIdle;
        }
    }

    private sealed class Worker(HandlerThreads threads)
    {
        private readonly SemaphoreSlim _woken = new(0);

        public void Wake() => _woken.Release();

        public void Run()
        {
            bool wasBusy = false;
            while (true)
            {
                if (threads.Take(this, wasBusy, out bool mustWatch) is { } calls)
                {
                    calls.RunNext();
                    wasBusy = true;
                    continue;
                }

                wasBusy = false;
                if (mustWatch)
                {
                    threads.Watch();
                }
                else if (!_woken.Wait(s_idle))
                {
                    if (threads.TryEnd(this))
                    {
                        return;
                    }

                    _woken.Wait(); // whoever took it from the idle ones is about to wake it
                }
            }
        }
    }
}
