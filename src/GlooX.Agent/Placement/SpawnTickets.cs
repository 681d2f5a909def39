using GlooX.Contracts;
using Microsoft.Extensions.Logging;

namespace GlooX.Placement;

/// <summary>
/// Makes spawns idempotent. A caller that asks twice under one ticket gets the same process, so a caller whose connection broke asks again.
/// The spawn goes on while its caller is away; a process that is not claimed within <see cref="ClaimTimeout"/> of its start is ended.
/// Thread-safe.
/// </summary>
/// <param name="end">Ends the process of an answer whose caller never claimed it, or gave it up.</param>
/// <param name="logger">Receives what was ended unclaimed.</param>
internal sealed partial class SpawnTickets(Func<string, SpawnReply?, Task> end, ILogger logger) : IAsyncDisposable
{
    /// <summary>How long the caller of a spawn may be away after the process has started. Default 30 s.</summary>
    internal static TimeSpan ClaimTimeout { get; set; } = TimeSpan.FromSeconds(30);

    private static readonly TimeSpan s_remember = TimeSpan.FromMinutes(1);
    private readonly Dictionary<string, Ticket> _tickets = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _stop = new();

    /// <summary>Runs a spawn, or joins the one that runs or has run under the same ticket.</summary>
    /// <param name="ticket">Chosen by the caller; empty: the spawn ends with its call.</param>
    /// <param name="spawn">The spawn; its token is cancelled when the ticket is given up or the agent stops.</param>
    /// <param name="ct">Ends the wait for the answer, not the spawn.</param>
    public async Task<SpawnReply> RunAsync(string ticket, Func<CancellationToken, Task<SpawnReply>> spawn, CancellationToken ct)
    {
        if (ticket.Length == 0)
        {
            return await spawn(ct).ConfigureAwait(false);
        }

        Ticket entry;
        lock (_gate)
        {
            if (!_tickets.TryGetValue(ticket, out entry!))
            {
                _tickets[ticket] = entry = new Ticket(CancellationTokenSource.CreateLinkedTokenSource(_stop.Token));
                entry.Reply = Task.Run(() => spawn(entry.GivenUp.Token), CancellationToken.None);
                entry.Ended = FollowAsync(ticket, entry);
            }
        }

        return await entry.Reply.WaitAsync(ct).ConfigureAwait(false);
    }

    /// <summary>The caller has the answer: the process is kept.</summary>
    /// <returns>False: there is no such ticket, or the process was ended already.</returns>
    public bool Claim(string ticket)
    {
        lock (_gate)
        {
            return _tickets.TryGetValue(ticket, out Ticket? entry)
                && entry.Claimed.TrySetResult(true) | (entry.Claimed.Task.IsCompletedSuccessfully && entry.Claimed.Task.Result);
        }
    }

    /// <summary>The caller has given the spawn up: it is cancelled, and a process that it has led to is ended.</summary>
    public async Task AbandonAsync(string ticket)
    {
        Ticket? entry;
        lock (_gate)
        {
            _tickets.TryGetValue(ticket, out entry);
        }

        if (entry is null)
        {
            return;
        }

        if (!entry.Claimed.TrySetResult(false))
        {
            // Claimed before
            await end(ticket, entry.Reply.IsCompletedSuccessfully ? await entry.Reply.ConfigureAwait(false) : null).ConfigureAwait(false);
            return;
        }

        try
        {
            await entry.GivenUp.CancelAsync().ConfigureAwait(false);
        }
        catch (ObjectDisposedException)
        {
            // the ticket was just forgotten: its process was ended, or there is none
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        Task[] all;
        lock (_gate)
        {
            all = [.. _tickets.Values.Select(static t => t.Ended)];
        }

        await Task.WhenAll(all).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _stop.Dispose();
    }

    // From the spawn to the moment at which the ticket is forgotten.
    private async Task FollowAsync(string ticket, Ticket entry)
    {
        await ((Task)entry.Reply).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); // the callers that wait are told
        SpawnReply? reply = entry.Reply.IsCompletedSuccessfully ? await entry.Reply.ConfigureAwait(false) : null;
        bool started = reply is { Outcome: SpawnOutcome.Started };
        if (started || entry.GivenUp.IsCancellationRequested)
        {
            await ((Task)entry.Claimed.Task).WaitAsync(ClaimTimeout, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            bool claimed = !entry.Claimed.TrySetResult(false) && await entry.Claimed.Task.ConfigureAwait(false);
            if (!claimed && !_stop.IsCancellationRequested)
            {
                LogUnclaimed(logger, reply?.Id ?? "", ticket);
                await end(ticket, reply).ConfigureAwait(false);
            }
        }

        if (reply is { NeedsBundle: false } && !_stop.IsCancellationRequested)
        {
            // An answer that was lost is asked for again
            await Task.Delay(s_remember, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        lock (_gate)
        {
            _tickets.Remove(ticket);
        }

        entry.GivenUp.Dispose();
    }

    [LoggerMessage(3101, LogLevel.Warning, "The process {Id} is ended: the caller of its spawn gave up or never came back (ticket {Ticket})")]
    private static partial void LogUnclaimed(ILogger logger, string id, string ticket);

    private sealed class Ticket(CancellationTokenSource givenUp)
    {
        public CancellationTokenSource GivenUp { get; } = givenUp;

        public TaskCompletionSource<bool> Claimed { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public Task<SpawnReply> Reply { get; set; } = null!;

        public Task Ended { get; set; } = Task.CompletedTask;
    }
}
