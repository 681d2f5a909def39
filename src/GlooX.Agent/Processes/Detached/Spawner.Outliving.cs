using System.Net.Sockets;
using GlooX.Bundles;
using GlooX.Channels.Replication;
using GlooX.Contracts;
using GlooX.Slots;
using GlooX.Workers;

namespace GlooX.Processes;

/// <summary>
/// Processes that outlive their agent. Each is written down before it is given anything to do, and again when somebody may know of it; so the
/// next agent of the same address finds all that run, ends those of which nobody was told, takes the others over, and starts those again that are to be.
/// </summary>
internal sealed partial class Spawner
{
    private static readonly TimeSpan s_endLook = TimeSpan.FromMilliseconds(10);
    private OutlivingFolder? _folder;

    /// <summary>Takes over what an agent before this one has left; until then no spawn begins.</summary>
    /// <param name="folder">Where that is written down; null: nowhere.</param>
    public async Task TakeOverAsync(OutlivingFolder? folder)
    {
        _folder = folder;
        try
        {
            foreach (ReservationRecord record in folder?.Records.Load().Records ?? [])
            {
                StoredRestart? stored = StoredRestart.TryRead(folder!.RestartFile(record.Id));
                if (!record.Ready)
                {
                    await EndAsync(record).ConfigureAwait(false);
                }

                if (!record.Ready && stored is not { Restarts: > 0 })
                {
                    folder.Forget(record.Id);
                    ChildOutput.Delete(record.LogFile);
                    WorkFolder.Remove(record.Folder);
                    continue;
                }

                await room.AdoptAsync(record.LogFile).ConfigureAwait(false);
                TakeOver(record, stored, folder);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or OperationCanceledException)
        {
            await Console.Error.WriteLineAsync($"processes of the agent before this one cannot be taken over: {e.Message}").ConfigureAwait(false);
        }
        finally
        {
            if (!_outliving.TrySetResult(folder))
            {
                folder?.Dispose(); // stopped meanwhile
            }
        }
    }

    private void TakeOver(ReservationRecord record, StoredRestart? stored, OutlivingFolder folder)
    {
        ExitStatus Noted() => ExitNote.Read(folder.ExitFile(record.Id), byShell: record.Url.Length == 0);
        bool isOfNow = IsOfNow(record);
        ChildProcess? process = record.Ready ? ChildProcess.TakeOver(record.Pid, () => record.Runs(machine), Noted) : null;
        if (process is null)
        {
            EndRest(record);
            process = ChildProcess.Ended(record.Pid, Noted());
        }

        Reservation reservation = ledger.Adopt(record.Provision);
        BundleLease? lease = stored is null ? null : bundles(stored.Request.Bundle);
        SpawnRequest request = stored is not null && lease is not null
            ? stored.Request with { Options = stored.Request.Options with { Ppid = Environment.ProcessId } }
            : new SpawnRequest("", record.Class, record.Provision.MemoryBytes, record.Provision.DiskBytes, default, new ProcessOptions { Daemonize = true, TmpDir = record.Folder, KeepTmpDir = record.KeepFolder }, 0, AllowSpawn: false)
            {
                Resources = new(record.Provision.Amounts, StringComparer.Ordinal),
            };
        var run = new Run(process, new Guard(process, record.Provision, record.Id, record.LogFile, groups, record.Folder, adopted: true, _stop.Token));
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
        child.Tail = child.Output.ShowAsync(child.Name, Until(child, child.Over));
        child.Released = LiveAsync(child);
    }

    private async Task EndAsync(ReservationRecord record)
    {
        while (record.Runs(machine))
        {
            LinuxSignal.KillGroup(record.Pid);
            await Task.Delay(s_endLook).ConfigureAwait(false);
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

    private static string ExitFile(OutlivingFolder? folder, string id) => folder?.ExitFile(id) ?? "/dev/null";

    private static string Unwritten(Child child, Exception e) => $"{child.Name} cannot be written down, so that it would outlive its agent unknown: {e.Message}";

    private static void Note(OutlivingFolder? folder, Child child)
    {
        if (child.Record is { } record)
        {
            folder?.Records.Put(record);
        }
    }

    private static void Ready(OutlivingFolder? folder, Child child)
    {
        if (child.Record is { } record && !child.Process.Exited.IsCompleted)
        {
            KeepRestart(folder, child);
            child.Record = record with { Ready = true, Url = child.Url };
            Note(folder, child);
        }
    }

    private static void KeepRestart(OutlivingFolder? folder, Child child)
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

    private void Change(string id, Action<OutlivingFolder, string> change)
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
            Console.Error.WriteLine($"the record of process {id}, which has ended, cannot be removed: {e.Message}");
        }
    }

    // What outlives this agent is followed until this agent stops.
    private Task Until(Child child, Task ended) => child.Request.Options.Daemonize ? Task.WhenAny(ended, _stopped.Task) : ended;
}
