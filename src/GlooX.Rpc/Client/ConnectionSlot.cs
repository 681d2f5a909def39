using GlooX.Protocol;

namespace GlooX.Client;

/// <summary>
/// The slot of one connection of a client: opens the connection when it is needed, and again when it is lost. At most one attempt is in progress,
/// shared by all callers, and a pause precedes an attempt after a failure or after a connection that did not last.
/// </summary>
/// <param name="dial">Opens the connection.</param>
/// <param name="maxPause">The longest pause; a connection that lasted longer counts as a success.</param>
/// <param name="time">The clock.</param>
/// <param name="stop">Cancels an attempt in progress.</param>
internal sealed class ConnectionSlot(Func<CancellationToken, Task<ClientConnection>> dial, TimeSpan maxPause, TimeProvider time, CancellationToken stop)
{
    private readonly Lock _gate = new();
    private Task<ClientConnection>? _attempt;
    private ClientConnection? _current;
    private int _failures;
    private long _opened;
    private long _pauseBegan;
    private TimeSpan _pause;

    /// <summary>The connection, if new calls may use it; otherwise null.</summary>
    public ClientConnection? Open => Volatile.Read(ref _current) is { IsUsable: true } connection ? connection : null;

    /// <summary>Whether a connection was ever open.</summary>
    public bool WasOpen => Volatile.Read(ref _current) is not null;

    /// <summary>Why the last attempt failed; null: it succeeded.</summary>
    public Exception? Failure { get; private set; }

    public bool IsConnecting => Volatile.Read(ref _attempt) is { IsCompleted: false };

    /// <summary>Returns the connection; joins the attempt in progress, or starts one. The attempt continues when a caller stops waiting.</summary>
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
                    Volatile.Write(ref _attempt, Task.Run(AttemptAsync)); // serves all callers, so it has no caller's context
                }

                _ = _attempt.ContinueWith(static t => t.Exception, TaskScheduler.Default); // observed: no caller may be waiting
            }

            return _attempt!;
        }
    }

    /// <summary>Completes when no attempt is in progress; to be called after the stop.</summary>
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
