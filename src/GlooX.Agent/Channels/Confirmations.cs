using GlooX.Channels.Replication;

namespace GlooX.Channels;

/// <summary>Those who wait until other nodes have confirmed a write. <paramref name="gate"/> guards the core and the list.</summary>
internal sealed class Confirmations(Lock gate, Replicator core, PeerLinks links, TimeProvider time)
{
    private readonly List<Waiter> _waiters = [];

    private sealed record Waiter(Replica Replica, ulong Sequence, AckLevel Level, TaskCompletionSource Done);

    /// <summary>Until as many have confirmed. Not under the lock.</summary>
    /// <exception cref="ChannelException">They have not within the time, or the channel was removed.</exception>
    public async Task WaitAsync(Replica replica, ulong sequence, AckLevel level, TimeSpan timeout, CancellationToken ct)
    {
        Waiter waiter = new(replica, sequence, level, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        lock (gate)
        {
            if (core.IsAcknowledged(replica, sequence, level))
            {
                return;
            }

            _waiters.Add(waiter);
        }

        try
        {
            await waiter.Done.Task.WaitAsync(timeout, time, ct).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            throw new ChannelException(
                ChannelError.NotAcknowledged, replica.Name, $"the write was not confirmed by {level.ToString().ToLowerInvariant()} of {links.Count} other members within {timeout.TotalSeconds:0.#} s; it was made here and may reach them yet");
        }
        finally
        {
            lock (gate)
            {
                _waiters.Remove(waiter);
            }
        }
    }

    /// <summary>More is confirmed. Under the lock.</summary>
    public void Changed() => _waiters.RemoveAll(w => core.IsAcknowledged(w.Replica, w.Sequence, w.Level) && w.Done.TrySetResult());

    /// <summary>A channel is gone. Under the lock.</summary>
    public void Removed(Replica replica)
    {
        foreach (Waiter waiter in _waiters.Where(w => ReferenceEquals(w.Replica, replica)))
        {
            waiter.Done.TrySetException(new ChannelException(ChannelError.NotFound, replica.Name, "it was removed meanwhile"));
        }

        _waiters.RemoveAll(w => ReferenceEquals(w.Replica, replica));
    }
}
