using System.Runtime.InteropServices;

namespace GlooX.Slots;

/// <summary>What a machine has, at one moment. In a container it is what the container may use.</summary>
/// <param name="TotalMemoryBytes">Memory in bytes.</param>
/// <param name="FreeMemoryBytes">Memory in bytes that could be used without swapping.</param>
/// <param name="TotalDiskBytes">Size in bytes of the file system that holds the folder.</param>
/// <param name="FreeDiskBytes">Bytes on it that this user may still write.</param>
/// <param name="Cores">Cores that this process may use; a fraction of a core in a CPU quota is rounded up.</param>
public sealed record MachineStatus(
    long TotalMemoryBytes, long FreeMemoryBytes, long TotalDiskBytes, long FreeDiskBytes, int Cores);

/// <summary>The seam to the operating system: the only place that looks at real memory and disk. Thread-safe.</summary>
public interface IMachine
{
    /// <summary>Measures the machine now; nothing is cached. Costs a few system calls, less than a millisecond; off Linux also a collection of the youngest generation.</summary>
    /// <returns>What there is and what is free.</returns>
    /// <exception cref="IOException">The operating system does not tell, or the folder is gone.</exception>
    MachineStatus Read();

    /// <summary>
    /// Physical memory that one process holds, not counting its children. Includes its share of mapped files, which the system
    /// can take back: it is what <c>ps</c> shows as RSS.
    /// </summary>
    /// <param name="pid">Process id.</param>
    /// <returns>Bytes; 0 if there is no such process, or it may not be looked at.</returns>
    long ResidentBytes(int pid);

    /// <summary>Tells a running process from one that had, or will have, the same process id.</summary>
    /// <param name="pid">Process id.</param>
    /// <returns>Null if there is no such process, it has ended and waits to be reaped, or it may not be looked at.</returns>
    ProcessStamp? FindProcess(int pid);
}

/// <summary>Who a process is beside its id, which the system gives out again: two processes of one machine never have both in common.</summary>
/// <param name="Started">When it was started: on Linux in clock ticks since the boot, elsewhere in ticks of 100 ns of the system's clock.</param>
/// <param name="Session">Its session, which it shares with what it has started; 0 where it is not known.</param>
/// <param name="Boot">Names the boot of the machine that the ticks are counted from; empty where they are counted from a date.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct ProcessStamp(long Started, int Session, string Boot);

/// <summary>Makes the <see cref="IMachine"/> of the operating system that this runs on.</summary>
public static class Machine
{
    /// <summary>This machine, or the container that this process runs in.</summary>
    /// <param name="folder">Where processes will write: its file system is the disk that is measured.</param>
    /// <returns>A thread-safe reader.</returns>
    /// <exception cref="ArgumentException">The folder's name is null or empty.</exception>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    public static IMachine Local(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var path = Path.GetFullPath(folder);
        if (!Directory.Exists(path))
            throw new DirectoryNotFoundException($"Cannot measure the disk of '{path}': there is no such folder.");
        return OperatingSystem.IsLinux() ? new LinuxMachine(path) : new PortableMachine(path);
    }

    // .NET has applied CPU affinity, cgroup quotas (v1 and v2) and Windows job limits to it already.
    internal static int Cores => Environment.ProcessorCount;

    /// <summary>On UNIX any path names its file system (statvfs); Windows wants the drive.</summary>
    internal static (long Total, long Free) Disk(string folder)
    {
        var drive = new DriveInfo(OperatingSystem.IsWindows() ? Path.GetPathRoot(folder) ?? folder : folder);
        return (drive.TotalSize, drive.AvailableFreeSpace);
    }
}
