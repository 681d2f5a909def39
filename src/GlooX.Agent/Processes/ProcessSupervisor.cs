using GlooX.Slots;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>
/// What happens to a process between its first start and its end for good: it is restarted as its policy says; in the end all that it has
/// is released, its reservation included, however it ended. When the agent stops, all processes that are not detached are killed.
/// Thread-safe.
/// </summary>
internal sealed class ProcessSupervisor(
    ProcessStarter starter,
    ProcessAssigner assigner,
    ProcessTable processes,
    DetachedProcesses detached,
    Ledger ledger,
    AgentWorkspace workspace,
    ProcessEvents events,
    Action changed,
    OutputEcho? echo,
    ILogger logger) : IAsyncDisposable
{
    private static readonly TimeSpan s_rememberExit = TimeSpan.FromMinutes(5);
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Takes a process over for the rest of its life.</summary>
    /// <param name="child">A process that has started, for the first time or under another agent.</param>
    public void Follow(Child child)
    {
        processes.Add(child);
        changed();
        if (!child.IsReady)
        {
            events.Tell(ProcessEventKind.Started, child);
        }

        child.Tail = child.Output.FollowAsync(child.Name, Until(child, child.Completed), echo, logger);
        child.Released = FollowToEndAsync(child);
        if (processes.Stopping.IsCancellationRequested && !child.Request.Options.Daemonize)
        {
            child.End(static p => p.KillAll()); // StopAsync may have looked before the process was in the table
        }
    }

    /// <summary>No process is started any more; those that are not detached are killed, those that are just starting too.</summary>
    public async Task StopAsync()
    {
        await processes.StopAsync().ConfigureAwait(false);
        _stopped.TrySetResult();
        Child[] ending = [.. processes.All.Where(static c => !c.Request.Options.Daemonize)];
        Array.ForEach(ending, static c => c.End(static p => p.KillAll()));
        await Task.WhenAll(ending.Select(static c => c.Released)).ConfigureAwait(false);
    }

    /// <summary>Waits until all processes are released, the detached ones to the next agent.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        await Task.WhenAll(processes.All.Select(static c => c.Released)).ConfigureAwait(false);
        if (echo is not null)
        {
            await echo.DisposeAsync().ConfigureAwait(false);
        }

        processes.Dispose();
    }

    // Never throws: each step of an end is taken, whatever became of the one before.
    private async Task FollowToEndAsync(Child child)
    {
        bool isLeft = false;
        await StepAsync(child, "following the process", async () => isLeft = await RunAsync(child).ConfigureAwait(false))
            .ConfigureAwait(false);
        if (isLeft)
        {
            await StepAsync(child, "stopping the watch of its folder", child.Enforcer.StopWatchAsync).ConfigureAwait(false);
            await child.Tail.ConfigureAwait(false);
            child.Process.Control?.Dispose();
            child.Lease?.Dispose();
            return;
        }

        await StepAsync(child, "ending what is left of it", async () =>
        {
            if (!child.Process.Exited.IsCompleted)
            {
                child.Process.KillAll();
                child.LastExit = await child.Process.Exited.ConfigureAwait(false);
            }
        }).ConfigureAwait(false);
        child.Finish();
        await StepAsync(child, "telling watchers", () => events.Tell(ProcessEventKind.Exited, child)).ConfigureAwait(false);
        await StepAsync(child, "closing its run", child.Run.CloseAsync).ConfigureAwait(false);
        if (!(child.IsReady && child.Request.Options.KeepTmpDir))
        {
            workspace.Remove(child.Request.Options.TmpDir);
        }

        detached.Forget(child);
        ledger.Release(child.Reservation);
        await StepAsync(child, "releasing its files", () => child.Lease?.Dispose()).ConfigureAwait(false);
        await StepAsync(child, "telling other nodes of the reservation", changed).ConfigureAwait(false);
        // Callers may ask how it ended
        await Task.Delay(s_rememberExit, processes.Stopping).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await child.Tail.ConfigureAwait(false);
        await StepAsync(child, "ending the wait for its end", () => child.Killing).ConfigureAwait(false);
        workspace.RemoveLog(child.Log);
        processes.Remove(child);
    }

    private Task StepAsync(Child child, string step, Action action) => StepAsync(child, step, () =>
    {
        action();
        return Task.CompletedTask;
    });

    private async Task StepAsync(Child child, string step, Func<Task> action)
    {
        try
        {
            await action().ConfigureAwait(false);
        }
#pragma warning disable CA1031 // Logged: the steps after it are taken all the same, above all the release of the reservation.
        catch (Exception e)
#pragma warning restore CA1031
        {
            logger.EndStepFailed(e, child.Id, step);
        }
    }

    // Until the process has ended for good; true: it is left to the next agent.
    private async Task<bool> RunAsync(Child child)
    {
        do
        {
            await Until(child, child.Process.Exited).ConfigureAwait(false);
            if (!child.Process.Exited.IsCompleted)
            {
                return true;
            }

            child.LastExit = await child.Process.Exited.ConfigureAwait(false);
        }
        while (await child.FirstStart.ConfigureAwait(false) && await RestartAsync(child).ConfigureAwait(false));

        // The agent may stop before it is clear whether the process is restarted: the next agent restarts it then.
        if (!child.IsReady || child.IsEnding || child.IsDecided || !processes.Stopping.IsCancellationRequested
            || !DetachedProcesses.MayRestart(child))
        {
            return false;
        }

        await child.Run.CloseAsync().ConfigureAwait(false);
        return true;
    }

    // Until the process runs again; false: it has ended for good, or the agent stops.
    private async Task<bool> RestartAsync(Child child)
    {
        RestartPolicy policy = child.Request.Restart;
        string? fault = null;
        while (!child.IsEnding && !processes.Stopping.IsCancellationRequested)
        {
            RestartDecision next = child.Rule.Exited(ProcessTable.Clock, child.LastExit!.Value, Random.Shared.NextDouble());
            if (next.Verdict != RestartVerdict.Again)
            {
                child.Reason = next.Verdict == RestartVerdict.GiveUp
                    ? $"it was given up, as it was started again {policy.MaxRestarts} times within {policy.Window}{(fault is null ? "" : $"; the last time, {fault}")}"
                    : fault ?? child.Reason;
                child.IsDecided = true;
                return false;
            }

            child.Wait(waits: true);
            events.TellRestart(child, next.Pause, fault ?? "");
            await child.Run.CloseAsync().ConfigureAwait(false);
            if (!await child.PauseAsync(next.Pause, processes.Stopping).ConfigureAwait(false))
            {
                return false;
            }

            child.Restarts++;
            child.Rule.Restarted(ProcessTable.Clock);
            // The last port is tried once, unless it was asked for
            string url = fault is null ? child.SameUrl() : child.Request.Options.Url;
            fault = await StartAgainAsync(child, url).ConfigureAwait(false);
            if (fault is null)
            {
                child.Wait(waits: false);
                events.Tell(ProcessEventKind.Restarted, child);
                return true;
            }
        }

        return false;
    }

    // The steps of a spawn that a restart needs. Null: the process is ready; otherwise why not, and nothing of it runs.
    private async Task<string?> StartAgainAsync(Child child, string url)
    {
        try
        {
            detached.RecordRestart(child);
            long[] written = child.Output.Ends();
            child.Enter(starter.StartAgain(child, events.Node));
            detached.Record(child);
            string? fault = await assigner.AssignAsync(child, url, written, processes.Stopping).ConfigureAwait(false);
            if (fault is null)
            {
                detached.Confirm(child);
                return null;
            }

            child.LastExit = await child.Process.Exited.ConfigureAwait(false);
            return $"{child.Name} did not start: {fault}";
        }
        catch (OperationCanceledException)
        {
            child.LastExit = await child.Process.Exited.ConfigureAwait(false);
            return "the agent stops";
        }
        catch (Exception e) when (Spawner.IsOfNode(e))
        {
            child.Process.KillAll();
            await child.Process.Exited.ConfigureAwait(false);
            child.LastExit = ExitStatus.Unknown;
            return $"{child.Name} cannot be started: {e.Message}";
        }
    }

    // Detached processes are followed until the agent stops.
    private Task Until(Child child, Task ended) => child.Request.Options.Daemonize ? Task.WhenAny(ended, _stopped.Task) : ended;
}
