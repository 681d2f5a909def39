using System.Collections.Concurrent;

namespace GlooX.Protocol;

/// <summary>Something that has to look at the clock now and then.</summary>
internal interface ISwept
{
    /// <summary>Looks at the clock; called by one thread at a time.</summary>
    /// <returns>When to look again at the latest, as <paramref name="now"/>.</returns>
    long Sweep(long now);
}

/// <summary>
/// Makes all connections of a process look at the clock: with each whole second, and sooner when one has a call whose deadline comes sooner. One timer
/// for all, so that a process whose calls are not in a hurry is woken once a second, however many connections it has. Thread-safe.
/// </summary>
/// <param name="time">Makes the timer.</param>
/// <param name="now">The time in ms, as <see cref="Environment.TickCount64"/> tells it.</param>
internal sealed class Sweeper(TimeProvider time, Func<long> now)
{
    private const long Rest = 1000;

    // Deadlines are kept to within this, in ms: many that differ a little are looked at together.
    private const long Grain = 50;
    private readonly ConcurrentDictionary<ISwept, bool> _swept = new();
    private readonly Lock _gate = new();
    private ITimer? _timer;
    private long _due = long.MaxValue;
    private bool _isSweeping;

    /// <summary>The process's.</summary>
    public static Sweeper Shared { get; } = new(TimeProvider.System, static () => Environment.TickCount64);

    public void Add(ISwept swept)
    {
        _swept[swept] = true;
        Expect(AtRest(now()));
    }

    public void Remove(ISwept swept) => _swept.TryRemove(swept, out _);

    /// <summary>Something is to be looked at then. It must be in place already: who sweeps just now either sees it, or what is said here.</summary>
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
    private static long AtRest(long present) => (present / Rest * Rest) + Rest;

    // Under the lock. While one sweeps, what is planned is only noted: the timer is set when he is done, so no two ever sweep at once.
    private void Plan(long at)
    {
        if (at >= _due)
        {
            return;
        }

        long present = now();
        Volatile.Write(ref _due, Math.Max(at, present + Grain));
        if (!_isSweeping)
        {
            _timer ??= MakeTimer();
            _timer.Change(TimeSpan.FromMilliseconds(_due - present), Timeout.InfiniteTimeSpan);
        }
    }

    // It lives as long as the process, and so would the context of whoever came first.
    private ITimer MakeTimer()
    {
        using AsyncFlowControl? flow = ExecutionContext.IsFlowSuppressed() ? null : ExecutionContext.SuppressFlow();
        return time.CreateTimer(static s => ((Sweeper)s!).Sweep(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    private void Sweep()
    {
        lock (_gate)
        {
            if (_isSweeping)
            {
                return; // it had fired already when it was set anew; whoever sweeps sets it again
            }

            _isSweeping = true;
            Volatile.Write(ref _due, long.MaxValue);
        }

        long next = long.MaxValue;
        try
        {
            long present = now();
            foreach ((ISwept swept, _) in _swept)
            {
                next = Math.Min(Math.Min(next, AtRest(present)), swept.Sweep(present));
            }
        }
        finally
        {
            lock (_gate)
            {
                _isSweeping = false;
                next = Math.Min(next, _due);
                Volatile.Write(ref _due, long.MaxValue);
                Plan(next);
            }
        }
    }
}
