using System.Net.Sockets;
using System.Reflection;
using System.Runtime.InteropServices;
using GlooX.Payloads;

namespace GlooX.Workers;

/// <summary>
/// Inside a host: takes one assignment, loads the payload, serves it, and ends with it. If the agent goes away, a process that does not
/// daemonize ends at once, with all that it started.
/// </summary>
public static class HostProcess
{
    internal const string WarmArgument = "warm";
    private const int Terminated = 128 + 15;

    /// <summary>Runs until the payload ends; called by <c>gloox-host</c> only.</summary>
    /// <returns>The exit code.</returns>
    [System.ComponentModel.EditorBrowsable(System.ComponentModel.EditorBrowsableState.Never)]
    public static async Task<int> RunAsync()
    {
        LinuxDescriptors.KeepFromChildren(Control.Descriptor);
        string? id = Environment.GetEnvironmentVariable(LinuxMark.Variable);
        using var control = new Control(new Socket(new SafeSocketHandle(Control.Descriptor, ownsHandle: true)));
        if (Environment.GetCommandLineArgs().Contains(WarmArgument, StringComparer.Ordinal))
        {
            await WarmUp.RunAsync(static (assembly, className) => Load(assembly, className, null)).ConfigureAwait(false);
            GC.Collect();
            await ReportAsync(control, new HostReport(true, "", "")).ConfigureAwait(false);
        }

        PreparedPayload? prepared = null;
        Assignment? assignment = await control.ReceiveAsync(ControlFormat.ReadAssignment, CancellationToken.None).ConfigureAwait(false);
        if (assignment is { IsPreparation: true })
        {
            prepared = await PrepareAsync(control, assignment).ConfigureAwait(false);
            assignment = await control.ReceiveAsync(ControlFormat.ReadAssignment, CancellationToken.None).ConfigureAwait(false);
        }

        if (assignment is null)
        {
            if (Environment.GetEnvironmentVariable("GLOOX_TMPDIR") is { Length: > 0 } own)
            {
                RemoveFolder(own);
            }

            return 0; // the agent went away before it had use for this host
        }

        foreach ((string name, string value) in assignment.Environment)
        {
            Environment.SetEnvironmentVariable(name, value);
        }

        bool limited = HeapLimit.Apply(assignment.HeapLimitBytes);

        // As long as this process lives, its files stay: its agent, which holds them too, may end before it.
        using FileStream? held = assignment.LockFile.Length > 0 ? FileLock.TryShare(assignment.LockFile) : null;
        prepared?.Dispose();
        Worker worker;
        Identity identity;
        try
        {
            identity = Identity.Import(assignment.Identity);
            identity.Record(assignment.Revoked.Select(Revocation.Parse));
            identity.UseForProcess();
            worker = Load(assignment.Assembly, assignment.Class, prepared);
            await worker.StartAsync(identity, assignment.Options, assignment.AdvertisedHost).ConfigureAwait(false);
        }
        catch (Exception e)
        {
            Exception cause = e is TargetInvocationException { InnerException: { } inner } ? inner : e;
            Console.Error.WriteLine(cause);
            await ReportAsync(control,
                new HostReport(false, "", $"{cause.GetType().Name}: {cause.Message}") { TryElsewhere = cause is ListenException })
                .ConfigureAwait(false);
            return 70;
        }

        if (assignment.ExitFile.Length > 0)
        {
            AppDomain.CurrentDomain.ProcessExit += (_, _) => ExitNote.Write(assignment.ExitFile, Environment.ExitCode);
        }

        await ReportAsync(control, new HostReport(true, worker.Url, "") { HeapLimited = limited }).ConfigureAwait(false);
        using PosixSignalRegistration asked = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
        {
            context.Cancel = true;
            _ = Task.Run(() => EndAsync(worker)); // ends this process, whatever comes of it
        });
        while (await control.ReceiveAsync(ControlFormat.ReadRevoked, CancellationToken.None).ConfigureAwait(false) is { } revoked)
        {
            identity.Record(revoked.Select(Revocation.Parse));
        }

        if (assignment.Options.Daemonize)
        {
            worker.LoseParent();
            await Task.Delay(Timeout.Infinite).ConfigureAwait(false); // ends by a signal
        }

        // The agent cannot do it any more.
        if (assignment.Options.KeepTmpDir)
        {
            WorkFolder.RemoveTraces(assignment.Options.TmpDir);
        }
        else
        {
            RemoveFolder(assignment.Options.TmpDir);
        }

        // The agent is gone: so is this process, with all that it started.
        if (id is not null)
        {
            LinuxMark.KillAll(id);
        }

        LinuxSignal.KillOwnSession();
        return 0;
    }

    private static void RemoveFolder(string folder)
    {
        if (WorkFolder.TryRemove(folder) is { } fault)
        {
            Console.Error.WriteLine($"The folder {folder} of this process cannot be removed: {fault}");
        }
    }

    private static async Task<PreparedPayload?> PrepareAsync(Control control, Assignment assignment)
    {
        try
        {
            var prepared = new PreparedPayload(assignment.Assembly, assignment.LockFile);
            await ReportAsync(control, new HostReport(true, "", "")).ConfigureAwait(false);
            return prepared;
        }
        catch (Exception e)
        {
            await ReportAsync(control, new HostReport(false, "", e.Message)).ConfigureAwait(false);
            return null;
        }
    }

    private static async Task ReportAsync(Control control, HostReport report)
    {
        try
        {
            await control.SendAsync(report, CancellationToken.None).ConfigureAwait(false);
        }
        catch (SocketException)
        {
            // the agent is gone: the next read sees it too, and decides
        }
    }

    private static async Task EndAsync(Worker worker)
    {
        try
        {
            await worker.DisposeAsync().ConfigureAwait(false); // calls in flight may finish
        }
        finally
        {
            Environment.Exit(Terminated);
        }
    }

    private static Worker Load(string assembly, string className, PreparedPayload? prepared)
    {
        Assembly loaded = assembly == typeof(Worker).Assembly.Location ? typeof(Worker).Assembly
            : prepared?.Path == assembly ? prepared.Main
            : new PayloadContext("payload", assembly, isCollectible: false).LoadFromAssemblyPath(assembly);
        return (Worker)Activator.CreateInstance(loaded.GetType(className, throwOnError: true)!, nonPublic: true)!;
    }
}
