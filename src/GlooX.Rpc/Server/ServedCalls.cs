using GlooX.RpcRuntime;

namespace GlooX.Server;

/// <summary>
/// The calls that one connection serves, within their limits. One-way calls beyond them are not refused, since nobody would hear of it: they
/// wait in line, and what they take up is counted; behind them wait other calls too, for these did not fill the room. Thread-safe, but calls
/// are let in by one thread, the reader's.
/// </summary>
/// <param name="most">Most calls at once.</param>
/// <param name="mostBytes">Most bytes of large calls at once; one is always let in.</param>
/// <param name="mostWaiting">Bytes in line beyond which nothing more should be read.</param>
internal sealed class ServedCalls(int most, long mostBytes, long mostWaiting)
{
    // An object and what belongs to it, however small its frame was.
    private const int RequestCost = 256;

    private readonly Lock _gate = new();
    private readonly Queue<Waiting> _line = new();
    private int _count;
    private int _oneWay; // of these
    private int _answered; // in line, and not one-way
    private long _bytes;
    private int _waiting;
    private long _waitingBytes;

    /// <summary>How many are served.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>None is served and none waits.</summary>
    public bool IsIdle
    {
        get
        {
            lock (_gate)
            {
                return Count == 0 && _line.Count == 0;
            }
        }
    }

    /// <summary>Too much waits in line for more to be read.</summary>
    public bool IsFull => Volatile.Read(ref _waitingBytes) > mostWaiting;

    /// <summary>A call has come; it must <see cref="End"/> or <see cref="TryWait"/>.</summary>
    /// <param name="isOneWay">Whether nobody would hear of a refusal.</param>
    /// <param name="large">Its bytes if it is large, else 0.</param>
    public void Begin(bool isOneWay, int large)
    {
        Interlocked.Increment(ref _count);
        if (isOneWay)
        {
            Interlocked.Increment(ref _oneWay);
        }

        if (large > 0)
        {
            Interlocked.Add(ref _bytes, large);
        }
    }

    /// <summary>Why the call that has begun last is not served; null: it is, now or later.</summary>
    public string? Refusal(bool isOneWay, int large)
    {
        if (isOneWay)
        {
            return null;
        }

        if (Count > most)
        {
            lock (_gate)
            {
                if (Count - Volatile.Read(ref _oneWay) + _answered > most)
                {
                    return $"more than {most} calls in flight on one connection";
                }
            }
        }

        return IsTooLarge(large) ? $"calls of more than {mostBytes} bytes in flight on one connection" : null;
    }

    public void End(bool isOneWay, int large)
    {
        if (isOneWay)
        {
            Interlocked.Decrement(ref _oneWay);
        }

        if (large > 0)
        {
            Interlocked.Add(ref _bytes, -large);
        }

        Interlocked.Decrement(ref _count);
    }

    /// <summary>Puts the call that has begun last in line, if there is one or it cannot be served now; then it has not begun.</summary>
    public bool TryWait(RpcRequest request, bool isOneWay, int large, int size)
    {
        if (Volatile.Read(ref _waiting) == 0 && Count <= most && !IsTooLarge(large))
        {
            return false;
        }

        lock (_gate)
        {
            int cost = size + RequestCost;
            _line.Enqueue(new Waiting(request, isOneWay, large, cost));
            _answered += isOneWay ? 0 : 1;
            Volatile.Write(ref _waitingBytes, _waitingBytes + cost);
            Volatile.Write(ref _waiting, _line.Count);
            End(isOneWay, large);
        }

        return true;
    }

    /// <summary>The next in line, which has begun; null: there is none, or no room. To be asked after each end, and after each that has to wait.</summary>
    public RpcRequest? Next()
    {
        if (Volatile.Read(ref _waiting) == 0)
        {
            return null;
        }

        lock (_gate)
        {
            if (!_line.TryPeek(out Waiting next) || Count >= most)
            {
                return null;
            }

            long bytes = Volatile.Read(ref _bytes);
            if (next.Large > 0 && bytes > 0 && bytes + next.Large > mostBytes)
            {
                return null;
            }

            Begin(next.IsOneWay, next.Large);
            _line.Dequeue();
            _answered -= next.IsOneWay ? 0 : 1;
            Volatile.Write(ref _waitingBytes, _waitingBytes - next.Cost);
            Volatile.Write(ref _waiting, _line.Count);
            return next.Request;
        }
    }

    private bool IsTooLarge(int large) => large > 0 && Volatile.Read(ref _bytes) is var bytes && bytes > mostBytes && bytes > large;

    private readonly record struct Waiting(RpcRequest Request, bool IsOneWay, int Large, int Cost);
}
