using GlooX.Bundles;
using GlooX.Contracts;
using GlooX.Hosts;
using GlooX.Slots;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>Starts processes, for the first time or again: a program, or a host from the pool. They have nothing to do yet. A start that fails leaves nothing behind.</summary>
internal sealed class ProcessStarter(HostPool hosts, AgentWorkspace workspace, ControlGroups? groups, DetachedProcesses detached, ILogger logger)
{
    /// <summary>Starts a process, which has nothing to do yet.</summary>
    /// <param name="request">What is asked; the folder of the process is made here.</param>
    /// <param name="files">The bundle of the process.</param>
    /// <param name="reservation">The reservation of the process.</param>
    /// <param name="node">This node.</param>
    /// <exception cref="FileNotFoundException">This node has no such command.</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">The system could not start the process.</exception>
    /// <exception cref="IOException">The folder of the process cannot be made.</exception>
    public Child Start(SpawnRequest request, BundleLease files, Reservation reservation, string node)
    {
        (string id, string log, ProcessRun run) = request.Command.Length > 0 ? StartProgram(request, files, node) : TakeHost(request, files);
        request = request with { Options = request.Options with { TmpDir = run.Enforcer.Folder } };
        return new Child(id, log, run, reservation, request, files, new ChildOutput(log));
    }

    /// <summary>The undo of <see cref="Start"/>: nothing of the process is left.</summary>
    public async Task DiscardAsync(Child child)
    {
        child.Process.KillAll();
        await child.Process.Exited.ConfigureAwait(false);
        await child.Run.CloseAsync().ConfigureAwait(false);
        workspace.Remove(child.Request.Options.TmpDir);
        workspace.RemoveLog(child.Log);
    }

    /// <summary>Starts a process again of which nothing runs any more.</summary>
    /// <param name="child">The process.</param>
    /// <param name="node">This node.</param>
    /// <exception cref="FileNotFoundException">This node has no such command.</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">The system could not start the process.</exception>
    /// <exception cref="IOException">The log of the process cannot be written.</exception>
    public ProcessRun StartAgain(Child child, string node)
    {
        OtherUser? user = UserOf(child.Request);
        workspace.Renew(child.Request.Options.TmpDir, user);
        if (child.Request.Command.Length > 0)
        {
            return StartProgram(child.Request, child.Lease!, user, node, child.Id, child.Log);
        }

        ChildProcess process = hosts.StartAgain(child.Id, child.Log, child.Request, user).Process;
        return Watched(process, child.Request, child.Id, child.Log, child.Request.Options.TmpDir, CopyFor(user, child.Lease!, child.Id));
    }

    /// <summary>The same, with the user as whom the process runs here.</summary>
    public SpawnRequest WithUser(SpawnRequest request) => hosts.Launching.WithUser(request);

    /// <summary>Why this node cannot start a process as it was asked to, though another may; null: it can.</summary>
    public string? Fault(SpawnRequest request) => hosts.Launching.Fault(request);

    /// <summary>The start is over, well or not.</summary>
    public void StartEnded(ProcessRun? run)
    {
        if (run?.Host is not null)
        {
            hosts.Used();
        }
    }

    private OtherUser? UserOf(SpawnRequest request)
    {
        if (Fault(request) is { } fault)
        {
            throw new IOException($"this node {fault}"); // it was started by an agent before this one, which allowed more
        }

        if (request.User.Length == 0)
        {
            return null;
        }

        workspace.LetOthersThrough();
        return OtherUser.Find(request.User) ?? throw new IOException($"there is no user '{request.User}' any more");
    }

    private (string Id, string Log, ProcessRun Run) StartProgram(SpawnRequest request, BundleLease lease, string node)
    {
        OtherUser? user = UserOf(request);
        (string id, string log, string folder) = workspace.New(request.Options.KeepTmpDir);
        try
        {
            return (id, log, StartProgram(request with { Options = request.Options with { TmpDir = folder } }, lease, user, node, id, log));
        }
        catch
        {
            workspace.Remove(folder);
            workspace.RemoveLog(log);
            throw;
        }
    }

    private (string Id, string Log, ProcessRun Run) TakeHost(SpawnRequest request, BundleLease lease)
    {
        OtherUser? user = UserOf(request);
        Host host = hosts.Take(Path.Combine(lease.Folder, request.Assembly), request, user);
        try
        {
            return (host.Id, host.Log, Watched(host.Process, request, host.Id, host.Log, host.Folder, CopyFor(user, lease, host.Id), host));
        }
        catch
        {
            host.Process.KillAll();
            host.Process.Control?.Dispose();
            workspace.Remove(host.Folder);
            workspace.RemoveLog(host.Log);
            hosts.Used();
            throw;
        }
    }

    private ProcessRun StartProgram(SpawnRequest request, BundleLease lease, OtherUser? user, string node, string id, string log)
    {
        string? copy = CopyFor(user, lease, id);
        ControlGroup? group = null;
        try
        {
            user?.Give(request.Options.TmpDir);
            group = request.Options.Daemonize ? null : groups?.Create(id, request.Need()); // a detached process waits for a word, and is moved before that
            string files = copy ?? lease.Folder;
            ChildProcess process = Executable.Start(
                request, files, lease.LockFile, node, hosts.Launching, user, group, id, log, detached.ExitFileOf(id));
            return Watched(process, request, id, log, request.Options.TmpDir, copy, group: group);
        }
        catch
        {
            group?.TryRemove();
            if (copy is not null)
            {
                workspace.Remove(copy);
            }

            throw;
        }
    }

    // The store is this process's user's alone.
    private string? CopyFor(OtherUser? user, BundleLease lease, string id)
    {
        if (user is null)
        {
            return null;
        }

        string copy = workspace.FilesOf(id);
        try
        {
            user.Copy(lease.Folder, copy);
            return copy;
        }
        catch
        {
            workspace.Remove(copy);
            throw;
        }
    }

    private ProcessRun Watched(ChildProcess process, SpawnRequest request, string id, string log, string folder, string? files, Host? host = null, ControlGroup? group = null)
    {
        try
        {
            var enforcer = new ResourceEnforcer(process, request.Need(), id, log, groups, group, folder, adopted: false, logger);
            return new ProcessRun(process, enforcer, workspace) { Host = host, Files = files };
        }
        catch
        {
            process.KillAll();
            process.Control?.Dispose();
            throw;
        }
    }
}
