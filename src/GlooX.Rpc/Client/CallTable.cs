namespace GlooX.Client;

/// <summary>
/// The calls in flight on one connection; an id is a slot. An abandoned call's slot stays taken until its answer comes, so that a late
/// answer can never reach another call. Thread-safe.
/// </summary>
internal sealed class CallTable
{
    private static readonly object s_abandoned = new();
    private readonly Lock _gate = new();
    private object?[] _slots = new object?[16];
    private uint[] _free = new uint[16];
    private int _freeCount;
    private int _top;
    private bool _closed;

    /// <summary>Whether it takes no more calls; for good.</summary>
    public bool IsClosed => Volatile.Read(ref _closed);

    /// <summary>Gives the call an id. False: it is closed, or <paramref name="limit"/> calls are in flight.</summary>
    public bool Add(PendingCall call, int limit)
    {
        lock (_gate)
        {
            if (_closed)
            {
                return false;
            }

            if (_freeCount > 0)
            {
                call.Id = _free[--_freeCount];
            }
            else
            {
                if (_top >= limit)
                {
                    return false;
                }

                if (_top == _slots.Length)
                {
                    Array.Resize(ref _slots, _slots.Length * 2);
                    Array.Resize(ref _free, _slots.Length);
                }

                call.Id = (uint)_top++;
            }

            _slots[call.Id] = call;
            return true;
        }
    }

    /// <summary>An answer has come. Null: for a call that was abandoned. False: for no call at all.</summary>
    public bool Take(uint id, out PendingCall? call)
    {
        lock (_gate)
        {
            call = null;
            if (id >= _top || _slots[id] is not { } there)
            {
                return false;
            }

            call = there as PendingCall;
            call?.Ending();
            _slots[id] = null;
            _free[_freeCount++] = id;
            return true;
        }
    }

    /// <summary>A call that waits; null if there is none.</summary>
    public PendingCall? Find(uint id)
    {
        object?[] slots = Volatile.Read(ref _slots); // without the lock, as it is asked for each item of a stream
        return id < (uint)slots.Length ? slots[id] as PendingCall : null;
    }

    /// <summary>Gives up a call that was sent. True: it was still waiting, and is the caller's to complete.</summary>
    public bool Abandon(PendingCall call)
    {
        lock (_gate)
        {
            if (call.Id >= _top || !ReferenceEquals(_slots[call.Id], call))
            {
                return false;
            }

            call.Ending();
            _slots[call.Id] = s_abandoned;
            return true;
        }
    }

    /// <summary>The calls whose deadline has passed; they are abandoned. And when the next one will.</summary>
    public List<PendingCall>? TakeExpired(long now, out long next)
    {
        next = long.MaxValue;
        List<PendingCall>? expired = null;
        lock (_gate)
        {
            for (int i = 0; i < _top; i++)
            {
                if (_slots[i] is not PendingCall call)
                {
                    continue;
                }

                if (call.Deadline <= now)
                {
                    (expired ??= []).Add(call);
                    call.Ending();
                    _slots[i] = s_abandoned;
                }
                else
                {
                    next = Math.Min(next, call.Deadline);
                }
            }
        }

        return expired;
    }

    /// <summary>No more calls; those in flight go on. True: there are none, nor abandoned ones.</summary>
    public bool Drain()
    {
        lock (_gate)
        {
            Volatile.Write(ref _closed, true);
            return _top == _freeCount;
        }
    }

    /// <summary>No more calls; those that wait are the caller's to complete.</summary>
    public List<PendingCall> Close()
    {
        lock (_gate)
        {
            Volatile.Write(ref _closed, true);
            List<PendingCall> waiting = [.. _slots.OfType<PendingCall>()];
            waiting.ForEach(static c => c.Ending());
            Array.Clear(_slots);
            _top = 0;
            _freeCount = 0;
            return waiting;
        }
    }
}
