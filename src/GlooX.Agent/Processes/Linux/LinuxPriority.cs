using System.Globalization;
using System.Runtime.InteropServices;

namespace GlooX.Processes;

/// <summary>
/// Lets a host become warm beside what is more urgent. Whoever may not raise a priority again, which takes CAP_SYS_NICE, lowers none: what is
/// spawned into the host would be slow for good.
/// </summary>
internal static class LinuxPriority
{
    private const int Lower = 10;
    private const int Lowest = 19;
    private const int RaiseCapability = 23;
    private static bool s_may = MayRaise();

    /// <summary>Lowers a process that has just been started, and so what it starts.</summary>
    public static void Reduce(int pid)
    {
        if (s_may)
        {
            _ = setpriority(0, pid, Math.Min(Lowest, getpriority(0, 0) + Lower));
        }
    }

    /// <summary>Gives a process this one's priority back, in all of its threads.</summary>
    /// <returns>False: the system does not let this process do it; none is lowered any more.</returns>
    public static bool Restore(int pid)
    {
        int own = getpriority(0, 0);
        HashSet<int> done = [];
        for (int before = -1; s_may && before != done.Count;)
        {
            before = done.Count;
            foreach (int thread in Threads(pid).Where(done.Add))
            {
                if (setpriority(0, thread, own) != 0 && Directory.Exists($"/proc/{pid}/task/{thread}"))
                {
                    return s_may = false;
                }
            }
        }

        return true;
    }

    private static int[] Threads(int pid)
    {
        try
        {
            return [.. Directory.EnumerateDirectories($"/proc/{pid}/task").Select(static d => int.Parse(Path.GetFileName(d), CultureInfo.InvariantCulture))];
        }
        catch (IOException)
        {
            return []; // it has ended
        }
    }

    // proc_pid_status(5): the effective capabilities, as bits.
    private static bool MayRaise()
    {
        const string Name = "CapEff:";
        try
        {
            return OperatingSystem.IsLinux()
                && File.ReadLines("/proc/self/status").FirstOrDefault(static l => l.StartsWith(Name, StringComparison.Ordinal)) is { } line
                && (ulong.Parse(line.AsSpan(Name.Length).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture) >> RaiseCapability & 1) == 1;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
        {
            return false;
        }
    }

#pragma warning disable SYSLIB1054, CA5392, IDE1006 // plain libc, by its own names
    [DllImport("libc")]
    private static extern int getpriority(int which, int who);

    [DllImport("libc")]
    private static extern int setpriority(int which, int who, int priority);
#pragma warning restore SYSLIB1054, CA5392, IDE1006
}
