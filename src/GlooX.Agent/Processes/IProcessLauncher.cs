using System.Runtime.InteropServices;
using GlooX.Processes;

namespace GlooX;

/// <summary>
/// How an agent starts the processes of its machine: hosts of classes, warm ones too, and executables. <see cref="ProcessLauncher.Local"/> is the
/// default; another one may change the command and hand it on, to start it in a container, with other priorities, or under a tool.
/// </summary>
/// <remarks>
/// Called from many threads at once. Who outlives its agent is taken over by its process id, and what is left when an agent was killed is ended by
/// its process group, whatever launcher started it: a launcher ends with <c>exec</c>, so that the process has both.
/// </remarks>
/// <example><code>
/// sealed class Nice : IProcessLauncher
/// {
///     public ILaunchedProcess Start(ProcessLaunch launch) =>
///         ProcessLauncher.Local.Start(launch with { File = "/usr/bin/nice", Arguments = ["-n", "5", launch.File, .. launch.Arguments] });
/// }
/// </code></example>
public interface IProcessLauncher
{
    /// <summary>Starts a process; must not block for long.</summary>
    /// <param name="launch">What to start.</param>
    /// <returns>The process. An exception, whatever it is, fails the spawn with its message.</returns>
    /// <exception cref="IOException">It cannot be started.</exception>
    ILaunchedProcess Start(ProcessLaunch launch);
}

/// <summary>A process that a launcher has started. All members are safe for concurrent use.</summary>
public interface ILaunchedProcess
{
    /// <summary>Its process id on this machine; it leads a session and a process group of that id.</summary>
    int Pid { get; }

    /// <summary>How it ended, once nothing that it started runs any more in its group. Must complete, and never fails.</summary>
    Task<ExitStatus> Exited { get; }

    /// <summary>Kills it and all that it started, at once; does nothing when it has ended.</summary>
    void Kill();

    /// <summary>Asks it and all that it started to end (SIGTERM); does nothing when it has ended.</summary>
    void Terminate();
}

/// <summary>What a launcher starts. Immutable.</summary>
public sealed record ProcessLaunch
{
    /// <summary>The program, as a full path.</summary>
    public required string File { get; init; }

    /// <summary>Its arguments, without the program's own name. Default: none.</summary>
    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>All of its variables: it has no others.</summary>
    public required IReadOnlyDictionary<string, string> Environment { get; init; }

    /// <summary>The folder that it begins in. Null (default): this process's.</summary>
    public string? Folder { get; init; }

    /// <summary>The file that its standard output is appended to, made if it is missing, for this user alone.</summary>
    public required string Output { get; init; }

    /// <summary>The file that its error output is appended to, made if it is missing, for this user alone.</summary>
    public required string Errors { get; init; }

    /// <summary>
    /// What else it finds open, by the numbers that it finds it at: 0 its input (else there is none), 3 its line to the agent, or a file that it
    /// holds open without knowing, and 4 such a file beside a line. It must keep all of them, and have none beside. They are the agent's,
    /// and may be closed as soon as the process has started.
    /// </summary>
    public IReadOnlyDictionary<int, SafeHandle> Descriptors { get; init; } = new Dictionary<int, SafeHandle>();
}

/// <summary>The launcher of this machine.</summary>
public static class ProcessLauncher
{
    /// <summary>
    /// Starts processes directly, each in a session of its own. On Linux; elsewhere <see cref="IProcessLauncher.Start"/> throws
    /// <see cref="PlatformNotSupportedException"/>.
    /// </summary>
    public static IProcessLauncher Local { get; } = OperatingSystem.IsLinux() ? new LinuxLauncher() : new NoLauncher();

    internal static void RequireLinux()
    {
        if (!OperatingSystem.IsLinux())
        {
            throw Unsupported();
        }
    }

    private static PlatformNotSupportedException Unsupported() =>
        new($"processes are started on Linux only so far, and this is {RuntimeInformation.OSDescription}: spawn on a node with Linux");

    private sealed class NoLauncher : IProcessLauncher
    {
        public ILaunchedProcess Start(ProcessLaunch launch) => throw Unsupported();
    }
}
