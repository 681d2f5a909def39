using System.Collections.Concurrent;
using System.ComponentModel;
using GlooX.Bundles;
using GlooX.Contracts;
using GlooX.Slots;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>
/// Spawns processes on this machine. Each holds its reservation exactly as long as it lives, however it ends, restarts included; one that does not
/// answer in time is killed with all that it started. When the agent stops, all that do not daemonize are killed.
/// </summary>
internal sealed partial class Spawner(ProcessStarter starter, Ledger ledger, IMachine machine, AgentWorkspace workspace, ControlGroups? groups, Func<string, BundleLease?> bundles, ProcessEvents events, Action changed, OutputEcho? echo, ILogger logger) : IAsyncDisposable
{
    private static readonly TimeSpan s_rememberExit = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan s_leaseGrace = TimeSpan.FromMinutes(1);
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<DetachedProcessStore?> _detached = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ConcurrentDictionary<string, Child> _children = new(StringComparer.Ordinal);

    /// <summary>All that run, start or have ended not long ago.</summary>
    public IEnumerable<Child> Children => _children.Values;

    /// <summary>Reserves, starts, and waits until the process answers; nothing is left behind if it does not. An executable is only started.</summary>
    /// <param name="request">What is asked.</param>
    /// <param name="lease">Its bundle, which is given back when the process has ended.</param>
    /// <param name="node">This node.</param>
    /// <param name="ct">Cancels the operation.</param>
    public async Task<SpawnReply> SpawnAsync(SpawnRequest request, BundleLease lease, string node, CancellationToken ct)
    {
        try
        {
            return await StartAsync(request, lease, node, ct).ConfigureAwait(false);
        }
        finally
        {
            if (!lease.IsTaken)
            {
                lease.Dispose(); // it came to no process
            }
        }
    }

    private async Task<SpawnReply> StartAsync(SpawnRequest request, BundleLease lease, string node, CancellationToken ct)
    {
        if (_stop.IsCancellationRequested)
        {
            return SpawnReply.Elsewhere(node, "is draining");
        }

        if (request.Fault() is { } faulty)
        {
            return SpawnReply.Failed(node, faulty);
        }

        if (starter.Fault(request) is { } unable)
        {
            return SpawnReply.Elsewhere(node, unable);
        }

        CancellationToken stopping = _stop.Token;
        DetachedProcessStore? detached = await _detached.Task.WaitAsync(ct).ConfigureAwait(false); // processes that run already are reserved for first
        Dictionary<Reservation, Usage> used = Used();
        DateTimeOffset leaseEnd = Now() + TimeSpan.FromMilliseconds(request.StartTimeoutMilliseconds) + s_leaseGrace;
        if (!ledger.TryReserve(request.Need(), machine.Read(), used, leaseEnd, out Reservation? reservation, out Refusal? refusal))
        {
            return SpawnReply.Elsewhere(node, refusal.Reason);
        }

        string id, log;
        ProcessRun run;
        try
        {
            (id, log, run) = starter.Start(request, lease, node, of => ExitFile(detached, of));
        }
        catch (FileNotFoundException e)
        {
            ledger.Release(reservation);
            return SpawnReply.Elsewhere(node, e.Message); // another node may have the command
        }
        catch (Exception e) when (IsFault(e))
        {
            ledger.Release(reservation);
            return SpawnReply.Elsewhere(node, $"cannot start the process: {e.Message}"); // no such command, no descriptors, a full disk
        }

        request = request with { Options = request.Options with { TmpDir = run.Enforcer.Folder } };
        var child = new Child(id, log, run, reservation, request, lease, new ChildOutput(log));
        try
        {
            child.Record = Record(child);
            Note(detached, child);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            run.Process.KillAll();
            await run.Process.Exited.ConfigureAwait(false);
            await run.CloseAsync().ConfigureAwait(false);
            workspace.Remove(run.Enforcer.Folder);
            workspace.RemoveLog(log);
            ledger.Release(reservation);
            lease.Dispose();
            starter.StartEnded(run);
            return SpawnReply.Elsewhere(node, $"cannot save the record of the process: {e.Message}");
        }

        _children[id] = child;
        changed();
        events.Tell(ProcessEventKind.Started, child);
        child.Tail = child.Output.FollowAsync(child.Name, Until(child, child.Completed), echo, logger);
        child.Released = LiveAsync(child);
        if (stopping.IsCancellationRequested && !request.Options.Daemonize)
        {
            child.End(static p => p.KillAll()); // whoever stops the agent may have looked before it was there
        }

        try
        {
            string? fault;
            if (request.Command.Length > 0)
            {
                ledger.Confirm(reservation);
                fault = await BeginAsync(detached, child, [0, 0], ct).ConfigureAwait(false);
            }
            else
            {
                using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct, stopping);
                fault = await starter.GetReadyAsync(child, request.Options.Url, child.Record is null || detached is null ? "" : ExitFile(detached, id), IsWanted, limit.Token).ConfigureAwait(false);
            }

            if (fault is null)
            {
                events.Tell(ProcessEventKind.Ready, child);
                child.Begin(isReady: true);
                return new SpawnReply(id, run.Process.Pid, node, child.Url, "", SpawnOutcome.Started) { Started = child.Started, TmpDir = request.Options.TmpDir, ProcessName = child.ProcessName };
            }

            return await NotStartedAsync(child, node, $"{child.Name} did not start: {fault}").ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            child.MayStartElsewhere = true;
            return await NotStartedAsync(child, node, Unwritten(child, e)).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            ct.ThrowIfCancellationRequested();
            return stopping.IsCancellationRequested
                ? SpawnReply.Elsewhere(node, "is draining")
                : await NotStartedAsync(child, node, $"{child.Name} was not ready within {request.StartTimeoutMilliseconds} ms").ConfigureAwait(false);
        }
        finally
        {
            child.Begin(child.IsReady);
        }

        string? IsWanted()
        {
            if (!ledger.Confirm(reservation))
            {
                return "it was ready so late that its reservation had ended";
            }

            Ready(detached, child);
            return null;
        }
    }

    public IReadOnlyList<ProcessInfo> List(string node) => [.. _children.Values.Where(static c => !c.Completed.IsCompleted && c.IsReady).Select(c => c.Describe(node))];

    /// <summary>One that runs, or has ended not long ago; null: there is none.</summary>
    public ProcessInfo? Find(string id, string node) => _children.TryGetValue(id, out Child? child) && child.IsReady ? child.Describe(node) : null;

    /// <summary>How it ended for good, as an event; null: it has not, or there is no such process.</summary>
    public ProcessEvent? EndOf(string id) => _children.TryGetValue(id, out Child? child) && child.Completed.IsCompleted ? events.About(ProcessEventKind.Exited, child) : null;

    /// <summary>What it wrote and writes; null: there is no such process.</summary>
    public ChildOutput? OutputOf(string id) => _children.TryGetValue(id, out Child? child) ? child.Output : null;

    /// <summary>Asks a process to end for good, and kills it if it does not; false: there is none.</summary>
    /// <param name="id">Which.</param>
    /// <param name="grace">How long it has; less if the agent stops.</param>
    public bool Stop(string id, TimeSpan grace)
    {
        if (!_children.TryGetValue(id, out Child? child))
        {
            return false;
        }

        End(child, static p => p.TerminateAll());
        child.Killing = Task.WhenAll(child.Killing, EndAfterAsync(child.Process, grace));
        return true;
    }

    /// <summary>Ends a process for good; false: there is none.</summary>
    public bool Kill(string id)
    {
        if (!_children.TryGetValue(id, out Child? child))
        {
            return false;
        }

        End(child, static p => p.KillAll());
        return true;
    }

    /// <summary>How a process ended for good; null: no such process.</summary>
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

    /// <summary>What each reservation uses; reservations of spawns that never came back end first.</summary>
    public Dictionary<Reservation, Usage> Used()
    {
        ledger.Expire(Now());
        return _children.Values.Where(c => !c.Process.Exited.IsCompleted).ToDictionary(c => c.Reservation, c => new Usage(machine.ResidentBytes(c.Process.Pid), c.Enforcer.DiskBytes));
    }

    /// <summary>No more spawns; kills all that do not daemonize, those that are starting too.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        _stopped.TrySetResult();
        _detached.TrySetResult(null); // it never got so far
        if (_adoption is not null)
        {
            await _adoption.DisposeAsync().ConfigureAwait(false);
        }

        Child[] ending = [.. _children.Values.Where(c => !c.Request.Options.Daemonize)];
        Array.ForEach(ending, static c => c.End(static p => p.KillAll()));
        foreach (Child child in ending)
        {
            await child.Completed.ConfigureAwait(false);
            await child.Tail.ConfigureAwait(false);
            await child.Released.ConfigureAwait(false);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        foreach (Child child in _children.Values)
        {
            await child.Released.ConfigureAwait(false); // those that go on are let go
        }

        (await _detached.Task.ConfigureAwait(false))?.Dispose();
        if (echo is not null)
        {
            await echo.DisposeAsync().ConfigureAwait(false);
        }

        _stop.Dispose();
    }

    // For leases and restarts: a clock that nobody sets.
    private static DateTimeOffset Now() => DateTimeOffset.UnixEpoch + Clock();

    private static TimeSpan Clock() => TimeProvider.System.GetElapsedTime(0);

    private static bool IsFault(Exception e) => e is Win32Exception or PlatformNotSupportedException or IOException or UnauthorizedAccessException;

    private static async Task<SpawnReply> NotStartedAsync(Child child, string node, string reason)
    {
        child.Reason = reason;
        child.Begin(isReady: false);
        await child.Completed.ConfigureAwait(false);
        await child.Tail.ConfigureAwait(false);
        string error = $"{reason}{ChildOutput.LastLines(child.Log)}";
        return child.MayStartElsewhere ? SpawnReply.Elsewhere(node, error) : SpawnReply.Failed(node, error);
    }

    // Asked to end, it has that long.
    private async Task EndAfterAsync(ChildProcess process, TimeSpan grace)
    {
        await Task.WhenAny(process.Exited, Task.Delay(grace, _stop.Token)).ConfigureAwait(false);
        process.KillAll();
    }
}
