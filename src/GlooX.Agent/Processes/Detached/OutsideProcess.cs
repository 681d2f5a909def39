using System.Globalization;
using System.Runtime.InteropServices;

namespace GlooX.Processes;

/// <summary>
/// A process that this agent did not start, so that it cannot wait for it as a parent does. A descriptor of the kernel (pidfd) names the
/// process, also when its id is given out again.
/// </summary>
/// <remarks>
/// Three sources tell how the process ended, in this order: the kernel, from Linux 6.15 on (PIDFD_GET_INFO); the zombie, until its parent
/// asks; the exit file that the process wrote. If none tells, the process was killed by an unknown signal.
/// </remarks>
internal sealed class OutsideProcess : IDisposable
{
    private const int OpenCall = 434;
    private const short Readable = 1;
    private const nuint GetInfo = 0xC040FF0B; // _IOWR(0xFF, 11, 64 bytes)
    private const ulong HasExit = 8;
    private const int Looks = 50;
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(10);
    private readonly int _pid;
    private readonly int _descriptor;

    private OutsideProcess(int pid, int descriptor) => (_pid, _descriptor) = (pid, descriptor);

    /// <summary>Null: there is no such process.</summary>
    public static OutsideProcess? TryOpen(int pid)
    {
        int descriptor = (int)syscall(OpenCall, pid, 0);
        return descriptor < 0 ? null : new OutsideProcess(pid, descriptor);
    }

    /// <summary>Blocks until it has ended.</summary>
    public ExitStatus Wait(Func<ExitStatus> noted)
    {
        var ended = new PollDescriptor { Descriptor = _descriptor, Events = Readable };
        while (poll(ref ended, 1, -1) <= 0)
        {
            // interrupted
        }

        for (int i = 0; i < Looks; i++)
        {
            if ((Told() ?? Left()) is { } status)
            {
                return new ExitStatus((status >> 8) & 0xFF, status & 0x7F);
            }

            if (noted() is var exit && exit != ExitStatus.Unknown)
            {
                return exit;
            }

            Thread.Sleep(s_look); // its parent is just asking
        }

        return ExitStatus.Unknown;
    }

    public void Dispose() => _ = close(_descriptor);

    private int? Told()
    {
        ulong[] info = new ulong[8]; // struct pidfd_info: the mask comes first, the exit code last
        info[0] = HasExit;
        return ioctl(_descriptor, GetInfo, info) == 0 && (info[0] & HasExit) != 0 ? (int)(info[7] >> 32) : null;
    }

    // proc_pid_stat(5): the state is the first field after the name, the exit code the 50th.
    private int? Left()
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{_pid}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Trim().Split(' ');
            return fields is ["Z", ..] && fields.Length > 49
                && int.TryParse(fields[49], NumberStyles.None, CultureInfo.InvariantCulture, out int status) ? status : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    [StructLayout(LayoutKind.Sequential)]
    private struct PollDescriptor
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }

#pragma warning disable SYSLIB1054, CA5392, IDE1006 // plain libc, by its own names
    [DllImport("libc")]
    private static extern nint syscall(nint number, nint pid, nint flags);

    [DllImport("libc")]
    private static extern int poll(ref PollDescriptor descriptors, nuint count, int timeout);

    [DllImport("libc")]
    private static extern int ioctl(int descriptor, nuint request, ulong[] info);

    [DllImport("libc")]
    private static extern int close(int descriptor);
#pragma warning restore SYSLIB1054, CA5392, IDE1006
}
