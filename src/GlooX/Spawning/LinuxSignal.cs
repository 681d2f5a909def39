using System.Runtime.InteropServices;

namespace GlooX.Spawning;

/// <summary>Signals to processes by their ids, whoever started them; to one that is not there nothing happens.</summary>
internal static class LinuxSignal
{
    private const int Killed = 9;
    private const int Terminated = 15;

    /// <summary>Kills a process that leads its group, with the group.</summary>
    public static void KillGroup(int pid) => _ = kill(-pid, Killed);

    /// <summary>Asks a process that leads its group to end, and the group.</summary>
    public static void TerminateGroup(int pid) => _ = kill(-pid, Terminated);

    /// <summary>Kills one process.</summary>
    public static void KillOne(int pid) => _ = kill(pid, Killed);

    /// <summary>Kills this process and all that it started; for a process in a session of its own.</summary>
    public static void KillOwnSession() => _ = kill(0, Killed);

    /// <summary>Kills what a process of an agent before has left in its group, unless its id is another's now.</summary>
    public static void KillRest(int pid)
    {
        if (!Directory.Exists($"/proc/{pid}"))
        {
            KillGroup(pid);
        }
    }

#pragma warning disable SYSLIB1054, CA5392, IDE1006 // plain libc, by its own names
    [DllImport("libc")]
    private static extern int kill(int pid, int signal);
#pragma warning restore SYSLIB1054, CA5392, IDE1006
}
