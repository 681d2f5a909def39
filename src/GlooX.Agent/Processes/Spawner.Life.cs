using GlooX.Slots;

namespace GlooX.Processes;

/// <summary>What becomes of a process after its first start: it is started again as its policy says, until it is over and cleared away.</summary>
internal sealed partial class Spawner
{
    // Never throws: each step of an end is taken, whatever became of the one before.
    private async Task LiveAsync(Child child)
    {
        bool isLeft = false;
        await StepAsync(child, "following the process", async () => isLeft = await RunAsync(child).ConfigureAwait(false)).ConfigureAwait(false);
        if (isLeft)
        {
            // It outlives this agent, or is to be started again by the next, which has all else.
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
        await StepAsync(child, "telling of it", () => events.Tell(ProcessEventKind.Exited, child)).ConfigureAwait(false);
        await StepAsync(child, "closing its run", child.Run.CloseAsync).ConfigureAwait(false);
        if (!(child.IsReady && child.Request.Options.KeepTmpDir))
        {
            workspace.Remove(child.Request.Options.TmpDir);
        }

        if (child.Record is not null)
        {
            Forget(child.Id);
        }

        ledger.Release(child.Reservation);
        await StepAsync(child, "giving back its files", () => child.Lease?.Dispose()).ConfigureAwait(false);
        if (!_stop.IsCancellationRequested)
        {
            await StepAsync(child, "telling of its reservation", changed).ConfigureAwait(false);
            await Task.Delay(s_rememberExit, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); // how it ended can be asked for a while
        }

        await child.Tail.ConfigureAwait(false);
        await StepAsync(child, "ending the wait for its end", () => child.Killing).ConfigureAwait(false);
        workspace.RemoveLog(child.Log);
        _children.TryRemove(child.Id, out _);
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

    // Until it has ended for good; true: it is left to the next agent.
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

        if (!child.IsReady || !IsLeft(child))
        {
            return false;
        }

        await child.Run.CloseAsync().ConfigureAwait(false);
        return true;
    }

    // Whether this agent stops before it could say whether the process is started again.
    private bool IsLeft(Child child) => _stop.IsCancellationRequested && !child.IsEnding && !child.IsDecided && IsKept(child);

    // Until it runs again; false: it is over, or this agent stops.
    private async Task<bool> RestartAsync(Child child)
    {
        RestartPolicy policy = child.Request.Restart;
        string? fault = null;
        while (!child.IsEnding && !_stop.IsCancellationRequested)
        {
            RestartDecision next = child.Rule.Exited(Clock(), child.LastExit!.Value, Random.Shared.NextDouble());
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
            if (!await child.PauseAsync(next.Pause, _stop.Token).ConfigureAwait(false))
            {
                return false;
            }

            child.Restarts++;
            child.Rule.Restarted(Clock());
            string url = fault is null ? child.SameUrl() : child.Request.Options.Url; // where nobody asked for a port, the last one is not insisted on
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

    // Null: it is ready; else why not, and nothing of it runs.
    private async Task<string?> StartAgainAsync(Child child, string url)
    {
        try
        {
            if (IsKept(child))
            {
                _folder!.ForgetExit(child.Id);
                KeepRestart(_folder, child);
            }

            long[] written = child.Output.Ends();
            ProcessRun run = starter.StartAgain(child, events.Node, ExitFile(_folder, child.Id));
            child.Enter(run);
            NoteAgain(child);
            string? fault = child.Request.Command.Length > 0
                ? await BeginAsync(_folder, child, written, _stop.Token).ConfigureAwait(false)
                : await starter.GetReadyAsync(child, url, child.Record is null || _folder is null ? "" : ExitFile(_folder, child.Id), IsWanted, _stop.Token).ConfigureAwait(false);
            if (fault is null)
            {
                return null;
            }

            child.LastExit = await run.Process.Exited.ConfigureAwait(false);
            return $"{child.Name} did not start: {fault}";
        }
        catch (OperationCanceledException)
        {
            child.LastExit = await child.Process.Exited.ConfigureAwait(false);
            return $"{child.Name} was not ready within {child.Request.StartTimeoutMilliseconds} ms";
        }
        catch (Exception e) when (IsFault(e))
        {
            await child.Process.Exited.ConfigureAwait(false);
            child.LastExit = ExitStatus.Unknown;
            return $"{child.Name} cannot be started: {e.Message}";
        }

        string? IsWanted()
        {
            Ready(_folder, child);
            return null;
        }
    }

    // Before it is given anything to do; what cannot be written down must not run.
    private void NoteAgain(Child child)
    {
        try
        {
            child.Record = Record(child) ?? child.Record;
            Note(_folder, child);
        }
        catch
        {
            child.Process.KillAll();
            throw;
        }
    }
}
