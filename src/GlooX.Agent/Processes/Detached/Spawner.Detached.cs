using System.Net.Sockets;
using GlooX.Bundles;
using GlooX.Channels.Replication;
using GlooX.Contracts;
using GlooX.Slots;
using GlooX.Workers;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>
/// Processes that outlive their agent. Each is written down before it is given anything to do, and again when somebody may know of it; so the
/// next agent of the same address finds all that run, ends those of which nobody was told, takes the others over, and starts those again that are to be.
/// </summary>
internal sealed partial class Spawner
{
    private static readonly TimeSpan s_endLook = TimeSpan.FromMilliseconds(10);
    private static readonly TimeSpan s_endLimit = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_late = TimeSpan.FromMinutes(1);
    private readonly Dictionary<string, Reservation> _adopting = new(StringComparer.Ordinal); // of records that are not taken over yet
    private readonly HashSet<string> _unadopted = new(StringComparer.Ordinal); // logs of processes whose workspace another agent holds
    private readonly HashSet<string> _told = new(StringComparer.Ordinal); // what is logged once
    private DetachedProcessStore? _folder;
    private BackgroundLoop? _adoption;

    /// <summary>
    /// Takes over what an agent before this one has left; until then no spawn begins. A record that cannot be taken over is logged and tried again in
    /// the background; its process is reserved for meanwhile, if the record can be read.
    /// </summary>
    /// <param name="folder">Where that is written down; null: nowhere.</param>
    public async Task TakeOverAsync(DetachedProcessStore? folder)
    {
        _folder = folder;
        try
        {
            if (folder is not null && !await TryTakeOverAsync(folder).ConfigureAwait(false))
            {
                _adoption = new BackgroundLoop("adoption of processes", ct => GoOnTakingOverAsync(folder, ct), logger).Start();
            }
        }
        finally
        {
            if (!_detached.TrySetResult(folder))
            {
                folder?.Dispose(); // stopped meanwhile
            }
        }
    }

    private async Task GoOnTakingOverAsync(DetachedProcessStore folder, CancellationToken ct)
    {
        TimeSpan pause = s_soon;
        do
        {
            await Task.Delay(pause, ct).ConfigureAwait(false);
            pause = pause * 2 < s_late ? pause * 2 : s_late;
        }
        while (!await TryTakeOverAsync(folder).ConfigureAwait(false));

        await Task.Delay(Timeout.Infinite, ct).ConfigureAwait(false); // all are taken over
    }

    // Whether there is nothing left to try again. Never throws.
    private async Task<bool> TryTakeOverAsync(DetachedProcessStore folder)
    {
        bool isDone = true;
        StoredReservations stored = new([], []);
        await AttemptAsync("(all)", () => stored = folder.Records.Load()).ConfigureAwait(false);
        foreach (string file in stored.Damaged.Where(_told.Add))
        {
            logger.RecordDamaged(file);
        }

        foreach (string file in stored.Unreadable)
        {
            isDone = false;
            Tell(Path.GetFileNameWithoutExtension(file), "the record cannot be read");
        }

        // All are reserved for before the first is looked at more closely.
        ReservationRecord[] records = [.. stored.Records.Where(r => !_children.ContainsKey(r.Id) && !workspace.Owns(r.LogFile))];
        foreach (ReservationRecord record in records.Where(r => !_adopting.ContainsKey(r.Id)))
        {
            await AttemptAsync(record.Id, () => _adopting[record.Id] = ledger.Adopt(record.Provision)).ConfigureAwait(false);
        }

        foreach (ReservationRecord record in records)
        {
            await AttemptAsync(record.Id, () => TakeOverAsync(record, folder)).ConfigureAwait(false);
        }

        foreach (string log in _unadopted.ToArray())
        {
            await AttemptAsync(Path.GetFileNameWithoutExtension(log), () => workspace.TryAdopt(log) && _unadopted.Remove(log)).ConfigureAwait(false);
        }

        return isDone && _unadopted.Count == 0;

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
            if (_told.Add($"{id} {reason}"))
            {
                logger.NotAdopted(id, reason);
            }
        }
    }

    private async Task TakeOverAsync(ReservationRecord record, DetachedProcessStore folder)
    {
        if (!_adopting.TryGetValue(record.Id, out Reservation? reservation))
        {
            return; // it could not be reserved for, which is tried again first
        }

        StoredRestart? stored = StoredRestart.Read(folder.RestartFile(record.Id));
        if (!record.Ready)
        {
            await EndAsync(record).ConfigureAwait(false);
        }

        if (record.Ready || stored is { Restarts: > 0 })
        {
            TakeOver(record, stored, folder, reservation);
            _unadopted.Add(record.LogFile);
        }
        else
        {
            folder.Forget(record.Id);
            workspace.RemoveLog(record.LogFile);
            workspace.Remove(record.Folder);
            ledger.Release(reservation);
        }

        _adopting.Remove(record.Id);
    }

    private void TakeOver(ReservationRecord record, StoredRestart? stored, DetachedProcessStore folder, Reservation reservation)
    {
        ExitStatus Noted() => ExitNote.Read(folder.ExitFile(record.Id), byShell: record.Url.Length == 0);
        bool isOfNow = IsOfNow(record);
        ChildProcess? process = record.Ready ? ChildProcess.TakeOver(record.Pid, record.Id, () => record.Runs(machine), Noted) : null;
        if (process is null)
        {
            EndRest(record);
            process = ChildProcess.Ended(record.Pid, record.Id, Noted());
        }

        BundleLease? lease = stored is null ? null : bundles(stored.Request.Bundle);
        SpawnRequest request = stored is not null && lease is not null
            ? stored.Request with { Options = stored.Request.Options with { Ppid = Environment.ProcessId } }
            : new SpawnRequest("", record.Class, record.Provision.MemoryBytes, record.Provision.DiskBytes, default, new ProcessOptions { Daemonize = true, TmpDir = record.Folder, KeepTmpDir = record.KeepFolder }, 0, AllowSpawn: false)
            {
                Resources = new(record.Provision.Amounts, StringComparer.Ordinal),
            };
        var run = new ProcessRun(process, new ResourceEnforcer(process, record.Provision, record.Id, record.LogFile, groups, joined: null, record.Folder, adopted: true, logger), workspace);
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
        _children[record.Id] = child;
        child.Tail = child.Output.FollowAsync(child.Name, Until(child, child.Completed), echo, logger);
        child.Released = LiveAsync(child);
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

        LinuxMark.KillAll(record.Id);
    }

    private bool IsOfNow(ReservationRecord record) => record.Stamp.Boot == machine.FindProcess(Environment.ProcessId)?.Boot;

    // Null: it ends with this agent, or has ended already.
    private ReservationRecord? Record(Child child) =>
        child.Request.Options.Daemonize && machine.FindProcess(child.Process.Pid) is { } stamp
            ? new ReservationRecord
            {
                Id = child.Id,
                Pid = child.Process.Pid,
                Stamp = stamp,
                Class = child.Request.Class,
                Provision = child.Request.Need(),
                LogFile = child.Log,
                Folder = child.Request.Options.TmpDir,
                KeepFolder = child.Request.Options.KeepTmpDir,
                Started = child.Started,
                Url = child.Url,
            }
            : null;

    private static string ExitFile(DetachedProcessStore? folder, string id) => folder?.ExitFile(id) ?? "/dev/null";

    private static string Unwritten(Child child, Exception e) => $"{child.Name} cannot be written down, so that it would outlive its agent unknown: {e.Message}";

    private static void Note(DetachedProcessStore? folder, Child child)
    {
        if (child.Record is { } record)
        {
            folder?.Records.Put(record);
        }
    }

    private static void Ready(DetachedProcessStore? folder, Child child)
    {
        if (child.Record is { } record && !child.Process.Exited.IsCompleted)
        {
            KeepRestart(folder, child);
            child.Record = record with { Ready = true, Url = child.Url };
            Note(folder, child);
        }
    }

    private static void KeepRestart(DetachedProcessStore? folder, Child child)
    {
        if (folder is not null && child.Record is not null && child.Request.Restart.Mode != RestartMode.Never && !child.IsEnding)
        {
            StoredRestart.Write(folder.RestartFile(child.Id), child);
        }
    }

    // Whether the agent after this one may start it again.
    private bool IsKept(Child child) => _folder is not null && child.Record is not null && child.Request.Restart.Mode != RestartMode.Never;

    private void Forget(string id) => Change(id, static (folder, id) => folder.Forget(id));

    // For good, also for an agent after this one.
    private void End(Child child, Action<ChildProcess> how) => child.End(process =>
    {
        if (IsKept(child))
        {
            Change(child.Id, static (folder, id) => folder.ForgetRestart(id));
        }

        how(process);
    });

    private void Change(string id, Action<DetachedProcessStore, string> change)
    {
        try
        {
            if (_folder is not null)
            {
                change(_folder, id);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            logger.RecordNotRemoved(id, e.Message);
        }
    }

    // What outlives this agent is followed until this agent stops.
    private Task Until(Child child, Task ended) => child.Request.Options.Daemonize ? Task.WhenAny(ended, _stopped.Task) : ended;
}
