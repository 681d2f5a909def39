using System.Net.Sockets;
using GlooX.Bundles;
using GlooX.Contracts;
using GlooX.Hosts;
using GlooX.Slots;
using GlooX.Workers;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>Starts processes, for the first time or again, and has them get ready. What does not get so far is ended with all that it started.</summary>
internal sealed class ProcessStarter(ChildIdentity identity, Func<string> advertisedHost, HostPool hosts, AgentWorkspace workspace, ControlGroups? groups, ILogger logger)
{
    private static readonly TimeSpan s_endGrace = TimeSpan.FromSeconds(2);

    /// <summary>Starts a process, which has been given nothing to do yet.</summary>
    /// <param name="request">What is asked; its folder is made here.</param>
    /// <param name="lease">Its bundle.</param>
    /// <param name="node">This node.</param>
    /// <param name="exitFile">Where it leaves its exit code if it outlives its agent, by its id.</param>
    /// <exception cref="FileNotFoundException">This node has no such command.</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">The system could not start it.</exception>
    /// <exception cref="IOException">Its folder cannot be made.</exception>
    public (string Id, string Log, ProcessRun Run) Start(SpawnRequest request, BundleLease lease, string node, Func<string, string> exitFile)
    {
        OtherUser? user = UserOf(request);
        if (request.Command.Length > 0)
        {
            (string id, string log, string folder) = workspace.New(request.Options.KeepTmpDir);
            try
            {
                return (id, log, StartProgram(request with { Options = request.Options with { TmpDir = folder } }, lease, user, node, id, log, exitFile(id)));
            }
            catch
            {
                workspace.Remove(folder);
                workspace.RemoveLog(log);
                throw;
            }
        }

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

    /// <summary>Starts a process of which nothing runs any more.</summary>
    /// <param name="child">It.</param>
    /// <param name="node">This node.</param>
    /// <param name="exitFile">Where it leaves its exit code if it outlives its agent.</param>
    /// <exception cref="FileNotFoundException">This node has no such command.</exception>
    /// <exception cref="System.ComponentModel.Win32Exception">The system could not start it.</exception>
    /// <exception cref="IOException">Its log cannot be written.</exception>
    public ProcessRun StartAgain(Child child, string node, string exitFile)
    {
        GlooXHome.CreateFolder(child.Request.Options.TmpDir); // it may have removed it
        File.Delete(Readiness.FileIn(child.Request.Options.TmpDir));
        OtherUser? user = UserOf(child.Request);
        if (child.Request.Command.Length > 0)
        {
            return StartProgram(child.Request, child.Lease!, user, node, child.Id, child.Log, exitFile);
        }

        ChildProcess process = hosts.StartAgain(child.Id, child.Log, child.Request, user).Process;
        return Watched(process, child.Request, child.Id, child.Log, child.Request.Options.TmpDir, CopyFor(user, child.Lease!, child.Id));
    }

    /// <summary>Why this node cannot start a process as it was asked to, though another may; null: it can.</summary>
    public string? Fault(SpawnRequest request) => identity.Fault(request) ?? hosts.Launching.Fault(request);

    /// <summary>Gives a class to its host, and waits until it answers.</summary>
    /// <param name="child">It, in the run that is to get ready.</param>
    /// <param name="url">Where it is to listen.</param>
    /// <param name="exitFile">Where it leaves its exit code; empty: nowhere.</param>
    /// <param name="isWanted">Asked when it answers: null, or why it must not go on.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>Why it does not answer; null: it does.</returns>
    /// <exception cref="IOException">It cannot be written down as ready.</exception>
    /// <exception cref="OperationCanceledException">It was given up, or took longer than it may.</exception>
    public async Task<string?> GetReadyAsync(Child child, string url, string exitFile, Func<string?> isWanted, CancellationToken ct)
    {
        try
        {
            SpawnRequest request = child.Request;
            ProcessRun run = child.Run;
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
            limit.CancelAfter(request.StartTimeoutMilliseconds);
            IReadOnlyList<Revocation> revoked = identity.Revocations;
            Identity own = identity.Make(request, child.Id);
            child.ProcessName = own.ProcessName ?? "";
            string assembly = Path.Combine(run.Files ?? child.Lease!.Folder, request.Assembly);
            var assignment = new Assignment(assembly, run.Files is null ? child.Lease!.LockFile : "", request.Class, own.Export(), request.Options with { Url = url })
            {
                AdvertisedHost = advertisedHost(),
                HeapLimitBytes = HeapLimit.Of(request.MemoryBytes),
                ExitFile = exitFile,
                Environment = request.Environment,
                Revoked = [.. revoked.Select(static r => r.ToString())],
            };
            HostReport? report = await AssignAsync(run.Process.Control!, assignment, limit.Token).ConfigureAwait(false);
            if (report is { Ready: true })
            {
                run.Enforcer.Enforced |= report.HeapLimited ? Enforcement.HeapLimit : Enforcement.None;
                child.Url = report.Url;
                if (isWanted() is not { } reason)
                {
                    run.Told = revoked;
                    return null;
                }

                run.Process.KillAll();
                report = new HostReport(false, "", reason);
            }

            // It said why, or its exit code is the reason; it is ending by itself.
            ExitStatus exit = await EndAsync(run.Process).ConfigureAwait(false);
            child.MayStartElsewhere = report is { TryElsewhere: true };
            return report?.Reason ?? $"it ended with {exit} before it was ready";
        }
        catch (Exception e)
        {
            child.Process.KillAll(); // whatever happened, nothing may be left of it
            if (e is IOException or UnauthorizedAccessException or OperationCanceledException)
            {
                await child.Process.Exited.ConfigureAwait(false);
            }

            throw;
        }
        finally
        {
            StartEnded(child.Run);
        }
    }

    /// <summary>The start is over, well or not.</summary>
    public void StartEnded(ProcessRun run)
    {
        if (run.Host is not null)
        {
            hosts.Used();
        }
    }

    // Null: it has ended, or is ending.
    private static async Task<HostReport?> AssignAsync(Control control, Assignment assignment, CancellationToken ct)
    {
        try
        {
            await control.SendAsync(assignment, ct).ConfigureAwait(false);
            return await control.ReceiveAsync(ControlFormat.ReadReport, ct).ConfigureAwait(false);
        }
        catch (SocketException)
        {
            return null;
        }
    }

    // The line to a host closes a moment before the process has ended.
    private static async Task<ExitStatus> EndAsync(ChildProcess process)
    {
        if (await Task.WhenAny(process.Exited, Task.Delay(s_endGrace)).ConfigureAwait(false) != process.Exited)
        {
            process.KillAll();
        }

        return await process.Exited.ConfigureAwait(false);
    }

    private static OtherUser? UserOf(SpawnRequest request) => request.User.Length > 0
        ? OtherUser.Find(request.User) ?? throw new IOException($"there is no user '{request.User}' any more")
        : null;

    private ProcessRun StartProgram(SpawnRequest request, BundleLease lease, OtherUser? user, string node, string id, string log, string exitFile)
    {
        string? copy = CopyFor(user, lease, id);
        try
        {
            user?.Give(request.Options.TmpDir);
            ChildProcess process = Executable.Start(request, copy ?? lease.Folder, lease.LockFile, node, hosts.Launching, user, id, log, exitFile);
            return Watched(process, request, id, log, request.Options.TmpDir, copy);
        }
        catch
        {
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

    private ProcessRun Watched(ChildProcess process, SpawnRequest request, string id, string log, string folder, string? files, Host? host = null)
    {
        try
        {
            return new ProcessRun(process, new ResourceEnforcer(process, request.Need(), id, log, groups, folder, adopted: false, logger), workspace) { Host = host, Files = files };
        }
        catch
        {
            process.KillAll();
            process.Control?.Dispose();
            throw;
        }
    }
}
