using System.Collections.Concurrent;

namespace GlooX.Protocol;

/// <summary>A holder of deadlines.</summary>
internal interface IDeadlineOwner
{
    /// <summary>Acts on deadlines that have passed; called by one thread at a time.</summary>
    /// <returns>When to check again at the latest, in the same unit as <paramref name="now"/>.</returns>
    long CheckDeadlines(long now);
}

/// <summary>
/// One timer for the deadlines of all connections of a process: it fires with each whole second, and sooner when a deadline comes sooner. A
/// process without urgent calls is woken once a second, however many connections it has. Thread-safe.
/// </summary>
/// <param name="time">Creates the timer.</param>
/// <param name="now">The time in ms, as <see cref="Environment.TickCount64"/>.</param>
internal sealed class DeadlineTimer(TimeProvider time, Func<long> now)
{
    private const long WholeSecond = 1000;

    // The precision of deadlines in ms: those that differ by less are checked together.
    private const long Grain = 50;
    private readonly ConcurrentDictionary<IDeadlineOwner, bool> _owners = new();
    private readonly Lock _gate = new();
    private ITimer? _timer;
    private long _due = long.MaxValue;
    private bool _isChecking;

    /// <summary>The timer of the process.</summary>
    public static DeadlineTimer Shared { get; } = new(TimeProvider.System, static () => Environment.TickCount64);

    public void Add(IDeadlineOwner owner)
    {
        _owners[owner] = true;
        Expect(NextWholeSecond(now()));
    }

    public void Remove(IDeadlineOwner owner) => _owners.TryRemove(owner, out _);

    /// <summary>Announces a deadline. Store the deadline first: a check in progress either sees it there, or this announcement.</summary>
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

    // On whole seconds of the machine's clock, like the other timers of an agent, so that all of them share one wake-up.
    private static long NextWholeSecond(long present) => (present / WholeSecond * WholeSecond) + WholeSecond;

    // Under the lock. During a check the deadline is only noted; the timer is set after the check, so that two checks never overlap.
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

    // Without the execution context of the first caller, which would live as long as the process.
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
                return; // it had fired before it was set anew; the check in progress sets it again
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
