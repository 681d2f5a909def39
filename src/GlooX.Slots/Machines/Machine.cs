using System.Runtime.InteropServices;

namespace GlooX.Slots;

/// <summary>The resources of a machine at one moment; in a container, what the container may use.</summary>
/// <param name="TotalMemoryBytes">Memory in bytes.</param>
/// <param name="FreeMemoryBytes">Memory in bytes that can be used without swapping.</param>
/// <param name="TotalDiskBytes">Size in bytes of the file system that holds the folder.</param>
/// <param name="FreeDiskBytes">Bytes of that file system that this user may still write.</param>
/// <param name="Cores">Cores that this process may use; a fraction of a core in a CPU quota counts as a whole one.</param>
internal sealed record MachineStatus(
    long TotalMemoryBytes, long FreeMemoryBytes, long TotalDiskBytes, long FreeDiskBytes, int Cores);

/// <summary>Measures memory, disk and processes of the operating system. Thread-safe.</summary>
internal interface IMachine
{
    /// <summary>
    /// Measures the machine now, without a cache. Takes less than a millisecond; other systems than Linux also need a collection of the
    /// youngest generation.
    /// </summary>
    /// <exception cref="IOException">The operating system reports no figures, or the folder does not exist any more.</exception>
    MachineStatus Read();

    /// <summary>
    /// The resident set (RSS) of one process in bytes, without its children: physical memory, including mapped files that the system can
    /// reclaim. 0 when the process does not exist or may not be inspected.
    /// </summary>
    long ResidentBytes(int pid);

    /// <summary>
    /// What distinguishes a process from others with the same process id. Null when the process does not exist, has ended and waits to be
    /// reaped, or may not be inspected.
    /// </summary>
    ProcessStamp? FindProcess(int pid);
}

/// <summary>Together with a process id, identifies a process: the system reuses ids, but never with the same start and boot.</summary>
/// <param name="Started">Start of the process: clock ticks since the boot on Linux, elsewhere ticks of 100 ns of the system clock.</param>
/// <param name="Session">The session, which its children share; 0 when unknown.</param>
/// <param name="Boot">Identifies the boot that the ticks are counted from; empty when they are counted from a date.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct ProcessStamp(long Started, int Session, string Boot);

/// <summary>Creates the <see cref="IMachine"/> of the current operating system.</summary>
internal static class Machine
{
    /// <summary>This machine, or the container that this process runs in.</summary>
    /// <param name="folder">Where processes write: the file system of this folder is the disk that is measured.</param>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    public static IMachine Local(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        var path = Path.GetFullPath(folder);
        if (!Directory.Exists(path))
            throw new DirectoryNotFoundException($"Cannot measure the disk of '{path}': the folder does not exist.");
        return OperatingSystem.IsLinux() ? new LinuxMachine(path) : new PortableMachine(path);
    }

    // .NET applies CPU affinity, cgroup quotas (v1 and v2) and Windows job limits to it.
    internal static int Cores => Environment.ProcessorCount;

    /// <summary>On Unix any path identifies its file system (statvfs); on Windows only the drive does.</summary>
    internal static (long Total, long Free) Disk(string folder)
    {
        var drive = new DriveInfo(OperatingSystem.IsWindows() ? Path.GetPathRoot(folder) ?? folder : folder);
        return (drive.TotalSize, drive.AvailableFreeSpace);
    }
}
