using System.ComponentModel;
using System.Runtime.InteropServices;

namespace GlooX.Processes;

/// <summary>Starts processes by posix_spawn, each in a session of its own; no descriptor leaks into one but those that it is to have.</summary>
internal sealed class LinuxLauncher : IProcessLauncher
{
    private const short SetSigDefault = 4;
    private const short SetSigMask = 8;
    private const short SetSession = 0x80;
    private const int WriteOnly = 0x1;
    private const int Create = 0x40;
    private const int Append = 0x400;
    private const int OwnerOnly = 0x180;

    /// <exception cref="Win32Exception">The system could not start it.</exception>
    public ILaunchedProcess Start(ProcessLaunch launch)
    {
        byte[] actions = new byte[256];
        _ = posix_spawn_file_actions_init(actions);
        int highest = AddDescriptors(actions, launch.Descriptors);
        _ = posix_spawn_file_actions_addopen(actions, 1, launch.Output, WriteOnly | Create | Append, OwnerOnly);
        _ = posix_spawn_file_actions_addopen(actions, 2, launch.Errors, WriteOnly | Create | Append, OwnerOnly);
        if (launch.Folder is { } folder)
        {
            _ = posix_spawn_file_actions_addchdir_np(actions, folder);
        }

        _ = posix_spawn_file_actions_addclosefrom_np(actions, highest + 1);
        byte[] attributes = new byte[512];
        byte[] signals = new byte[128];
        _ = posix_spawnattr_init(attributes);
        _ = posix_spawnattr_setflags(attributes, SetSession | SetSigDefault | SetSigMask);
        _ = posix_spawnattr_setsigmask(attributes, signals);
        Array.Fill(signals, (byte)0xFF);
        _ = posix_spawnattr_setsigdefault(attributes, signals);
        string?[] argv = [launch.File, .. launch.Arguments, null];
        string?[] environment = [.. launch.Environment.Select(v => $"{v.Key}={v.Value}"), null];
        int error = posix_spawn(out int pid, launch.File, actions, attributes, argv, environment);
        GC.KeepAlive(launch);
        _ = posix_spawn_file_actions_destroy(actions);
        _ = posix_spawnattr_destroy(attributes);
        return error == 0 ? new LinuxProcess(pid) : throw new Win32Exception(error, $"{launch.File}: {new Win32Exception(error).Message}");
    }

    // First all out of the way of the numbers that they are to have: descriptors of this process may have those.
    private static int AddDescriptors(byte[] actions, IReadOnlyDictionary<int, SafeHandle> descriptors)
    {
        (int Target, int Source)[] all = [.. descriptors.Select(d => (d.Key, (int)d.Value.DangerousGetHandle()))];
        int highest = all.Select(d => d.Target).Append(2).Max();
        int spare = all.Select(d => d.Source).Append(highest).Max() + 1;
        for (int i = 0; i < all.Length; i++)
        {
            _ = posix_spawn_file_actions_adddup2(actions, all[i].Source, spare + i);
        }

        for (int i = 0; i < all.Length; i++)
        {
            _ = posix_spawn_file_actions_adddup2(actions, spare + i, all[i].Target);
        }

        if (!descriptors.ContainsKey(0))
        {
            _ = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", 0, 0);
        }

        return highest;
    }

#pragma warning disable SYSLIB1054, CA2101, CA5392, CA1838, IDE1006 // plain libc, by its own names
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
    private static extern int posix_spawn_file_actions_addchdir_np(byte[] actions, string path);

    [DllImport("libc")]
    private static extern int posix_spawn_file_actions_adddup2(byte[] actions, int from, int to);

    [DllImport("libc")]
    private static extern int posix_spawn_file_actions_addopen(byte[] actions, int descriptor, string path, int flags, int mode);

    [DllImport("libc")]
    private static extern int posix_spawn_file_actions_addclosefrom_np(byte[] actions, int from);
#pragma warning restore SYSLIB1054, CA2101, CA5392, CA1838, IDE1006
}
