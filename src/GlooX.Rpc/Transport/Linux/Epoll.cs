using System.ComponentModel;
using System.Runtime.InteropServices;

namespace GlooX.Transport.Linux;

/// <summary>Linux's epoll(7), edge-triggered.</summary>
internal static unsafe partial class Epoll
{
    public const uint Readable = 0x001; // EPOLLIN
    public const uint Writable = 0x004; // EPOLLOUT
    public const uint Broken = 0x008 | 0x010; // EPOLLERR, EPOLLHUP
    public const uint Ended = 0x2000; // EPOLLRDHUP
    private const uint EdgeTriggered = 1u << 31;
    private const int CloseOnExec = 0x80000;
    private const int Add = 1;
    private const int Interrupted = 4;

    // struct epoll_event is packed on x86, aligned on everything else.
    private static readonly int s_tagOffset = RuntimeInformation.ProcessArchitecture is Architecture.X64 or Architecture.X86 ? 4 : 8;

    /// <summary>Bytes of one event.</summary>
    public static readonly int EventSize = s_tagOffset + sizeof(ulong);

    /// <exception cref="Win32Exception">The process is out of descriptors.</exception>
    public static int Create()
    {
        int epoll = epoll_create1(CloseOnExec);
        return epoll >= 0 ? epoll : throw new Win32Exception();
    }

    /// <summary>Watches a descriptor until it is closed.</summary>
    /// <exception cref="Win32Exception">The kernel refuses.</exception>
    public static void Watch(int epoll, nint descriptor, ulong tag)
    {
        Span<byte> wanted = stackalloc byte[EventSize];
        MemoryMarshal.Write(wanted, Readable | Writable | Ended | EdgeTriggered);
        MemoryMarshal.Write(wanted[s_tagOffset..], tag);
        fixed (byte* first = wanted)
        {
            if (epoll_ctl(epoll, Add, (int)descriptor, first) != 0)
            {
                throw new Win32Exception();
            }
        }
    }

    /// <summary>Waits for at least one event; how many came.</summary>
    public static int Wait(int epoll, Span<byte> events)
    {
        fixed (byte* first = events)
        {
            while (true)
            {
                int count = epoll_wait(epoll, first, events.Length / EventSize, -1);
                if (count > 0)
                {
                    return count;
                }

                if (count < 0 && Marshal.GetLastPInvokeError() != Interrupted)
                {
                    throw new Win32Exception();
                }
            }
        }
    }

    /// <summary>The kernel's number of this thread.</summary>
    public static int ThreadId() => gettid();

    public static (uint What, ulong Tag) Read(ReadOnlySpan<byte> events, int index)
    {
        ReadOnlySpan<byte> one = events.Slice(index * EventSize, EventSize);
        return (MemoryMarshal.Read<uint>(one), MemoryMarshal.Read<ulong>(one[s_tagOffset..]));
    }

#pragma warning disable SA1300 // the names are the kernel's
    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_create1(int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_ctl(int epoll, int operation, int descriptor, byte* wanted);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int epoll_wait(int epoll, byte* events, int count, int timeout);
    [LibraryImport("libc")]
    private static partial int gettid();
#pragma warning restore SA1300
}
