using System.Collections.Concurrent;

namespace GlooX.Protocol;

/// <summary>Something that has to look at the clock now and then.</summary>
internal interface IDeadlineOwner
{
    /// <summary>Looks at the clock; called by one thread at a time.</summary>
    /// <returns>When to look again at the latest, as <paramref name="now"/>.</returns>
    long CheckDeadlines(long now);
}

/// <summary>
/// Makes all connections of a process look at the clock: with each whole second, and sooner when one has a call whose deadline comes sooner. One timer
/// for all, so that a process whose calls are not in a hurry is woken once a second, however many connections it has. Thread-safe.
/// </summary>
/// <param name="time">Makes the timer.</param>
/// <param name="now">The time in ms, as <see cref="Environment.TickCount64"/> tells it.</param>
internal sealed class DeadlineTimer(TimeProvider time, Func<long> now)
{
    private const long WholeSecond = 1000;

    // Deadlines are kept to within this, in ms: many that differ a little are looked at together.
    private const long Grain = 50;
    private readonly ConcurrentDictionary<IDeadlineOwner, bool> _owners = new();
    private readonly Lock _gate = new();
    private ITimer? _timer;
    private long _due = long.MaxValue;
    private bool _isChecking;

    /// <summary>The process's.</summary>
    public static DeadlineTimer Shared { get; } = new(TimeProvider.System, static () => Environment.TickCount64);

    public void Add(IDeadlineOwner owner)
    {
        _owners[owner] = true;
        Expect(NextWholeSecond(now()));
    }

    public void Remove(IDeadlineOwner owner) => _owners.TryRemove(owner, out _);

    /// <summary>Something is to be looked at then. It must be in place already: who checks just now either sees it, or what is said here.</summary>
    public void Expect(long at)
    {
        if (at >= Volatile.Read(ref _due))
        {
            return;
        }

        lock (_gate)
        {
            Plan(at);
        }
    }

    // With a whole second of the machine's clock, as the other timers of an agent: one wake for all of them.
    private static long NextWholeSecond(long present) => (present / WholeSecond * WholeSecond) + WholeSecond;

    // Under the lock. While one checks, what is planned is only noted: the timer is set when he is done, so no two ever sweep at once.
    private void Plan(long at)
    {
        if (at >= _due)
        {
            return;
        }

        long present = now();
        Volatile.Write(ref _due, Math.Max(at, present + Grain));
        if (!_isChecking)
        {
            _timer ??= MakeTimer();
            _timer.Change(TimeSpan.FromMilliseconds(_due - present), Timeout.InfiniteTimeSpan);
        }
    }

    // It lives as long as the process, and so would the context of whoever came first.
    private ITimer MakeTimer()
    {
        using AsyncFlowControl? flow = ExecutionContext.IsFlowSuppressed() ? null : ExecutionContext.SuppressFlow();
        return time.CreateTimer(static s => ((DeadlineTimer)s!).Check(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    private void Check()
    {
        lock (_gate)
        {
            if (_isChecking)
            {
                return; // it had fired already when it was set anew; whoever checks sets it again
            }

            _isChecking = true;
            Volatile.Write(ref _due, long.MaxValue);
        }

        long next = long.MaxValue;
        try
        {
            long present = now();
            foreach ((IDeadlineOwner owner, _) in _owners)
            {
                next = Math.Min(Math.Min(next, NextWholeSecond(present)), owner.CheckDeadlines(present));
            }
        }
        finally
        {
            lock (_gate)
            {
                _isChecking = false;
                next = Math.Min(next, _due);
                Volatile.Write(ref _due, long.MaxValue);
                Plan(next);
            }
        }
    }
}
