using System.Collections;
using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace GlooX.Spawning;

/// <summary>How an executable starts.</summary>
/// <param name="Folder">In which it begins.</param>
/// <param name="Input">What it reads from its standard input.</param>
/// <param name="Variables">Beside those of this process.</param>
/// <param name="LockFile">What it locks, shared, as long as it lives, without knowing.</param>
/// <param name="ExitFile">
/// Null: it is killed when this process ends, however that ends. Else it outlives this process, waits for a word on its private line before it
/// begins, and its exit code is left there.
/// </param>
internal sealed record ProgramStart(string Folder, byte[] Input, IReadOnlyDictionary<string, string> Variables, string LockFile, string? ExitFile);

/// <summary>
/// A process in a session of its own, so that killing it kills all that it started; its outputs go to two files, its third descriptor is
/// the private line to this process, and no other descriptor leaks into it.
/// </summary>
internal sealed class LinuxProcess
{
    private const short SetSigDefault = 4;
    private const short SetSigMask = 8;
    private const short SetSession = 0x80;
    private const int Kill = 9;
    private const int Terminate = 15;
    private const int SetDescriptorFlags = 2;
    private const int CloseOnExec = 1;
    private const int LockShared = 1;
    private const int Spare = 900;

    // An executable does not watch this process. This does: it is told the executable's process id, and when the line breaks, it kills the session.
    private const string Guard = "read -r pid <&3 && read -r end <&3; kill -s KILL -- \"-$pid\"";

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

    private readonly LinuxProcess? _guard;
    private readonly TaskCompletionSource<ExitStatus> _exited = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private LinuxProcess(int pid, ExitStatus exit)
    {
        Pid = pid;
        _exited.SetResult(exit);
    }

    private LinuxProcess(int pid, OutsideProcess outside, Func<ExitStatus> noted)
    {
        Pid = pid;
        new Thread(Watch, 128 * 1024) { IsBackground = true, Name = $"watch {pid}" }.Start();

        void Watch()
        {
            using (outside)
            {
                ExitStatus exit = outside.Wait(noted);
                _ = kill(-pid, Kill); // whatever it left in its session, as below
                _exited.TrySetResult(exit);
            }
        }
    }

    private LinuxProcess(int pid, Control? control, LinuxProcess? guard)
    {
        Pid = pid;
        Control = control;
        _guard = guard;

        // One small thread for each child: the only way to wait that works beside the runtime's own handling of its children.
        new Thread(Wait, 128 * 1024) { IsBackground = true, Name = $"wait for {pid}" }.Start();
    }

    public int Pid { get; }

    /// <summary>The private line; an executable that ends with this process has none.</summary>
    public Control? Control { get; }

    public Task<ExitStatus> Exited => _exited.Task;

    /// <summary>A process that an agent before this one started, and that runs.</summary>
    /// <param name="pid">Its process id.</param>
    /// <param name="isThat">Whether the process of that id is it.</param>
    /// <param name="noted">How it ended, as far as it has noted it.</param>
    /// <returns>Null: it has ended.</returns>
    public static LinuxProcess? TakeOver(int pid, Func<bool> isThat, Func<ExitStatus> noted)
    {
        OutsideProcess? outside = OutsideProcess.TryOpen(pid);
        if (outside is null || !isThat())
        {
            outside?.Dispose();
            return null;
        }

        return new LinuxProcess(pid, outside, noted);
    }

    /// <summary>A process that has ended while no agent was there.</summary>
    public static LinuxProcess Ended(int pid, ExitStatus exit) => new(pid, exit);

    /// <summary>Kills what a process of an agent before has left in its group, unless its id is another's now.</summary>
    public static void KillRest(int pid)
    {
        if (!Directory.Exists($"/proc/{pid}"))
        {
            _ = kill(-pid, Kill);
        }
    }

    /// <summary>Starts a host.</summary>
    /// <exception cref="PlatformNotSupportedException">Not Linux.</exception>
    /// <exception cref="Win32Exception">The system could not start it.</exception>
    public static LinuxProcess Start(string file, string[] arguments, string log, IEnumerable<KeyValuePair<string, string>>? variables = null)
    {
        RequireLinux();
        int[] pair = new int[2];
        if (socketpair(1, 1 | 0x80000, 0, pair) != 0)
        {
            throw new Win32Exception(Marshal.GetLastPInvokeError());
        }

        byte[] actions = new byte[256];
        _ = posix_spawn_file_actions_init(actions);
        _ = posix_spawn_file_actions_adddup2(actions, pair[1], Control.Descriptor);
        _ = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", 0, 0);
        int error = Spawn(file, arguments, log, actions, HostVariables(variables ?? []), out int pid);
        _ = close(pair[1]);
        var control = new Control(new Socket(new SafeSocketHandle(pair[0], ownsHandle: true)));
        if (error != 0)
        {
            control.Dispose();
            throw new Win32Exception(error);
        }

        return new LinuxProcess(pid, control, null);
    }

    /// <summary>Starts an executable, which knows nothing of this process.</summary>
    /// <param name="file">What to run.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="log">Where its output goes.</param>
    /// <param name="program">All else.</param>
    /// <exception cref="PlatformNotSupportedException">Not Linux.</exception>
    /// <exception cref="Win32Exception">The system could not start it.</exception>
    public static LinuxProcess Start(string file, string[] arguments, string log, ProgramStart program)
    {
        RequireLinux();
        int input = -1, held = -1;
        LinuxProcess? guard = null;
        try
        {
            input = Check(memfd_create("options", CloseOnExec));
            using (var content = new FileStream(new SafeFileHandle(input, ownsHandle: false), FileAccess.Write, 0))
            {
                content.Write(program.Input);
                content.Position = 0; // the process reads from where this one stands
            }

            held = Check(open(program.LockFile, 0x80000));
            _ = flock(held, LockShared);
            guard = program.ExitFile is null ? Start("/bin/sh", ["-c", Guard], "/dev/null") : null;
            int[] line = [-1, -1];
            byte[] actions = new byte[256];
            _ = posix_spawn_file_actions_init(actions);
            _ = posix_spawn_file_actions_adddup2(actions, input, 0);
            if (program.ExitFile is null)
            {
                _ = posix_spawn_file_actions_adddup2(actions, held, Control.Descriptor);
            }
            else
            {
                Check(socketpair(1, 1 | 0x80000, 0, line));
                (file, arguments) = ("/bin/sh", ["-c", Wrap, "gloox", program.ExitFile, file, .. arguments]);

                // First out of the way of the numbers that they are to have: descriptors of this process may have those.
                _ = posix_spawn_file_actions_adddup2(actions, line[1], Spare);
                _ = posix_spawn_file_actions_adddup2(actions, held, Control.Descriptor + 1);
                _ = posix_spawn_file_actions_adddup2(actions, Spare, Control.Descriptor);
            }

            _ = posix_spawn_file_actions_addchdir_np(actions, program.Folder);
            Dictionary<string, string?> variables = OwnVariables();
            foreach ((string name, string value) in program.Variables)
            {
                variables[name] = value;
            }

            int error = Spawn(file, arguments, log, actions, variables, out int pid, last: program.ExitFile is null ? Control.Descriptor : Control.Descriptor + 1);
            Control? control = null;
            if (line[0] >= 0)
            {
                _ = close(line[1]);
                control = new Control(new Socket(new SafeSocketHandle(line[0], ownsHandle: true)));
            }

            if (error != 0)
            {
                control?.Dispose();
                throw new Win32Exception(error);
            }

            try
            {
                guard?.Control!.Send($"{pid}\n"); // before anybody waits for its end, with which the guard ends
            }
            catch (SocketException)
            {
                new LinuxProcess(pid, null, guard).KillAll();
                throw;
            }

            return new LinuxProcess(pid, control, guard);
        }
        catch
        {
            guard?.End();
            throw;
        }
        finally
        {
            _ = close(input);
            _ = close(held);
        }
    }

    /// <summary>Kills the process and all that it started.</summary>
    public void KillAll()
    {
        if (!_exited.Task.IsCompleted)
        {
            _ = kill(-Pid, Kill);
        }
    }

    /// <summary>Asks the process and all that it started to end.</summary>
    public void TerminateAll()
    {
        if (!_exited.Task.IsCompleted)
        {
            _ = kill(-Pid, Terminate);
        }
    }

    /// <summary>Kills a process that leads its group, with the group, whoever started it.</summary>
    public static void KillGroup(int pid) => _ = kill(-pid, Kill);

    /// <summary>Kills one process, whoever started it.</summary>
    public static void KillOne(int pid) => _ = kill(pid, Kill);

    /// <summary>Kills this process and all that it started; for a process that this class started.</summary>
    public static void KillOwnSession() => _ = kill(0, Kill);

    /// <summary>Keeps a descriptor from what this process starts: a child that held the private line would hide this process's end.</summary>
    public static void KeepFromChildren(int descriptor) => _ = fcntl(descriptor, SetDescriptorFlags, CloseOnExec);

    private static void RequireLinux()
    {
        if (!OperatingSystem.IsLinux())
        {
            throw new PlatformNotSupportedException("spawning works on Linux only so far");
        }
    }

    private static int Check(int descriptor) => descriptor >= 0 ? descriptor : throw new Win32Exception(Marshal.GetLastPInvokeError());

    private static int Spawn(string file, string[] arguments, string log, byte[] actions, Dictionary<string, string?> variables, out int pid, int last = Control.Descriptor)
    {
        byte[] attributes = new byte[512];
        byte[] signals = new byte[128];
        _ = posix_spawnattr_init(attributes);
        _ = posix_spawnattr_setflags(attributes, SetSession | SetSigDefault | SetSigMask);
        _ = posix_spawnattr_setsigmask(attributes, signals);
        Array.Fill(signals, (byte)0xFF);
        _ = posix_spawnattr_setsigdefault(attributes, signals);
        _ = posix_spawn_file_actions_addopen(actions, 1, log, 0x1 | 0x40 | 0x400, 0x180);
        _ = posix_spawn_file_actions_addopen(actions, 2, ChildOutput.ErrorsOf(log), 0x1 | 0x40 | 0x400, 0x180);
        _ = posix_spawn_file_actions_addclosefrom_np(actions, last + 1);
        string?[] argv = [file, .. arguments, null];
        string?[] environment = [.. variables.Select(v => $"{v.Key}={v.Value}"), null];
        int error = posix_spawn(out pid, file, actions, attributes, argv, environment);
        _ = posix_spawn_file_actions_destroy(actions);
        _ = posix_spawnattr_destroy(attributes);
        return error;
    }

    private static Dictionary<string, string?> OwnVariables()
    {
        Dictionary<string, string?> variables = new(StringComparer.Ordinal);
        foreach (DictionaryEntry entry in Environment.GetEnvironmentVariables())
        {
            variables[(string)entry.Key] = (string?)entry.Value;
        }

        return variables;
    }

    // This process's variables, and where they say nothing else, settings of the runtime for a quick and small start.
    private static Dictionary<string, string?> HostVariables(IEnumerable<KeyValuePair<string, string>> own)
    {
        Dictionary<string, string?> variables = OwnVariables();
        foreach ((string name, string value) in own)
        {
            variables[name] = value;
        }

        foreach ((string name, string value) in ((string, string)[])[("DOTNET_TieredPGO", "0"), ("DOTNET_gcServer", "0"), ("DOTNET_gcConcurrent", "0"), ("DOTNET_EnableWriteXorExecute", "0")])
        {
            variables.TryAdd(name, value);
        }

        return variables;
    }

    private void End()
    {
        KillAll();
        Control?.Dispose();
    }

    private void Wait()
    {
        int status = 0;
        int waited;
        do
        {
            waited = waitpid(Pid, out status, 0);
        }
        while (waited < 0 && Marshal.GetLastPInvokeError() == 4); // interrupted

        KillAll(); // whatever it left in its session
        _guard?.End();
        _exited.TrySetResult(new ExitStatus(waited < 0 ? -1 : (status >> 8) & 0xFF, waited < 0 ? 0 : status & 0x7F));
    }

#pragma warning disable SYSLIB1054, CA2101, CA5392, CA1838, IDE1006 // plain libc, by its own names
    [DllImport("libc", SetLastError = true)]
    private static extern int socketpair(int domain, int type, int protocol, int[] descriptors);

    [DllImport("libc")]
    private static extern int close(int descriptor);

    [DllImport("libc", SetLastError = true)]
    private static extern int memfd_create(string name, uint flags);

    [DllImport("libc", SetLastError = true)]
    private static extern int open(string path, int flags);

    [DllImport("libc")]
    private static extern int flock(int descriptor, int operation);

    [DllImport("libc")]
    private static extern int posix_spawn_file_actions_addchdir_np(byte[] actions, string path);

    [DllImport("libc")]
    private static extern int fcntl(int descriptor, int command, nint argument);

    [DllImport("libc")]
    private static extern int kill(int pid, int signal);

    [DllImport("libc", SetLastError = true)]
    private static extern int waitpid(int pid, out int status, int options);

    [DllImport("libc")]
    private static extern int posix_spawn(out int pid, string path, byte[] actions, byte[] attributes, string?[] argv, string?[] environment);

    [DllImport("libc")]
    private static extern int posix_spawnattr_init(byte[] attributes);

    [DllImport("libc")]
    private static extern int posix_spawnattr_destroy(byte[] attributes);

    [DllImport("libc")]
    private static extern int posix_spawnattr_setflags(byte[] attributes, short flags);

    [DllImport("libc")]
    private static extern int posix_spawnattr_setsigdefault(byte[] attributes, byte[] signals);

    [DllImport("libc")]
    private static extern int posix_spawnattr_setsigmask(byte[] attributes, byte[] signals);

    [DllImport("libc")]
    private static extern int posix_spawn_file_actions_init(byte[] actions);

    [DllImport("libc")]
    private static extern int posix_spawn_file_actions_destroy(byte[] actions);

    [DllImport("libc")]
    private static extern int posix_spawn_file_actions_adddup2(byte[] actions, int from, int to);

    [DllImport("libc")]
    private static extern int posix_spawn_file_actions_addopen(byte[] actions, int descriptor, string path, int flags, int mode);

    [DllImport("libc")]
    private static extern int posix_spawn_file_actions_addclosefrom_np(byte[] actions, int from);
#pragma warning restore SYSLIB1054, CA2101, CA5392, CA1838, IDE1006
}
