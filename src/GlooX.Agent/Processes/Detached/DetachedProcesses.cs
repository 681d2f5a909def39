using GlooX.Lifecycle;
using GlooX.Slots;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>
/// Records the detached processes of this agent, those that outlive it, for the agent after it. A process is recorded before it has
/// anything to do, and again once it is ready and a caller may know of it. So the next agent finds all that run, and ends those of which no
/// caller was told. Thread-safe.
/// </summary>
internal sealed class DetachedProcesses(AgentState state, IMachine machine, ILogger logger) : IDisposable
{
    private readonly Lock _gate = new();
    private AgentFolder? _folder;

    /// <summary>From now on processes are recorded; with null they are not, so the next agent will not know them.</summary>
    public void Open(AgentFolder? folder)
    {
        _folder = folder;
        if (folder is not null)
        {
            state.Use(folder);
        }
    }

    /// <summary>The records of the agent before this one; one that is damaged is null.</summary>
    /// <exception cref="IOException">The records cannot be read now.</exception>
    public IReadOnlyList<(string Id, DetachedRecord? Record)> Load()
    {
        (string Id, DetachedRecord?)[] records = [.. state.List(AgentState.DetachedKind)
            .Select(static r => (r.Id, DetachedRecord.FromBytes(r.Value)))];
        _folder?.RemoveExits(records.Select(static r => r.Id).ToHashSet(StringComparer.Ordinal));
        return records;
    }

    /// <summary>The file that a program leaves its exit code in.</summary>
    public string ExitFileOf(string id) => _folder?.ExitFile(id) ?? "/dev/null";

    /// <summary>
    /// Records a process, or its new run, before it has anything to do; does nothing for a process that ends with this agent.
    /// </summary>
    /// <exception cref="IOException">The record cannot be written: the process must not run.</exception>
    /// <exception cref="UnauthorizedAccessException">The record may not be written: the process must not run.</exception>
    public void Record(Child child)
    {
        if (_folder is null || !child.Request.Options.Daemonize || machine.FindProcess(child.Process.Pid) is not { } stamp)
        {
            return;
        }

        _folder.ResetExit(child.Id);
        string exitFile = ExitFileOf(child.Id);
        if (child.Record is { } before && before.ExitFile != exitFile)
        {
            AgentFolder.RemoveExit(before.ExitFile); // of an agent at another address
        }

        bool restarts = child.Request.Restart.Mode != RestartMode.Never;
        var request = restarts ? child.Request
            : child.Request with { Environment = [], Options = child.Request.Options with { Values = [] } };
        Save(child, Counted(child, new DetachedRecord(
            child.Id, child.Process.Pid, stamp.Started, stamp.Session, stamp.Boot, request, child.Log, exitFile,
                child.Started) { Url = child.Url }));
    }

    /// <summary>Records that a process is ready: the next agent adopts it instead of ending it.</summary>
    /// <inheritdoc cref="Record"/>
    public void Confirm(Child child)
    {
        if (child.Record is { } record)
        {
            Save(child, Counted(child, record with { Ready = true, Url = child.Url, ProcessName = child.ProcessName }));
        }
    }

    /// <summary>Records that a process is about to be restarted.</summary>
    /// <inheritdoc cref="Record"/>
    public void RecordRestart(Child child)
    {
        if (child.Record is { } record)
        {
            Save(child, Counted(child, record));
        }
    }

    /// <summary>Whether the agent after this one may restart a process.</summary>
    public static bool MayRestart(Child child) => child.Record?.MayRestart() == true;

    /// <summary>A process that was asked to end is not to be restarted, by the next agent neither. Never throws.</summary>
    public void ForgetRestart(Child child)
    {
        if (MayRestart(child))
        {
            Change(child.Id, () =>
            {
                lock (_gate)
                {
                    Save(child, child.Record!);
                }
            });
        }
    }

    /// <summary>A process has ended for good. Never throws.</summary>
    public void Forget(Child child)
    {
        if (child.Record is { } record)
        {
            Change(child.Id, () => Forget(record));
        }
    }

    /// <summary>A process has ended for good.</summary>
    /// <exception cref="IOException">The record could not be deleted.</exception>
    public void Forget(DetachedRecord record)
    {
        state.Delete(AgentState.DetachedKind, record.Id);
        AgentFolder.RemoveExit(record.ExitFile);
    }

    public void Dispose() => _folder?.Dispose();

    private static DetachedRecord Counted(Child child, DetachedRecord record) =>
        record with { Restarts = child.Restarts, RestartTimes = [.. child.Rule.Restarts.Select(static t => t.Ticks)] };

    // A process that was asked to end is not to be restarted, whichever thread comes first.
    private void Save(Child child, DetachedRecord record)
    {
        lock (_gate)
        {
            child.Record = child.IsEnding ? record with { Request = record.Request with { Restart = RestartPolicy.Never } } : record;
            state.Put(AgentState.DetachedKind, record.Id, child.Record.ToBytes());
        }
    }

    private void Change(string id, Action change)
    {
        try
        {
            change();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or ObjectDisposedException)
        {
            logger.RecordNotRemoved(id, e.Message);
        }
    }
}
