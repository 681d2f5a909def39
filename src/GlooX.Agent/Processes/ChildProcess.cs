using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using GlooX.Workers;
using Microsoft.Win32.SafeHandles;

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

    /// <summary>What it is in from its first instruction on; null: nothing of its own.</summary>
    public ControlGroup? Group { get; init; }
}

/// <summary>
/// A process of an agent: what a launcher has started, and what ties it to this process. Its outputs go to two files; its third descriptor is
/// the private line to this process, or the file that it holds.
/// </summary>
internal sealed class ChildProcess
{
    private const string Shell = "/bin/sh";

    // An executable does not watch this process. This does: it is told the executable's process id, and when the line breaks, it kills the session and
    // all that is known by the name in its variables. If it breaks before that, the executable may be starting nevertheless.
    private const string Guard = """
        read -r pid <&3 && read -r end <&3
        [ -n "$pid" ] && kill -s KILL -- "-$pid"
        for look in 1 2 3 4 5 6 7 8 9 10; do
            found=
            for file in $(grep -lsaF "GLOOX_ID=$1" /proc/[0-9]*/environ); do
                process=${file#/proc/}
                kill -s KILL "${process%/environ}" && found=1
            done
            [ -n "$pid" ] && [ -z "$found" ] && exit
            sleep 0.1
        done
        """;

    // Around an executable that outlives this process: waits until it is written down, and writes down how it ends. 128 and more is a signal.
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

    private ChildProcess(ILaunchedProcess process, string id, Control? control, ChildProcess? guard, ControlGroup? group = null)
    {
        (_process, Control, Group) = (process, control, group);
        Exited = EndAsync(id, guard);
    }

    public int Pid => _process.Pid;

    /// <summary>The private line; an executable that ends with this process has none.</summary>
    public Control? Control { get; }

    /// <summary>What is killed with the process; null: it has no control group.</summary>
    public ControlGroup? Group { get; set; }

    /// <summary>How it ended, once nothing that it started runs any more, whatever session that is in.</summary>
    public Task<ExitStatus> Exited { get; }

    /// <summary>A process that an agent before this one started, and that runs; null: it has ended.</summary>
    public static ChildProcess? TakeOver(int pid, string id, Func<bool> isThat, Func<ExitStatus> noted) =>
        LinuxProcess.TakeOver(pid, isThat, noted) is { } process ? new ChildProcess(process, id, null, null) : null;

    /// <summary>A process that has ended while no agent was there.</summary>
    public static ChildProcess Ended(int pid, string id, ExitStatus exit) => new(LinuxProcess.Ended(pid, exit), id, null, null);

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
                ProcessLaunch launch = Launch(file, arguments, log, HostVariables(rule, variables)) with { Descriptors = new Dictionary<int, SafeHandle> { [Control.Descriptor] = its } };
                return new ChildProcess(Start(rule, launch, user, group: null), IdOf(launch), control, null);
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
            ? StartTied(rule, Launch(file, arguments, log, variables) with { Folder = program.Folder, Descriptors = new Dictionary<int, SafeHandle> { [0] = input, [Control.Descriptor] = held } }, program)
            : StartFree(rule, Launch(Shell, ["-c", Wrap, "gloox", program.ExitFile, .. LaunchPrelude.Setting(variables), file, .. arguments], log, variables) with { Folder = program.Folder }, input, held);
    }

    /// <summary>Kills the process and all that it started.</summary>
    public void KillAll() => _process.Kill();

    /// <summary>Asks the process and all that it started to end.</summary>
    public void TerminateAll() => _process.Terminate();

    private static ChildProcess StartTied(LaunchRule rule, ProcessLaunch launch, ProgramStart program)
    {
        ChildProcess guard = Start(LaunchRule.Plain, Shell, ["-c", Guard, "gloox", IdOf(launch)], "/dev/null", []);
        ILaunchedProcess? process = null;
        try
        {
            process = Start(rule, launch, program.User, program.Group);
            guard.Control!.Send($"{process.Pid}\n"); // before a caller waits for its end, with which the guard ends
            return new ChildProcess(process, IdOf(launch), null, guard, program.Group);
        }
        catch
        {
            process?.Kill();
            guard.End();
            throw;
        }
    }

    private static ChildProcess StartFree(LaunchRule rule, ProcessLaunch launch, SafeHandle input, SafeHandle held)
    {
        (SafeSocketHandle mine, SafeSocketHandle its) = LinuxDescriptors.Line();
        using (its)
        {
            var control = new Control(new Socket(mine));
            try
            {
                Dictionary<int, SafeHandle> descriptors = new() { [0] = input, [Control.Descriptor] = its, [Control.Descriptor + 1] = held };
                return new ChildProcess(Start(rule, launch with { Descriptors = descriptors }, user: null, group: null), IdOf(launch), control, null);
            }
            catch
            {
                control.Dispose();
                throw;
            }
        }
    }

    private static ILaunchedProcess Start(LaunchRule rule, ProcessLaunch launch, OtherUser? user, ControlGroup? group)
    {
        SafeHandle? variables = null;
        try
        {
            if (rule.Outer(launch, user, group) is { } outer)
            {
                launch = LaunchPrelude.Before(launch, outer, user, group, out SafeFileHandle read);
                variables = read;
            }

            return rule.Launcher.Start(launch) ?? throw new IOException("it gave no process back");
        }
        catch (Exception e) when (rule.Launcher != ProcessLauncher.Local)
        {
            throw new IOException($"the launcher {rule.Launcher.GetType()} of this node could not start {launch.File}: {e.Message}", e);
        }
        finally
        {
            variables?.Dispose();
        }
    }

    private static string IdOf(ProcessLaunch launch) => launch.Environment.GetValueOrDefault(LinuxMark.Variable, "");

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

    private async Task<ExitStatus> EndAsync(string id, ChildProcess? guard)
    {
        ExitStatus exit = await _process.Exited.ConfigureAwait(false);
        await Task.Yield();
        Group?.KillAll();
        if (id.Length > 0)
        {
            LinuxMark.KillAll(id);
        }

        guard?.End();
        return exit;
    }

    private void End()
    {
        KillAll();
        Control?.Dispose();
    }
}
