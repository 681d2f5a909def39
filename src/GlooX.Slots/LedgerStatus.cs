namespace GlooX.Slots;

/// <summary>One resource of an agent, at one moment. All in bytes.</summary>
/// <param name="FreeBytes">What a new reservation may take; never negative.</param>
/// <param name="ReservedBytes">Sum of all reservations.</param>
/// <param name="CapacityBytes">What the agent may hand out at all.</param>
public sealed record ResourceLevel(long FreeBytes, long ReservedBytes, long CapacityBytes)
{
    /// <summary>Reserved share of the capacity, 0 to 1.</summary>
    public double Utilization =>
        ReservedBytes == 0 ? 0 : ReservedBytes >= CapacityBytes ? 1 : (double)ReservedBytes / CapacityBytes;
}

/// <summary>
/// What a <see cref="Ledger"/> has handed out and what fits beside it, at one moment. Plain data and arithmetic: it can be sent to
/// other nodes, which then count slots for themselves. It promises nothing; only <see cref="Ledger.TryReserve"/> does.
/// </summary>
/// <param name="Memory">Memory.</param>
/// <param name="Disk">Disk.</param>
/// <param name="Reservations">Number of reservations.</param>
public sealed record LedgerStatus(ResourceLevel Memory, ResourceLevel Disk, int Reservations)
{
    /// <summary>
    /// How full the agent is, 0 to 1: the reserved share of its scarcer resource. With processes of one class that is its used slots
    /// divided by <see cref="MaxSlots"/>, as Slotz defines it, before rounding to whole slots.
    /// </summary>
    public double Utilization => Math.Max(Memory.Utilization, Disk.Utilization);

    /// <summary>How many more processes would fit now.</summary>
    /// <param name="provision">What one of them needs.</param>
    /// <returns>The smaller of the two below; <see cref="int.MaxValue"/> for <see cref="Provision.None"/>.</returns>
    public int AvailableSlots(Provision provision) => Math.Min(AvailableSlotsInMemory(provision), AvailableSlotsOnDisk(provision));

    /// <summary>How many more processes would fit into memory now.</summary>
    /// <param name="provision">What one of them needs.</param>
    /// <returns>0 or more; <see cref="int.MaxValue"/> if it needs no memory.</returns>
    public int AvailableSlotsInMemory(Provision provision)
    {
        ArgumentNullException.ThrowIfNull(provision);
        return Slots(Memory.FreeBytes, provision.MemoryBytes);
    }

    /// <summary>How many more processes would fit on the disk now.</summary>
    /// <param name="provision">What one of them needs.</param>
    /// <returns>0 or more; <see cref="int.MaxValue"/> if it needs no disk.</returns>
    public int AvailableSlotsOnDisk(Provision provision)
    {
        ArgumentNullException.ThrowIfNull(provision);
        return Slots(Disk.FreeBytes, provision.DiskBytes);
    }

    /// <summary>How many processes would fit on the agent if nothing were reserved and the machine had nothing else to do.</summary>
    /// <param name="provision">What one of them needs.</param>
    /// <returns>0 if it can never fit here; <see cref="int.MaxValue"/> for <see cref="Provision.None"/>.</returns>
    public int MaxSlots(Provision provision)
    {
        ArgumentNullException.ThrowIfNull(provision);
        return Math.Min(Slots(Memory.CapacityBytes, provision.MemoryBytes), Slots(Disk.CapacityBytes, provision.DiskBytes));
    }

    private static int Slots(long available, long need) =>
        need == 0 ? int.MaxValue : (int)Math.Min(int.MaxValue, Math.Max(0, available) / need);
}

/// <summary>Why a provision was not granted, with the numbers as they were at that moment.</summary>
/// <param name="Asked">What was asked for.</param>
/// <param name="Status">What was free, reserved and there at all.</param>
public sealed record Refusal(Provision Asked, LedgerStatus Status)
{
    /// <summary>Whether the memory would have been there.</summary>
    public bool MemoryFits => Status.AvailableSlotsInMemory(Asked) > 0;

    /// <summary>Whether the disk would have been there.</summary>
    public bool DiskFits => Status.AvailableSlotsOnDisk(Asked) > 0;

    /// <summary>For people, naming each resource that was short: <c>needs 20 GB memory, 3.1 GB free of 16 GB (12 GB reserved)</c>.</summary>
    public string Reason
    {
        get
        {
            var memory = MemoryFits ? null : Describe("memory", Asked.MemoryBytes, Status.Memory);
            var disk = DiskFits ? null : Describe("disk", Asked.DiskBytes, Status.Disk);
            return string.Join("; ", new[] { memory, disk }.OfType<string>());
        }
    }

    private static string Describe(string resource, long asked, ResourceLevel level)
    {
        var (needs, free) = (ByteSize.Format(asked), ByteSize.Format(level.FreeBytes));
        if (needs == free) // "needs 1 GB, 1 GB free" would explain nothing
            (needs, free) = ($"{asked} B", $"{level.FreeBytes} B");
        return $"needs {needs} {resource}, {free} free of {ByteSize.Format(level.CapacityBytes)} ({ByteSize.Format(level.ReservedBytes)} reserved)";
    }
}
