using GlooX.Slots;

namespace GlooX.Spawning;

/// <summary>What becomes of a process after its first start: it is started again as its policy says, until it is over and cleared away.</summary>
internal sealed partial class Spawner
{
    private async Task LiveAsync(Child child, string node)
    {
        do
        {
            await Until(child, child.Process.Exited).ConfigureAwait(false);
            if (!child.Process.Exited.IsCompleted)
            {
                await child.Tail.ConfigureAwait(false);
                child.Process.Control?.Dispose();
                child.Lease?.Dispose();
                return; // it outlives this agent: the next one has it
            }

            child.LastExit = await child.Process.Exited.ConfigureAwait(false);
        }
        while (await child.Begun.ConfigureAwait(false) && await RestartAsync(child, node).ConfigureAwait(false));

        child.Finish();
        events.Tell(ProcessEventKind.Exited, child, reason: child.Reason);
        await child.Run.CloseAsync().ConfigureAwait(false);
        if (!(child.IsReady && child.Request.Options.KeepTmpDir))
        {
            Guard.RemoveFolder(child.Request.Options.TmpDir);
        }

        if (child.Record is not null)
        {
            Forget(child.Id);
        }

        ledger.Release(child.Reservation);
        child.Lease?.Dispose();
        if (!_stop.IsCancellationRequested)
        {
            changed();
            try
            {
                await Task.Delay(s_rememberExit, _stop.Token).ConfigureAwait(false); // how it ended can be asked for a while
            }
            catch (OperationCanceledException)
            {
                // the agent stops
            }
        }

        await child.Tail.ConfigureAwait(false);
        await child.Killing.ConfigureAwait(false);
        ChildOutput.Delete(child.Log);
        _children.TryRemove(child.Id, out _);
    }

    // Until it runs again; false: it is over.
    private async Task<bool> RestartAsync(Child child, string node)
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
                    : fault ?? "";
                return false;
            }

            child.Wait(waits: true);
            events.Tell(ProcessEventKind.Restarting, child, next.Pause, fault ?? "");
            await child.Run.CloseAsync().ConfigureAwait(false);
            if (!await child.PauseAsync(next.Pause, _stop.Token).ConfigureAwait(false))
            {
                return false;
            }

            child.Restarts++;
            child.Rule.Restarted(Clock());
            string url = fault is null ? child.SameUrl() : child.Request.Options.Url; // where nobody asked for a port, the last one is not insisted on
            fault = await StartAgainAsync(child, url, node).ConfigureAwait(false);
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
    private async Task<string?> StartAgainAsync(Child child, string url, string node)
    {
        try
        {
            Run run = starter.StartAgain(child, node, "", _stop.Token);
            child.Enter(run);
            if (child.Request.Command.Length > 0 || await starter.GetReadyAsync(child, url, "", static () => null, _stop.Token).ConfigureAwait(false) is not { } fault)
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
            child.LastExit = ExitStatus.Unknown;
            return $"{child.Name} cannot be started: {e.Message}";
        }
    }
}
