using System.Globalization;
using System.Runtime.InteropServices;

namespace GlooX.Workers;

/// <summary>Signals to processes by their ids. A process that does not exist is ignored.</summary>
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

    /// <summary>Kills what a process of an agent before, which has ended, has left in its group, unless its id is another's now.</summary>
    /// <param name="pid">Its process id.</param>
    /// <param name="started">When it was started, in the kernel's ticks.</param>
    public static void KillRest(int pid, long started)
    {
        string stat = "";
        try
        {
            stat = File.ReadAllText($"/proc/{pid}/stat");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // the id is free, and is not given out while the group lives
        }

        // proc_pid_stat(5): the state is the first field after the name, the start the 20th. Until its parent asks it stays there as a
        // zombie: for good, where the first process of a container asks for none.
        string[] fields = stat[(stat.LastIndexOf(')') + 1)..].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        if (fields.Length == 0
            || (fields.Length > 19 && fields[0] is "Z" or "X" && fields[19] == started.ToString(CultureInfo.InvariantCulture)))
        {
            KillGroup(pid);
        }
    }

#pragma warning disable SYSLIB1054, CA5392, IDE1006 // plain libc, by its own names
    [DllImport("libc")]
    private static extern int kill(int pid, int signal);
#pragma warning restore SYSLIB1054, CA5392, IDE1006
}
