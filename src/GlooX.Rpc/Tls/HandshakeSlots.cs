namespace GlooX.Tls;

/// <summary>
/// Places for callers who are still at their handshake. When all are taken, whoever has had one for longest gives way, if that was long
/// enough: callers who never finish delay others a little and keep nobody out. Thread-safe.
/// </summary>
/// <param name="count">How many there are.</param>
/// <param name="fairTime">What everybody has.</param>
/// <param name="time">The clock.</param>
internal sealed class HandshakeSlots(int count, TimeSpan fairTime, TimeProvider time)
{
    private readonly Lock _gate = new();
    private readonly LinkedList<Slot> _taken = new();
    private TaskCompletionSource? _freed;

    public async Task<Slot> TakeAsync(CancellationToken ct)
    {
        while (true)
        {
            Slot oldest;
            TimeSpan left;
            Task freed;
            lock (_gate)
            {
                if (_taken.Count < count)
                {
                    var slot = new Slot(this, time.GetTimestamp());
                    _taken.AddLast(slot);
                    return slot;
                }

                oldest = _taken.First!.Value;
                left = fairTime - time.GetElapsedTime(oldest.Since);
                if (left <= TimeSpan.Zero)
                {
                    _taken.RemoveFirst();
                }

                _freed ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                freed = _freed.Task;
            }

            if (left <= TimeSpan.Zero)
            {
                oldest.GiveWay();
                continue;
            }

            try
            {
                await freed.WaitAsync(left, time, ct).ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                // somebody has had the time that is fair
            }
        }
    }

    private void Free(Slot slot)
    {
        lock (_gate)
        {
            _taken.Remove(slot);
            _freed?.TrySetResult();
            _freed = null;
        }
    }

    /// <summary>A place, given back when disposed.</summary>
    internal sealed class Slot(HandshakeSlots slots, long since) : IDisposable
    {
        private readonly CancellationTokenSource _late = new(); // without a timer it holds nothing that would have to be disposed

        public long Since => since;

        /// <summary>Cancelled when another caller is to have the place.</summary>
        public CancellationToken Late => _late.Token;

        public void GiveWay() => _late.Cancel();

        public void Dispose() => slots.Free(this);
    }
}
