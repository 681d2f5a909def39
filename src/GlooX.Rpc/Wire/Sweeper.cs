using System.Collections.Concurrent;

namespace GlooX.Wire;

/// <summary>
/// Makes the connections of this process look at the clock: each second, and sooner when one has a call whose deadline comes sooner. One
/// timer for all, so that a process whose calls are not in a hurry is woken once a second, however many connections it has. Thread-safe.
/// </summary>
internal static class Sweeper
{
    private const long Rest = 1000;

    // Deadlines are kept to within this, in ms: many that differ a little are looked at together.
    private const long Grain = 50;
    private static readonly ConcurrentDictionary<RpcConnection, bool> s_connections = new();
    private static readonly Lock s_gate = new();
    private static readonly Timer s_timer = MakeTimer();
    private static long s_due = long.MaxValue;
    private static int s_sweeping;

    public static void Add(RpcConnection connection)
    {
        s_connections[connection] = true;
        Expect(Environment.TickCount64 + Rest);
    }

    public static void Remove(RpcConnection connection) => s_connections.TryRemove(connection, out _);

    /// <summary>Something is to be looked at then, in <see cref="Environment.TickCount64"/>.</summary>
    public static void Expect(long time)
    {
        if (time >= Volatile.Read(ref s_due))
        {
            return;
        }

        lock (s_gate)
        {
            if (time < s_due)
            {
                Plan(time);
            }
        }
    }

    private static Timer MakeTimer()
    {
        using (ExecutionContext.SuppressFlow())
        {
            return new Timer(static _ => Sweep());
        }
    }

    private static void Plan(long time)
    {
        long now = Environment.TickCount64;
        long due = Math.Max(time, now + Grain);
        Volatile.Write(ref s_due, due);
        s_timer.Change(due - now, Timeout.Infinite);
    }

    private static void Sweep()
    {
        if (Interlocked.Exchange(ref s_sweeping, 1) != 0)
        {
            Expect(Environment.TickCount64 + Grain); // the last one is not over yet
            return;
        }

        // What is expected from here on plans anew; nothing that was expected before is missed, for all are looked at.
        Volatile.Write(ref s_due, long.MaxValue);
        long now = Environment.TickCount64;
        long next = now + Rest;
        bool any = false;
        foreach ((RpcConnection connection, _) in s_connections)
        {
            next = Math.Min(next, connection.Sweep(now));
            any = true;
        }

        Interlocked.Exchange(ref s_sweeping, 0);
        if (any)
        {
            Expect(next);
        }
    }
}
