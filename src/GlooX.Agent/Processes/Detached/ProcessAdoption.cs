using GlooX.Bundles;
using GlooX.Contracts;
using GlooX.Slots;
using GlooX.Workers;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>
/// Adopts the detached processes that the agent before this one has left: reserves for all of them first, ends those of which no caller was told, follows
/// the others, and restarts those that are to be restarted. A record that cannot be adopted is logged and tried again in the background, and never in
/// the way of the others; its process is reserved for meanwhile, if the record can be read.
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
    /// <param name="store">The records; null: there are none, and none can be kept.</param>
    public async Task StartAsync(DetachedProcessStore? store)
    {
        detached.Open(store);
        if (store is not null && !await TryAdoptAsync(store).ConfigureAwait(false))
        {
            _retries = new BackgroundLoop("adoption of processes", ct => RetryAsync(store, ct), logger).Start();
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

    private async Task RetryAsync(DetachedProcessStore store, CancellationToken ct)
    {
        TimeSpan pause = s_soon;
        do
        {
            await Task.Delay(pause, ct).ConfigureAwait(false);
            pause = pause * 2 < s_late ? pause * 2 : s_late;
        }
        while (!await TryAdoptAsync(store).ConfigureAwait(false));

        await Task.Delay(Timeout.Infinite, ct).ConfigureAwait(false); // all are taken over
    }

    // Whether there is nothing left to try again. Never throws.
    private async Task<bool> TryAdoptAsync(DetachedProcessStore store)
    {
        bool isDone = true;
        StoredReservations stored = new([], []);
        await AttemptAsync("(all)", () => stored = store.Records.Load()).ConfigureAwait(false);
        foreach (string file in stored.Damaged.Where(_logged.Add))
        {
            logger.RecordDamaged(file);
        }

        foreach (string file in stored.Unreadable)
        {
            isDone = false;
            Tell(Path.GetFileNameWithoutExtension(file), "the record cannot be read");
        }

        // All are reserved for before the first is looked at more closely.
        ReservationRecord[] records = [.. stored.Records.Where(r => !processes.Contains(r.Id) && !workspace.Owns(r.LogFile))];
        foreach (ReservationRecord record in records.Where(r => !_reserved.ContainsKey(r.Id)))
        {
            await AttemptAsync(record.Id, () => _reserved[record.Id] = ledger.Adopt(record.Provision)).ConfigureAwait(false);
        }

        foreach (ReservationRecord record in records)
        {
            await AttemptAsync(record.Id, () => AdoptAsync(record, store)).ConfigureAwait(false);
        }

        foreach (string log in _foreignLogs.ToArray())
        {
            await AttemptAsync(Path.GetFileNameWithoutExtension(log), () => workspace.TryAdopt(log) && _foreignLogs.Remove(log)).ConfigureAwait(false);
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

    private async Task AdoptAsync(ReservationRecord record, DetachedProcessStore store)
    {
        if (!_reserved.TryGetValue(record.Id, out Reservation? reservation))
        {
            return; // it could not be reserved for, which is tried again first
        }

        StoredRestart? stored = StoredRestart.Read(store.RestartFile(record.Id));
        if (!record.Ready)
        {
            await EndAsync(record).ConfigureAwait(false);
        }

        if (record.Ready || stored is { Restarts: > 0 })
        {
            Adopt(record, stored, store, reservation);
            _foreignLogs.Add(record.LogFile);
        }
        else
        {
            store.Forget(record.Id);
            workspace.RemoveLog(record.LogFile);
            workspace.Remove(record.Folder);
            ledger.Release(reservation);
        }

        _reserved.Remove(record.Id);
    }

    private void Adopt(ReservationRecord record, StoredRestart? stored, DetachedProcessStore store, Reservation reservation)
    {
        ExitStatus Noted() => ExitNote.Read(store.ExitFile(record.Id), byShell: record.Url.Length == 0);
        bool isOfNow = IsOfNow(record);
        ChildProcess? process = record.Ready ? ChildProcess.TakeOver(record.Pid, () => record.Runs(machine), Noted) : null;
        if (process is null)
        {
            EndRest(record);
            process = ChildProcess.Ended(record.Pid, Noted());
        }

        BundleLease? lease = stored is null ? null : bundles.TryLease(stored.Request.Bundle);
        SpawnRequest request = stored is not null && lease is not null
            ? stored.Request with { Options = stored.Request.Options with { Ppid = Environment.ProcessId } }
            : new SpawnRequest("", record.Class, record.Provision.MemoryBytes, record.Provision.DiskBytes, default, new ProcessOptions { Daemonize = true, TmpDir = record.Folder, KeepTmpDir = record.KeepFolder }, 0, AllowSpawn: false)
            {
                Resources = new(record.Provision.Amounts, StringComparer.Ordinal),
            };
        var run = new ProcessRun(process, new ResourceEnforcer(process, record.Provision, record.Id, record.LogFile, groups, record.Folder, adopted: true, logger), workspace);
        var child = new Child(record.Id, record.LogFile, run, reservation, request, lease, new ChildOutput(record.LogFile, adopted: true))
        {
            Record = record,
            Url = record.Url,
            Started = record.Started,
            Restarts = stored?.Restarts ?? 0,
            Rule = new RestartRule(request.Restart, isOfNow ? stored?.Times.Select(static t => new TimeSpan(t)) : null), // the clock begins with the machine
            Reason = stored is not null && lease is null ? "it was not started again, as its files are not on its node any more" : "",
        };
        child.Begin(isReady: true);
        supervisor.Follow(child);
    }

    private async Task EndAsync(ReservationRecord record)
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
    private void EndRest(ReservationRecord record)
    {
        if (IsOfNow(record))
        {
            LinuxSignal.KillRest(record.Pid, record.Stamp.Started);
        }
    }

    private bool IsOfNow(ReservationRecord record) => record.Stamp.Boot == machine.FindProcess(Environment.ProcessId)?.Boot;
}
