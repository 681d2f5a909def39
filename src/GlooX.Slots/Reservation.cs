using System.Runtime.InteropServices;

namespace GlooX.Slots;

/// <summary>What a running process has taken of its reservation so far.</summary>
/// <param name="MemoryBytes">Memory in bytes.</param>
/// <param name="DiskBytes">Disk in bytes.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct Usage(long MemoryBytes, long DiskBytes);

/// <summary>
/// A provision that a <see cref="Ledger"/> has granted, until <see cref="Ledger.Release"/>. Two grants of equal provisions are two
/// reservations: identity is by reference.
/// </summary>
internal sealed class Reservation(Provision provision)
{
    /// <summary>The granted provision.</summary>
    public Provision Provision { get; } = provision;

    internal ResourceAmounts Amounts { get; } = provision.Amounts;
}
