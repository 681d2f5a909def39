using System.Buffers;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace GlooX.Workers;

/// <summary>
/// Finds what a process of an agent has started by a variable that it has inherited, whatever session, group or parent it has now, and kills it.
/// What a process starts without its variables (<c>env -i</c>) and outside of its group is found in a control group only. Stateless.
/// </summary>
internal static class LinuxMark
{
    /// <summary>The variable; its value is the id of the process at its agent.</summary>
    public const string Variable = "GLOOX_ID";

    private const int OpenProcess = 434; // pidfd_open
    private const int SignalProcess = 424; // pidfd_send_signal
    private const int Killed = 9;
    private const int CloseOnExec = 0x80000;
    private const int BufferBytes = 16 * 1024;
    private const int MostLooks = 100;

    /// <summary>Kills all that carry an id, this process excepted, until none is left; those that are started meanwhile are found by the next look.</summary>
    public static void KillAll(string id)
    {
        byte[] mark = Encoding.UTF8.GetBytes($"\0{Variable}={id}\0");
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
        try
        {
            for (int look = 0; look < MostLooks && KillFound(mark, buffer); look++)
            {
                Thread.Yield(); // those that were killed are still to be seen for a moment
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    private static bool KillFound(byte[] mark, byte[] buffer)
    {
        bool any = false;
        foreach (string process in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(process.AsSpan()), out int pid) && pid != Environment.ProcessId && Carries(pid, mark, buffer))
            {
                any |= Kill(pid, mark, buffer);
            }
        }

        return any;
    }

    // By a descriptor, so that a process that has got the id of one that ended is not killed for it.
    private static bool Kill(int pid, byte[] mark, byte[] buffer)
    {
        using var held = new SafeFileHandle((int)syscall(OpenProcess, pid, 0, 0, 0), ownsHandle: true);
        return held.IsInvalid ? kill(pid, Killed) == 0 : Carries(pid, mark, buffer) && syscall(SignalProcess, held.DangerousGetHandle(), Killed, 0, 0) == 0;
    }

    // What has ended has no variables any more.
    private static bool Carries(int pid, byte[] mark, byte[] buffer)
    {
        using var environment = new SafeFileHandle(open(Encoding.UTF8.GetBytes($"/proc/{pid}/environ\0"), CloseOnExec), ownsHandle: true);
        if (environment.IsInvalid)
        {
            return false; // it has ended, or is another user's
        }

        buffer[0] = 0; // before the first variable, as between two
        int kept = 1;
        for (int count; (count = (int)read(environment, ref buffer[kept], BufferBytes - kept)) > 0;)
        {
            int length = kept + count;
            if (buffer.AsSpan(0, length).IndexOf(mark) >= 0)
            {
                return true;
            }

            kept = Math.Min(length, mark.Length - 1); // it may lie across two reads
            buffer.AsSpan(length - kept, kept).CopyTo(buffer);
        }

        return false;
    }

#pragma warning disable SYSLIB1054, CA5392, IDE1006 // plain libc, by its own names
    [DllImport("libc")]
    private static extern nint syscall(nint number, nint first, nint second, nint third, nint fourth);

    [DllImport("libc")]
    private static extern int open(byte[] path, int flags);

    [DllImport("libc")]
    private static extern nint read(SafeFileHandle file, ref byte buffer, nint bytes);

    [DllImport("libc")]
    private static extern int kill(int pid, int signal);
#pragma warning restore SYSLIB1054, CA5392, IDE1006
}
