using System.Collections.Concurrent;
using GlooX.Slots;

namespace GlooX.Processes;

/// <summary>
/// The processes of this node by id, for callers that ask about them or end them. A process stays in the table for a while after its end,
/// so that callers can ask how it ended. Thread-safe.
/// </summary>
internal sealed class ProcessTable : IDisposable
{
    private readonly Ledger _ledger;
    private readonly IMachine _machine;
    private readonly DetachedProcesses _detached;
    private readonly ProcessEvents _events;
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentDictionary<string, Child> _children = new(StringComparer.Ordinal);

    public ProcessTable(Ledger ledger, IMachine machine, DetachedProcesses detached, ProcessEvents events)
    {
        (_ledger, _machine, _detached, _events) = (ledger, machine, detached, events);
        Stopping = _stop.Token;
    }

    /// <summary>The clock of leases and restarts: it begins with the machine, and is never set.</summary>
    public static TimeSpan Clock => TimeProvider.System.GetElapsedTime(0);

    /// <summary>Cancelled when the agent stops: no process is started from then on.</summary>
    public CancellationToken Stopping { get; }

    public IReadOnlyCollection<Child> All => [.. _children.Values];

    public void Add(Child child) => _children[child.Id] = child;

    public void Remove(Child child) => _children.TryRemove(child.Id, out _);

    public bool Contains(Child child) => _children.ContainsKey(child.Id);

    public bool Contains(string id) => _children.ContainsKey(id);

    public IReadOnlyList<ProcessInfo> List() =>
        [.. _children.Values.Where(static c => !c.Completed.IsCompleted && c.IsReady).Select(c => c.Describe(_events.Node))];

    /// <summary>A process that runs or has ended not long ago; null: there is none.</summary>
    public ProcessInfo? Find(string id) =>
        _children.TryGetValue(id, out Child? child) && child.IsReady ? child.Describe(_events.Node) : null;

    /// <summary>How a process ended for good, as an event; null: it has not, or there is no such process.</summary>
    public ProcessEvent? EndOf(string id) =>
        _children.TryGetValue(id, out Child? child) && child.Completed.IsCompleted ? _events.About(ProcessEventKind.Exited, child) : null;

    /// <summary>The output of a process; null: there is no such process.</summary>
    public ChildOutput? OutputOf(string id) => _children.TryGetValue(id, out Child? child) ? child.Output : null;

    /// <summary>How a process ended for good, once it has and its output is read; null: there is no such process.</summary>
    public async Task<ExitStatus?> WaitAsync(string id, CancellationToken ct)
    {
        if (!_children.TryGetValue(id, out Child? child))
        {
            return null;
        }

        ExitStatus exit = await child.Completed.WaitAsync(ct).ConfigureAwait(false);
        await child.Tail.WaitAsync(ct).ConfigureAwait(false);
        return exit;
    }

    /// <summary>Asks a process to end for good, and kills it after <paramref name="grace"/>, or as soon as the agent stops.</summary>
    /// <returns>False: there is no such process.</returns>
    public bool Stop(string id, TimeSpan grace)
    {
        if (!_children.TryGetValue(id, out Child? child))
        {
            return false;
        }

        End(child, static p => p.TerminateAll());
        child.Killing = Task.WhenAll(child.Killing, KillAfterAsync(child.Process, grace));
        return true;
    }

    /// <summary>Ends a process for good.</summary>
    /// <returns>False: there is no such process.</returns>
    public bool Kill(string id)
    {
        if (!_children.TryGetValue(id, out Child? child))
        {
            return false;
        }

        End(child, static p => p.KillAll());
        return true;
    }

    /// <summary>Ends for good what was spawned under a ticket.</summary>
    public void Abandon(string ticket)
    {
        foreach (Child child in _children.Values.Where(c => ticket.Length > 0 && c.Request.Ticket == ticket))
        {
            End(child, static p => p.KillAll());
        }
    }

    /// <summary>What each reservation uses. Reservations whose lease is over end first.</summary>
    public Dictionary<Reservation, Usage> Used()
    {
        _ledger.Expire(DateTimeOffset.UnixEpoch + Clock);
        return _children.Values.Where(static c => !c.Process.Exited.IsCompleted)
            .ToDictionary(static c => c.Reservation, c => new Usage(_machine.ResidentBytes(c.Process.Pid), c.Enforcer.DiskBytes));
    }

    /// <summary>No process is started any more.</summary>
    public Task StopAsync() => _stop.CancelAsync();

    public void Dispose() => _stop.Dispose();

    // Also the next agent does not start the process again.
    private void End(Child child, Action<ChildProcess> how) => child.End(process =>
    {
        _detached.ForgetRestart(child);
        how(process);
    });

    private async Task KillAfterAsync(ChildProcess process, TimeSpan grace)
    {
        await Task.WhenAny(process.Exited, Task.Delay(grace, Stopping)).ConfigureAwait(false);
        process.KillAll();
    }
}
