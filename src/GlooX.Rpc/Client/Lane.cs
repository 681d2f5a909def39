using GlooX.Protocol;

namespace GlooX.Client;

/// <summary>
/// The place of one connection of a client: makes it when it is needed, and anew when it is lost. There is at most one attempt at a time,
/// which all callers share, and a pause before the next one when an attempt has failed or the connection did not last.
/// </summary>
/// <param name="dial">Makes the connection.</param>
/// <param name="maxPause">Longest pause; a connection that lasted longer counts as a success.</param>
/// <param name="time">Tells the time.</param>
/// <param name="stop">Ends an attempt that is under way.</param>
internal sealed class Lane(Func<CancellationToken, Task<ClientConnection>> dial, TimeSpan maxPause, TimeProvider time, CancellationToken stop)
{
    private readonly Lock _gate = new();
    private Task<ClientConnection>? _attempt;
    private ClientConnection? _current;
    private int _failures;
    private long _opened;
    private long _pauseBegan;
    private TimeSpan _pause;

    /// <summary>The connection, if new calls may use it.</summary>
    public ClientConnection? Open => Volatile.Read(ref _current) is { IsUsable: true } connection ? connection : null;

    /// <summary>Whether there ever was a connection.</summary>
    public bool WasOpen => Volatile.Read(ref _current) is not null;

    /// <summary>Why the last attempt failed; null when it did not.</summary>
    public Exception? Failure { get; private set; }

    public bool IsConnecting => Volatile.Read(ref _attempt) is { IsCompleted: false };

    /// <summary>The connection; waits for the attempt that is under way or begins one. To wait no longer is to leave it to others.</summary>
    public Task<ClientConnection> ConnectAsync()
    {
        lock (_gate)
        {
            if (Open is { } open)
            {
                return Task.FromResult(open);
            }

            if (_attempt is not { IsCompleted: false })
            {
                using (ExecutionContext.SuppressFlow())
                {
                    Volatile.Write(ref _attempt, Task.Run(AttemptAsync)); // it serves all callers, so it sees no one's context
                }

                _ = _attempt.ContinueWith(static t => t.Exception, TaskScheduler.Default); // perhaps nobody waits any more
            }

            return _attempt!;
        }
    }

    /// <summary>Completes when no attempt is under way; for after the stop.</summary>
    public async Task SettleAsync()
    {
        Task? attempt;
        lock (_gate)
        {
            attempt = _attempt;
        }

        if (attempt is not null)
        {
            await attempt.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task<ClientConnection> AttemptAsync()
    {
        if (_current is not null && Failure is null)
        {
            _failures = time.GetElapsedTime(_opened) < maxPause ? _failures + 1 : 0;
            PauseFrom(_opened);
        }

        try
        {
            TimeSpan rest = _pause - time.GetElapsedTime(_pauseBegan);
            if (rest > TimeSpan.Zero)
            {
                await Task.Delay(rest, time, stop).ConfigureAwait(false);
            }

            ClientConnection connection = await dial(stop).ConfigureAwait(false);
            _opened = time.GetTimestamp();
            Failure = null;
            Volatile.Write(ref _current, connection);
            return connection;
        }
        catch (Exception e)
        {
            Failure = e;
            _failures++;
            PauseFrom(time.GetTimestamp());
            throw;
        }
    }

    private void PauseFrom(long timestamp)
    {
        _pauseBegan = timestamp;
        _pause = _failures == 0 ? TimeSpan.Zero : Backoff.Pause(_failures, maxPause, Random.Shared.NextDouble());
    }
}
