using System.Runtime.InteropServices;

namespace GlooX.Slots;

/// <summary>What an agent may hand out at all, however much the machine has. Immutable.</summary>
public sealed record Capacity
{
    /// <summary>Sets the limits.</summary>
    /// <param name="memoryBytes">Memory in bytes.</param>
    /// <param name="diskBytes">Disk in bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">One of them is negative.</exception>
    public Capacity(long memoryBytes, long diskBytes)
    {
        MemoryBytes = Provision.NotNegative(memoryBytes, nameof(memoryBytes));
        DiskBytes = Provision.NotNegative(diskBytes, nameof(diskBytes));
    }

    /// <summary>Memory in bytes.</summary>
    public long MemoryBytes { get; }

    /// <summary>Disk in bytes.</summary>
    public long DiskBytes { get; }
}

/// <summary>What a running process has taken of its reservation so far.</summary>
/// <param name="MemoryBytes">Memory in bytes.</param>
/// <param name="DiskBytes">Disk in bytes.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct Usage(long MemoryBytes, long DiskBytes);

/// <summary>
/// A provision that a <see cref="Ledger"/> granted, until it is given back with <see cref="Ledger.Release"/>.
/// Two grants of the same provision are two reservations: identity is by reference.
/// </summary>
public sealed class Reservation
{
    internal Reservation(Provision provision) => Provision = provision;

    /// <summary>What was granted.</summary>
    public Provision Provision { get; }
}
