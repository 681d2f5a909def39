using System.Net.Sockets;
using GlooX.Slots;

namespace GlooX.Spawning;

/// <summary>
/// Processes that outlive their agent. Each is written down before it is given anything to do, and again when somebody may know of it; so the
/// next agent of the same address finds all that run, ends those of which nobody was told, and takes the others over.
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
                if (!record.Ready)
                {
                    await EndAsync(record).ConfigureAwait(false);
                    folder!.Forget(record.Id);
                    ChildOutput.Delete(record.LogFile);
                    Guard.RemoveFolder(record.Folder);
                    continue;
                }

                await room.AdoptAsync(record.LogFile).ConfigureAwait(false);
                TakeOver(record, folder!);
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

    private void TakeOver(ReservationRecord record, OutlivingFolder folder)
    {
        ExitStatus Noted() => ExitNote.Read(folder.ExitFile(record.Id), byShell: record.Url.Length == 0);
        LinuxProcess? process = LinuxProcess.TakeOver(record.Pid, () => record.Runs(machine), Noted);
        if (process is null)
        {
            if (record.Stamp.Boot == machine.FindProcess(Environment.ProcessId)?.Boot)
            {
                LinuxProcess.KillRest(record.Pid);
            }

            process = LinuxProcess.Ended(record.Pid, Noted());
        }

        Reservation reservation = ledger.Adopt(record.Provision);
        var request = new SpawnRequest("", record.Class, record.Provision.MemoryBytes, record.Provision.DiskBytes, default, new ProcessOptions { Daemonize = true, TmpDir = record.Folder }, 0, AllowSpawn: false)
        {
            Resources = new(record.Provision.Amounts, StringComparer.Ordinal),
        };
        var guard = new Guard(process, record.Provision, record.Id, record.LogFile, groups, record.Folder, adopted: true, _stop.Token);
        var child = new Child(process, reservation, request, guard, null, new ChildOutput(record.LogFile, adopted: true)) { Record = record, Url = record.Url, Started = record.Started, IsReady = true };
        _children[record.Id] = child;
        child.Tail = child.Output.ShowAsync(child.Name, Until(child));
        child.Released = ReleaseAsync(record.Id, record.LogFile, child);
    }

    private async Task EndAsync(ReservationRecord record)
    {
        while (record.Runs(machine))
        {
            LinuxProcess.KillGroup(record.Pid);
            await Task.Delay(s_endLook).ConfigureAwait(false);
        }
    }

    // Null: it ends with this agent, or has ended already.
    private ReservationRecord? Record(string id, string log, LinuxProcess process, SpawnRequest request, string folder) =>
        request.Options.Daemonize && machine.FindProcess(process.Pid) is { } stamp
            ? new ReservationRecord { Id = id, Pid = process.Pid, Stamp = stamp, Class = request.Class, Provision = request.Need(), LogFile = log, Folder = folder, Started = DateTimeOffset.UtcNow }
            : null;

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
            child.Record = record with { Ready = true, Url = child.Url };
            Note(folder, child);
        }
    }

    // An executable that outlives this agent begins when it is told so; others have begun. Null: all is well.
    private static string? Begin(OutlivingFolder? folder, Child child)
    {
        try
        {
            Ready(folder, child);
            child.Process.Control?.Send("go\n");
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException)
        {
            child.Process.KillAll();
            return $"{child.Name} cannot be written down, so that it would outlive its agent unknown: {e.Message}";
        }
    }

    private void Forget(string id)
    {
        try
        {
            _folder?.Forget(id);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"the record of process {id}, which has ended, cannot be removed: {e.Message}");
        }
    }

    // What outlives this agent is followed until this agent stops.
    private Task Until(Child child) => child.Request.Options.Daemonize ? Task.WhenAny(child.Process.Exited, _stopped.Task) : child.Process.Exited;
}
