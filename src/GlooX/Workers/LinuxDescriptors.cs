using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace GlooX.Workers;

/// <summary>
/// What a process is given besides its files: a line to it, an input that no file holds, and a lock. None leaks into other processes.
/// </summary>
internal static class LinuxDescriptors
{
    private const int UnixDomain = 1;
    private const int Stream = 1;
    private const int SocketCloseOnExec = 0x80000;
    private const int OpenCloseOnExec = 0x80000;
    private const int OpenWriteOnly = 1;
    private const int OpenCreate = 0x40;
    private const int OpenAppend = 0x400;
    private const int OwnerOnly = 0x180;
    private const int MemoryCloseOnExec = 1;
    private const int LockShared = 1;
    private const int SetFlags = 2;
    private const int CloseOnExec = 1;

    /// <summary>The two ends of a private line.</summary>
    /// <exception cref="Win32Exception">There are too many descriptors.</exception>
    public static (SafeSocketHandle Mine, SafeSocketHandle Its) Line()
    {
        int[] pair = new int[2];
        return socketpair(UnixDomain, Stream | SocketCloseOnExec, 0, pair) == 0
            ? (new SafeSocketHandle(pair[0], ownsHandle: true), new SafeSocketHandle(pair[1], ownsHandle: true))
            : throw new Win32Exception(Marshal.GetLastPInvokeError());
    }

    /// <summary>What is to be read from an input, and then its end; it lies in memory alone.</summary>
    /// <exception cref="Win32Exception">There are too many descriptors.</exception>
    public static SafeFileHandle Input(byte[] bytes)
    {
        var input = new SafeFileHandle(Check(memfd_create("options", MemoryCloseOnExec)), ownsHandle: true);
        using var content = new FileStream(new SafeFileHandle(input.DangerousGetHandle(), ownsHandle: false), FileAccess.Write, 0);
        content.Write(bytes);
        content.Position = 0; // the process reads from where this one stands
        return input;
    }

    /// <summary>A file with a shared lock, which lasts until all that hold it have ended.</summary>
    /// <exception cref="Win32Exception">There is no such file.</exception>
    public static SafeFileHandle Lock(string file)
    {
        var held = new SafeFileHandle(Check(open(file, OpenCloseOnExec)), ownsHandle: true);
        _ = flock(held, LockShared);
        return held;
    }

    /// <summary>
    /// Keeps a descriptor from what this process starts: a child that held the private line would hide this process's end.
    /// </summary>
    public static void KeepFromChildren(int descriptor) => _ = fcntl(descriptor, SetFlags, CloseOnExec);

    /// <summary>A file to whose end is written, whoever writes to it beside; made for this user alone when it is missing.</summary>
    /// <exception cref="IOException">The file cannot be opened.</exception>
    public static SafeFileHandle Append(string file)
    {
        int opened = open(file, OpenWriteOnly | OpenCreate | OpenAppend | OpenCloseOnExec, OwnerOnly);
        return opened >= 0 ? new SafeFileHandle(opened, ownsHandle: true) : throw new IOException($"{file}: {Marshal.GetLastPInvokeErrorMessage()}.");
    }

    private static int Check(int descriptor) => descriptor >= 0 ? descriptor : throw new Win32Exception(Marshal.GetLastPInvokeError());

#pragma warning disable SYSLIB1054, CA2101, CA5392, IDE1006 // plain libc, by its own names
    [DllImport("libc", SetLastError = true)]
    private static extern int socketpair(int domain, int type, int protocol, int[] descriptors);

    [DllImport("libc", SetLastError = true)]
    private static extern int memfd_create(string name, uint flags);

    [DllImport("libc", SetLastError = true)]
    private static extern int open(string path, int flags);

    [DllImport("libc", SetLastError = true)]
    private static extern int open(string path, int flags, int mode);

    [DllImport("libc")]
    private static extern int flock(SafeHandle descriptor, int operation);

    [DllImport("libc")]
    private static extern int fcntl(int descriptor, int command, nint argument);
#pragma warning restore SYSLIB1054, CA2101, CA5392, IDE1006
}
