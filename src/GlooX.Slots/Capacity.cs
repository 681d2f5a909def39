using GlooX.Slots;

namespace GlooX;

/// <summary>The most that an agent hands out, however much the machine has. Immutable.</summary>
public sealed record Capacity
{
    /// <summary>Creates a capacity.</summary>
    /// <param name="memoryBytes">Memory in bytes.</param>
    /// <param name="diskBytes">Disk in bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is negative.</exception>
    public Capacity(long memoryBytes, long diskBytes)
    {
        MemoryBytes = Provision.NotNegative(memoryBytes, nameof(memoryBytes));
        DiskBytes = Provision.NotNegative(diskBytes, nameof(diskBytes));
    }

    /// <summary>Memory in bytes.</summary>
    public long MemoryBytes { get; }

    /// <summary>Disk in bytes.</summary>
    public long DiskBytes { get; }

    /// <summary>Amounts of named resources, including <c>cores</c>. A resource that is not named is not available. Default: none.</summary>
    public ResourceAmounts Resources { get; init; } = ResourceAmounts.None;

    /// <summary>The most processes, whatever they need; null (default) for as many as fit.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The value is negative.</exception>
    public int? MaxSlots
    {
        get;
        init => field = value is null or >= 0
            ? value
            : throw new ArgumentOutOfRangeException(
                nameof(MaxSlots), value, $"{value} slots is negative. Valid are 0 and more, and null for as many as fit.");
    }

    /// <summary>The memory and disk of this machine, or of the container that this process runs in.</summary>
    /// <param name="folder">A folder on the disk that is measured.</param>
    /// <returns>A capacity of everything that there is, free or not.</returns>
    /// <exception cref="DirectoryNotFoundException">The folder does not exist.</exception>
    /// <exception cref="IOException">The operating system does not report memory or disk.</exception>
    public static Capacity OfMachine(string folder)
    {
        MachineStatus machine = Machine.Local(folder).Read();
        return new Capacity(machine.TotalMemoryBytes, machine.TotalDiskBytes);
    }
}
