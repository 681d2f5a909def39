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

    /// <summary>Amounts of named resources, <c>cores</c> among them. What is not named is not there. Default: nothing.</summary>
    public ResourceAmounts Resources { get; init; } = ResourceAmounts.None;

    /// <summary>How many processes at most, whatever they need; null (default): as many as fit.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Set to a negative value.</exception>
    public int? MaxSlots
    {
        get;
        init => field = value is null or >= 0
            ? value
            : throw new ArgumentOutOfRangeException(nameof(MaxSlots), value, $"{value} slots are less than none. Valid are 0 and more, and null for as many as fit.");
    }
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
    internal Reservation(Provision provision)
    {
        Provision = provision;
        Amounts = provision.Amounts;
    }

    internal ResourceAmounts Amounts { get; }

    /// <summary>What was granted.</summary>
    public Provision Provision { get; }
}
