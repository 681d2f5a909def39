namespace GlooX.Tls;

/// <summary>
/// Limits the handshakes in progress. When all slots are taken, the oldest handshake is cancelled if it had the fair time: callers that never
/// finish delay others a little and block none. Thread-safe.
/// </summary>
/// <param name="count">The number of slots.</param>
/// <param name="fairTime">How long every handshake may take.</param>
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
                // the oldest handshake has had its fair time
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

    /// <summary>A slot, released by disposal.</summary>
    internal sealed class Slot(HandshakeSlots slots, long since) : IDisposable
    {
        private readonly CancellationTokenSource _late = new(); // without a timer it needs no disposal

        public long Since => since;

        /// <summary>Cancelled when another caller takes the slot.</summary>
        public CancellationToken Late => _late.Token;

        public void GiveWay() => _late.Cancel();

        public void Dispose() => slots.Free(this);
    }
}
