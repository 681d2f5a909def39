using GlooX.Slots;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>
/// Records the detached processes of this agent, those that outlive it, for the agent after it. A process is recorded before it has anything to do, and
/// again once it is ready and a caller may know of it. So the next agent finds all that run, and ends those of which no caller was told. Thread-safe.
/// </summary>
internal sealed class DetachedProcesses(IMachine machine, ILogger logger) : IDisposable
{
    private DetachedProcessStore? _store;

    /// <summary>From now on processes are recorded in <paramref name="store"/>; null: nowhere, so the next agent will not know them.</summary>
    public void Open(DetachedProcessStore? store) => _store = store;

    /// <summary>The file that a process leaves its exit code in.</summary>
    public string ExitFileOf(string id) => _store?.ExitFile(id) ?? "/dev/null";

    /// <summary>The file that a class leaves its exit code in; empty: it leaves none.</summary>
    public string ExitFileOf(Child child) => _store is null || child.Record is null ? "" : ExitFileOf(child.Id);

    /// <summary>Records a process, or its new run, before it has anything to do; does nothing for a process that ends with this agent.</summary>
    /// <exception cref="IOException">The record cannot be written: the process must not run.</exception>
    /// <exception cref="UnauthorizedAccessException">The record may not be written: the process must not run.</exception>
    public void Record(Child child)
    {
        if (child.Request.Options.Daemonize && machine.FindProcess(child.Process.Pid) is { } stamp)
        {
            child.Record = new ReservationRecord
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
            };
            _store?.Records.Put(child.Record);
        }
    }

    /// <summary>Records that a process is ready: the next agent adopts it instead of ending it.</summary>
    /// <inheritdoc cref="Record"/>
    public void Confirm(Child child)
    {
        if (child.Record is { } record && !child.Process.Exited.IsCompleted)
        {
            if (MayRestart(child) && !child.IsEnding)
            {
                StoredRestart.Write(_store!.RestartFile(child.Id), child);
            }

            child.Record = record with { Ready = true, Url = child.Url };
            _store?.Records.Put(child.Record);
        }
    }

    /// <summary>Records that a process is about to be restarted.</summary>
    /// <inheritdoc cref="Record"/>
    public void RecordRestart(Child child)
    {
        if (MayRestart(child) && !child.IsEnding)
        {
            _store!.ForgetExit(child.Id);
            StoredRestart.Write(_store.RestartFile(child.Id), child);
        }
    }

    /// <summary>Whether the agent after this one may restart a process.</summary>
    public bool MayRestart(Child child) => _store is not null && child.Record is not null && child.Request.Restart.Mode != RestartMode.Never;

    /// <summary>A process is not to be restarted, by the next agent neither. Never throws.</summary>
    public void ForgetRestart(Child child)
    {
        if (MayRestart(child))
        {
            Change(child.Id, static (store, id) => store.ForgetRestart(id));
        }
    }

    /// <summary>A process has ended for good. Never throws.</summary>
    public void Forget(Child child)
    {
        if (child.Record is not null)
        {
            Change(child.Id, static (store, id) => store.Forget(id));
        }
    }

    public void Dispose() => _store?.Dispose();

    private void Change(string id, Action<DetachedProcessStore, string> change)
    {
        try
        {
            if (_store is not null)
            {
                change(_store, id);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            logger.RecordNotRemoved(id, e.Message);
        }
    }
}
