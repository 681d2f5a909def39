using System.ComponentModel;
using GlooX.Bundles;
using GlooX.Contracts;
using GlooX.Payloads;
using GlooX.Placement;
using GlooX.Slots;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>
/// The spawn pipeline of one node: admit, reserve, obtain files, start, record, assign, confirm. Each step has its undo: a spawn that does
/// not get to the end leaves no process, no file and no reservation behind. A cause that another node may not have leads to
/// <see cref="SpawnOutcome.TryElsewhere"/>. Thread-safe.
/// </summary>
internal sealed class Spawner(
    ProcessStarter starter,
    ProcessAssigner assigner,
    ProcessSupervisor supervisor,
    ProcessTable processes,
    DetachedProcesses detached,
    ProcessAdoption adoption,
    BundleProvider bundles,
    Ledger ledger,
    IMachine machine,
    ProcessEvents events,
    AgentAddress address,
    ILogger logger)
{
    private static readonly TimeSpan s_obtainLimit = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan s_leaseGrace = TimeSpan.FromMinutes(1);

    /// <summary>Spawns a process on this node.</summary>
    /// <param name="request">What is asked.</param>
    /// <param name="ct">Cancels the operation; nothing is left behind.</param>
    public async Task<SpawnReply> SpawnAsync(SpawnRequest request, CancellationToken ct)
    {
        string node = events.Node;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct, processes.Stopping);
        var undo = new UndoStack("spawn", logger);
        Child? child = null;
        try
        {
            // Admit. Processes that the agent before this one has left get their reservations first.
            if (request.Fault() is { } invalid)
            {
                return SpawnReply.Failed(node, invalid);
            }

            request = starter.WithUser(request);
            if ((assigner.Fault(request) ?? starter.Fault(request)) is { } unable)
            {
                return SpawnReply.Elsewhere(node, unable);
            }

            request = request with { Options = request.Options with { Url = address.ForProcess(request) } };
            await adoption.Completed.WaitAsync(limit.Token).ConfigureAwait(false);

            // Reserve. The lease ends by itself should this spawn never come back.
            TimeSpan lease = s_obtainLimit + TimeSpan.FromMilliseconds(request.StartTimeoutMilliseconds) + s_leaseGrace;
            Dictionary<Reservation, Usage> used = processes.Used();
            if (!ledger.TryReserve(
                request.Need(), machine.Read(), used, DateTimeOffset.UnixEpoch + ProcessTable.Clock + lease, out Reservation? reservation,
                out Refusal? refusal))
            {
                return SpawnReply.Elsewhere(node, refusal.Reason);
            }

            undo.Push(() => ledger.Release(reservation));

            // Obtain the files.
            BundleLease files = await ObtainAsync(request, limit.Token).ConfigureAwait(false);
            undo.Push(files.Dispose);

            // Start. The process has nothing to do yet.
            child = starter.Start(request, files, reservation, node);
            undo.Push(() => starter.DiscardAsync(child));

            // Record, so that the next agent finds a detached process. From here on the supervisor ends what does not become ready.
            detached.Record(child);
            undo.Clear();
            supervisor.Follow(child);

            // Assign, and wait until the process is ready.
            if (await assigner.AssignAsync(child, request.Options.Url, [0, 0], limit.Token).ConfigureAwait(false) is { } fault)
            {
                return await NotStartedAsync(child, fault, limit.Token).ConfigureAwait(false);
            }

            // Confirm. The reservation lasts as long as the process, and the next agent adopts the process instead of ending it.
            if (!ledger.Confirm(reservation))
            {
                return await NotStartedAsync(child, "it was ready so late that its reservation had ended", limit.Token)
                    .ConfigureAwait(false);
            }

            detached.Confirm(child);
            events.Tell(ProcessEventKind.Ready, child);
            child.Begin(isReady: true);
            return new SpawnReply(child.Id, child.Process.Pid, node, child.Url, "", SpawnOutcome.Started)
            {
                Started = child.Started,
                TmpDir = child.Request.Options.TmpDir,
                ProcessName = child.ProcessName,
            };
        }
        catch (BundleException e)
        {
            return SpawnReply.Elsewhere(node, $"cannot have the payload: {e.Message}");
        }
        catch (FileNotFoundException e) when (child is null)
        {
            return SpawnReply.Elsewhere(node, e.Message); // no such command here
        }
        catch (Exception e) when (IsOfNode(e) && (child is null || !processes.Contains(child)))
        {
            return SpawnReply.Elsewhere(
                node, child is null ? $"cannot start the process: {e.Message}" : $"cannot save the record of the process: {e.Message}");
        }
        catch (Exception e) when (IsOfNode(e))
        {
            child!.MayStartElsewhere = true;
            return await NotStartedAsync(child, $"its record could not be saved: {e.Message}", limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            return SpawnReply.Elsewhere(node, "is draining");
        }
        finally
        {
            child?.Begin(child.IsReady);
            await undo.UndoAsync().ConfigureAwait(false);
            starter.StartEnded(child?.Run);
        }
    }

    /// <summary>Whether a failure is one of this node, such as a full disk or too few descriptors, rather than of the request.</summary>
    public static bool IsOfNode(Exception e) =>
        e is Win32Exception or PlatformNotSupportedException or IOException or UnauthorizedAccessException;

    private async Task<BundleLease> ObtainAsync(SpawnRequest request, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_obtainLimit);
        try
        {
            return await bundles.ObtainAsync(request.Bundle, request.Source == events.Node ? "" : request.Source, limit.Token)
                .ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!ct.IsCancellationRequested)
        {
            throw new BundleException($"the files did not arrive within {s_obtainLimit.TotalMinutes} minutes");
        }
    }

    // The supervisor ends the process and releases all that it has, unless the agent stops and ends both.
    private async Task<SpawnReply> NotStartedAsync(Child child, string fault, CancellationToken ct)
    {
        child.Process.KillAll();
        child.Reason = $"{child.Name} did not start: {fault}";
        child.Begin(isReady: false);
        await ((Task)child.Completed).WaitAsync(ct).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await child.Tail.WaitAsync(ct).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        string error = $"{child.Reason}{ChildOutput.LastLines(child.Log)}";
        return child.MayStartElsewhere ? SpawnReply.Elsewhere(events.Node, error) : SpawnReply.Failed(events.Node, error);
    }
}
