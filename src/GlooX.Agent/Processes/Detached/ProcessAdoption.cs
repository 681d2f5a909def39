using GlooX.Bundles;
using GlooX.Contracts;
using GlooX.Lifecycle;
using GlooX.Slots;
using GlooX.Workers;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>
/// Adopts the detached processes that the agent before this one has left: reserves for all of them first, ends those of which no caller was
/// told, follows the others, and restarts those that are to be restarted. A record that cannot be adopted is logged and tried again in the
/// background, and never in the way of the others; its process is reserved for meanwhile, if the record can be read.
/// </summary>
internal sealed class ProcessAdoption(
    DetachedProcesses detached,
    ProcessSupervisor supervisor,
    ProcessTable processes,
    Ledger ledger,
    IMachine machine,
    AgentWorkspace workspace,
    ControlGroups? groups,
    BundleStore bundles,
    ILogger logger) : IAsyncDisposable
{
    private static readonly TimeSpan s_endLook = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan s_endLimit = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_late = TimeSpan.FromMinutes(1);
    private readonly Dictionary<string, Reservation> _reserved = new(StringComparer.Ordinal); // of records that are not adopted yet
    private readonly HashSet<string> _foreignLogs = new(StringComparer.Ordinal); // logs of processes whose workspace another agent holds
    private readonly HashSet<string> _logged = new(StringComparer.Ordinal);
    private readonly TaskCompletionSource _reservedForAll = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private BackgroundLoop? _retries;

    /// <summary>Completes when the processes of the agent before this one have their reservations: then new ones may be spawned.</summary>
    public Task Completed => _reservedForAll.Task;

    /// <summary>Adopts what can be adopted at once; the rest is tried again in the background.</summary>
    /// <param name="folder">The agent's folder; null: there are no records, and none can be kept.</param>
    public async Task StartAsync(AgentFolder? folder)
    {
        detached.Open(folder);
        if (folder is not null && !await TryAdoptAsync().ConfigureAwait(false))
        {
            _retries = new BackgroundLoop("adoption of processes", RetryAsync, logger).Start();
        }

        _reservedForAll.TrySetResult();
    }

    public async ValueTask DisposeAsync()
    {
        if (_retries is not null)
        {
            await _retries.DisposeAsync().ConfigureAwait(false);
        }
    }

    private async Task RetryAsync(CancellationToken ct)
    {
        TimeSpan pause = s_soon;
        do
        {
            await Task.Delay(pause, ct).ConfigureAwait(false);
            pause = pause * 2 < s_late ? pause * 2 : s_late;
        }
        while (!await TryAdoptAsync().ConfigureAwait(false));

        await Task.Delay(Timeout.Infinite, ct).ConfigureAwait(false); // all are adopted
    }

    // Whether there is nothing left to try again. Never throws.
    private async Task<bool> TryAdoptAsync()
    {
        bool isDone = true;
        IReadOnlyList<(string Id, DetachedRecord? Record)> stored = [];
        await AttemptAsync("(all)", () => stored = detached.Load()).ConfigureAwait(false);
        foreach ((string id, _) in stored.Where(r => r.Record is null && _logged.Add(r.Id)))
        {
            logger.RecordDamaged(id);
        }

        // All are reserved for before the first is looked at more closely.
        DetachedRecord[] records =
            [.. stored.Select(static r => r.Record).OfType<DetachedRecord>()
            .Where(r => !processes.Contains(r.Id) && !workspace.Owns(r.Log))];
        foreach (DetachedRecord record in records.Where(r => !_reserved.ContainsKey(r.Id)))
        {
            await AttemptAsync(record.Id, () => _reserved[record.Id] = ledger.Adopt(record.Request.Need())).ConfigureAwait(false);
        }

        foreach (DetachedRecord record in records)
        {
            await AttemptAsync(record.Id, () => AdoptAsync(record)).ConfigureAwait(false);
        }

        foreach (string log in _foreignLogs.ToArray())
        {
            await AttemptAsync(Path.GetFileNameWithoutExtension(log), () => workspace.TryAdopt(log) && _foreignLogs.Remove(log))
                .ConfigureAwait(false);
        }

        return isDone && _foreignLogs.Count == 0;

        // The action may return a task.
        async Task AttemptAsync(string id, Func<object?> action)
        {
            try
            {
                await (action() as Task ?? Task.CompletedTask).ConfigureAwait(false);
            }
#pragma warning disable CA1031 // Logged and tried again: one record is never in the way of the others.
            catch (Exception e)
#pragma warning restore CA1031
            {
                isDone = false;
                Tell(id, e.Message);
            }
        }

        void Tell(string id, string reason)
        {
            if (_logged.Add($"{id} {reason}"))
            {
                logger.NotAdopted(id, reason);
            }
        }
    }

    private async Task AdoptAsync(DetachedRecord record)
    {
        if (!_reserved.TryGetValue(record.Id, out Reservation? reservation))
        {
            return; // it could not be reserved for, which is tried again first
        }

        if (!record.Ready)
        {
            await EndAsync(record).ConfigureAwait(false);
        }

        if (record.Ready || (record.MayRestart() && record.Restarts > 0))
        {
            Adopt(record, reservation);
            _foreignLogs.Add(record.Log);
        }
        else
        {
            detached.Forget(record);
            workspace.RemoveLog(record.Log);
            workspace.Remove(record.Request.Options.TmpDir);
            ledger.Release(reservation);
        }

        _reserved.Remove(record.Id);
    }

    private void Adopt(DetachedRecord record, Reservation reservation)
    {
        ExitStatus Noted() => ExitNote.Read(record.ExitFile, byShell: record.Request.Command.Length > 0);
        ChildProcess? process = record.Ready ? ChildProcess.TakeOver(record.Pid, record.Id, () => record.Runs(machine), Noted) : null;
        if (process is null)
        {
            EndRest(record);
            process = ChildProcess.Ended(record.Pid, record.Id, Noted());
        }

        BundleLease? files = record.MayRestart() ? bundles.TryLease(record.Request.Bundle) : null;
        bool hasNoFiles = record.MayRestart() && files is null;
        SpawnRequest request = record.Request with
        {
            Options = record.Request.Options with { Ppid = Environment.ProcessId },
            Restart = hasNoFiles ? RestartPolicy.Never : record.Request.Restart,
        };
        string folder = request.Options.TmpDir;
        var run = new ProcessRun(
            process, new ResourceEnforcer(process, request.Need(), record.Id, record.Log, groups, joined: null, folder, adopted: true, logger),
            workspace);
        var child = new Child(record.Id, record.Log, run, reservation, request, files, new ChildOutput(record.Log, adopted: true))
        {
            Record = record,
            Url = record.Url,
            ProcessName = record.ProcessName,
            Started = record.Started,
            Restarts = record.Restarts,
            // The clock begins with the boot
            Rule = new RestartRule(request.Restart, IsOfNow(record) ? record.RestartTimes.Select(static t => new TimeSpan(t)) : null),
            Reason = hasNoFiles ? "it was not started again, as its files are not on its node any more" : "",
        };
        child.Begin(isReady: true);
        supervisor.Follow(child);
    }

    private async Task EndAsync(DetachedRecord record)
    {
        for (long start = TimeProvider.System.GetTimestamp(); record.Runs(machine); await Task.Delay(s_endLook).ConfigureAwait(false))
        {
            LinuxSignal.KillGroup(record.Pid);
            if (TimeProvider.System.GetElapsedTime(start) > s_endLimit)
            {
                throw new IOException($"process {record.Pid} was killed and has not ended");
            }
        }

        EndRest(record);
    }

    // What it started may have gone on when it was killed.
    private void EndRest(DetachedRecord record)
    {
        if (IsOfNow(record))
        {
            LinuxSignal.KillRest(record.Pid, record.ProcessStarted);
        }

        LinuxMark.KillAll(record.Id);
    }

    private bool IsOfNow(DetachedRecord record) => record.Boot == machine.FindProcess(Environment.ProcessId)?.Boot;
}
