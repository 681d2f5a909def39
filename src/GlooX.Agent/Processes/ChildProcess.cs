using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using GlooX.Workers;

namespace GlooX.Processes;

/// <summary>How an executable starts.</summary>
/// <param name="Folder">In which it begins.</param>
/// <param name="Input">What it reads from its standard input.</param>
/// <param name="Variables">Beside those that the agent passes on.</param>
/// <param name="LockFile">What it locks, shared, as long as it lives, without knowing.</param>
/// <param name="ExitFile">
/// Null: it is killed when this process ends, however that ends. Else it outlives this process, waits for a word on its private line before it
/// begins, and its exit code is left there.
/// </param>
internal sealed record ProgramStart(string Folder, byte[] Input, IReadOnlyDictionary<string, string> Variables, string LockFile, string? ExitFile)
{
    /// <summary>As whom it runs; null: as this process's user.</summary>
    public OtherUser? User { get; init; }
}

/// <summary>
/// A process of an agent: what a launcher has started, and what ties it to this process. Its outputs go to two files; its third descriptor is
/// the private line to this process, or the file that it holds.
/// </summary>
internal sealed class ChildProcess
{
    private const string Shell = "/bin/sh";

    // An executable does not watch this process. This does: it is told the executable's process id, and when the line breaks, it kills the session.
    // If it breaks before that, the executable may be starting nevertheless, and is known by the name in its variables alone.
    private const string Guard = """
        read -r pid <&3 && read -r end <&3
        if [ -n "$pid" ]; then kill -s KILL -- "-$pid"; exit; fi
        for look in 1 2 3 4 5 6 7 8 9 10; do
            for process in /proc/[0-9]*; do
                grep -qsaF "GLOOX_ID=$1" "$process/environ" && kill -s KILL -- "-${process#/proc/}"
            done
            sleep 0.1
        done
        """;

    // Around an executable that outlives this process: waits until it is recorded, and records how it ends. 128 and more is a signal.
    private const string Wrap = """
        read -r go <&3 || exit 0
        exec 3<&-
        note=$1
        shift
        trap : TERM INT HUP QUIT
        "$@"
        code=$?
        echo $code > "$note.new" && mv "$note.new" "$note"
        if [ $code -gt 128 ]; then trap - TERM INT HUP QUIT; kill -$((code - 128)) $$; fi
        exit $code
        """;

    private readonly ILaunchedProcess _process;

    private ChildProcess(ILaunchedProcess process, Control? control, ChildProcess? guard)
    {
        (_process, Control) = (process, control);
        Exited = guard is null ? process.Exited : EndAsync(process, guard);
    }

    public int Pid => _process.Pid;

    /// <summary>The private line; an executable that ends with this process has none.</summary>
    public Control? Control { get; }

    public Task<ExitStatus> Exited { get; }

    /// <summary>A process that an agent before this one started, and that runs; null: it has ended.</summary>
    public static ChildProcess? TakeOver(int pid, Func<bool> isThat, Func<ExitStatus> noted) =>
        LinuxProcess.TakeOver(pid, isThat, noted) is { } process ? new ChildProcess(process, null, null) : null;

    /// <summary>A process that has ended while no agent was there.</summary>
    public static ChildProcess Ended(int pid, ExitStatus exit) => new(LinuxProcess.Ended(pid, exit), null, null);

    /// <summary>Starts a host.</summary>
    /// <param name="rule">How.</param>
    /// <param name="file">What to run.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="log">Where its output goes.</param>
    /// <param name="variables">Beside those that the agent passes on.</param>
    /// <param name="user">As whom; null: as this process's user.</param>
    /// <exception cref="IOException">It could not be started.</exception>
    /// <exception cref="PlatformNotSupportedException">Not Linux.</exception>
    /// <exception cref="Win32Exception">The system could not start it.</exception>
    public static ChildProcess Start(LaunchRule rule, string file, string[] arguments, string log, IEnumerable<KeyValuePair<string, string>> variables, OtherUser? user = null)
    {
        ProcessLauncher.RequireLinux();
        (SafeSocketHandle mine, SafeSocketHandle its) = LinuxDescriptors.Line();
        using (its)
        {
            var control = new Control(new Socket(mine));
            try
            {
                return new ChildProcess(Start(rule.Launcher, Launch(file, arguments, log, HostVariables(rule, variables)) with { Descriptors = new Dictionary<int, SafeHandle> { [Control.Descriptor] = its } }, user), control, null);
            }
            catch
            {
                control.Dispose();
                throw;
            }
        }
    }

    /// <summary>Starts an executable, which knows nothing of this process.</summary>
    /// <param name="rule">How.</param>
    /// <param name="file">What to run.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="log">Where its output goes.</param>
    /// <param name="program">All else.</param>
    /// <exception cref="IOException">It could not be started.</exception>
    /// <exception cref="PlatformNotSupportedException">Not Linux.</exception>
    /// <exception cref="Win32Exception">The system could not start it.</exception>
    public static ChildProcess Start(LaunchRule rule, string file, string[] arguments, string log, ProgramStart program)
    {
        ProcessLauncher.RequireLinux();
        Dictionary<string, string> variables = Variables(rule, program.Variables);
        using SafeHandle input = LinuxDescriptors.Input(program.Input);
        using SafeHandle held = LinuxDescriptors.Lock(program.LockFile);
        return program.ExitFile is null
            ? StartTied(rule.Launcher, Launch(file, arguments, log, variables) with { Folder = program.Folder, Descriptors = new Dictionary<int, SafeHandle> { [0] = input, [Control.Descriptor] = held } }, program.User)
            : StartFree(rule.Launcher, Launch(Shell, ["-c", Wrap, "gloox", program.ExitFile, file, .. arguments], log, variables) with { Folder = program.Folder }, input, held);
    }

    /// <summary>Kills the process and all that it started.</summary>
    public void KillAll() => _process.Kill();

    /// <summary>Asks the process and all that it started to end.</summary>
    public void TerminateAll() => _process.Terminate();

    private static ChildProcess StartTied(IProcessLauncher launcher, ProcessLaunch launch, OtherUser? user)
    {
        ChildProcess guard = Start(LaunchRule.Plain, Shell, ["-c", Guard, "gloox", launch.Environment["GLOOX_ID"]], "/dev/null", []);
        ILaunchedProcess? process = null;
        try
        {
            process = Start(launcher, launch, user);
            guard.Control!.Send($"{process.Pid}\n"); // before a caller waits for its end, with which the guard ends
            return new ChildProcess(process, null, guard);
        }
        catch
        {
            process?.Kill();
            guard.End();
            throw;
        }
    }

    private static ChildProcess StartFree(IProcessLauncher launcher, ProcessLaunch launch, SafeHandle input, SafeHandle held)
    {
        (SafeSocketHandle mine, SafeSocketHandle its) = LinuxDescriptors.Line();
        using (its)
        {
            var control = new Control(new Socket(mine));
            try
            {
                Dictionary<int, SafeHandle> descriptors = new() { [0] = input, [Control.Descriptor] = its, [Control.Descriptor + 1] = held };
                return new ChildProcess(Start(launcher, launch with { Descriptors = descriptors }), control, null);
            }
            catch
            {
                control.Dispose();
                throw;
            }
        }
    }

    private static ILaunchedProcess Start(IProcessLauncher launcher, ProcessLaunch launch, OtherUser? user = null)
    {
        try
        {
            return launcher.Start(user?.Start(launch) ?? launch) ?? throw new IOException("it gave no process back");
        }
        catch (Exception e) when (launcher != ProcessLauncher.Local)
        {
            throw new IOException($"the launcher {launcher.GetType()} of this node could not start {launch.File}: {e.Message}", e);
        }
    }

    private static ProcessLaunch Launch(string file, IReadOnlyList<string> arguments, string log, IReadOnlyDictionary<string, string> variables) =>
        new() { File = file, Arguments = arguments, Environment = variables, Output = log, Errors = ChildOutput.ErrorsOf(log) };

    // Those that the agent passes on, and beside them, or instead, others.
    private static Dictionary<string, string> Variables(LaunchRule rule, IEnumerable<KeyValuePair<string, string>> others)
    {
        Dictionary<string, string> variables = rule.Variables();
        foreach ((string name, string value) in others)
        {
            variables[name] = value;
        }

        return variables;
    }

    // The same, and where they say nothing else, settings of the runtime for a quick and small start.
    private static Dictionary<string, string> HostVariables(LaunchRule rule, IEnumerable<KeyValuePair<string, string>> others)
    {
        Dictionary<string, string> variables = Variables(rule, others);
        foreach ((string name, string value) in ((string, string)[])[("DOTNET_TieredPGO", "0"), ("DOTNET_gcServer", "0"), ("DOTNET_gcConcurrent", "0"), ("DOTNET_EnableWriteXorExecute", "0")])
        {
            variables.TryAdd(name, value);
        }

        return variables;
    }

    private static async Task<ExitStatus> EndAsync(ILaunchedProcess process, ChildProcess guard)
    {
        ExitStatus exit = await process.Exited.ConfigureAwait(false);
        guard.End();
        return exit;
    }

    private void End()
    {
        KillAll();
        Control?.Dispose();
    }
}
