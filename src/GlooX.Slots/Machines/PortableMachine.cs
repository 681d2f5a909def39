using System.ComponentModel;
using System.Diagnostics;

namespace GlooX.Slots;

/// <summary>
/// macOS and Windows: uses the figures of .NET's garbage collector, which watches the memory of the machine (or of the Windows job).
/// A heap hard limit of this process counts as the size of the machine.
/// </summary>
internal sealed class PortableMachine(string folder) : IMachine
{
    /// <inheritdoc/>
    public MachineStatus Read()
    {
        // The collector measures the machine only when it collects; the youngest generation is the cheapest.
        GC.Collect(0, GCCollectionMode.Forced, blocking: true);
        var memory = GC.GetGCMemoryInfo(GCKind.Any);
        var disk = Machine.Disk(folder);
        return new MachineStatus(
            memory.TotalAvailableMemoryBytes,
            Math.Max(0, memory.TotalAvailableMemoryBytes - memory.MemoryLoadBytes),
            disk.Total,
            disk.Free,
            Machine.Cores);
    }

    /// <inheritdoc/>
    public long ResidentBytes(int pid) => Look(pid, process => process.WorkingSet64);

    /// <inheritdoc/>
    public ProcessStamp? FindProcess(int pid) =>
        Look<ProcessStamp?>(pid, process => process.HasExited ? null : new ProcessStamp(process.StartTime.ToUniversalTime().Ticks, 0, ""));

    private static T? Look<T>(int pid, Func<Process, T> look)
    {
        try
        {
            using var process = Process.GetProcessById(pid);
            return look(process);
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or Win32Exception)
        {
            return default; // does not exist, has ended, or belongs to another user
        }
    }
}
