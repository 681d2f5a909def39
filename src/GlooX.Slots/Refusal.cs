namespace GlooX.Slots;

/// <summary>Why a provision was not granted, with the numbers of that moment.</summary>
/// <param name="Asked">The provision.</param>
/// <param name="Status">What was free, reserved and available in all.</param>
internal sealed record Refusal(Provision Asked, LedgerStatus Status)
{
    /// <summary>Whether the memory would have sufficed.</summary>
    public bool MemoryFits => Status.AvailableSlotsInMemory(Asked) > 0;

    /// <summary>Whether the disk would have sufficed.</summary>
    public bool DiskFits => Status.AvailableSlotsOnDisk(Asked) > 0;

    /// <summary>
    /// A sentence that names each resource that was short: <c>needs 20 GB memory, 3.1 GB free of 16 GB (12 GB reserved)</c>,
    /// <c>needs 2 gpu, 1 free of 4 (3 reserved)</c>.
    /// </summary>
    public string Reason
    {
        get
        {
            var memory = MemoryFits ? null : Describe("memory", Asked.MemoryBytes, Status.Memory);
            var disk = DiskFits ? null : Describe("disk", Asked.DiskBytes, Status.Disk);
            var amounts = Asked.Amounts.Where(need => need.Value > Status.Resources.FreeOf(need.Key)).Select(Describe);
            var slots = Status.FreeSlots > 0 ? null : $"all of its {Status.SlotLimit} slots are used";
            var kind = Status.FreeOfKind(Asked) > 0
                ? null
                : $"runs {Status.Kinds.GetValueOrDefault(Asked.Kind)} of {Asked.Kind}, of which a node runs {Asked.MaxPerNode} at most";
            return string.Join("; ", ((string?[])[memory, disk, .. amounts, slots, kind]).OfType<string>());
        }
    }

    private static string Describe(string resource, long asked, ResourceLevel level)
    {
        var (needs, free) = (ByteSize.Format(asked), ByteSize.Format(level.FreeBytes));
        if (needs == free) // "needs 1 GB, 1 GB free" would explain nothing
            (needs, free) = ($"{asked} B", $"{level.FreeBytes} B");
        var (capacity, reserved) = (ByteSize.Format(level.CapacityBytes), ByteSize.Format(level.ReservedBytes));
        return $"needs {needs} {resource}, {free} free of {capacity} ({reserved} reserved)";
    }

    private string Describe(KeyValuePair<string, decimal> need)
    {
        var (free, capacity, reserved) = (
            Status.Resources.FreeOf(need.Key), Status.Resources.Capacity[need.Key], Status.Resources.Reserved[need.Key]);
        var numbers = capacity == 0
            ? "of which this node has none"
            : $"{ResourceAmounts.Format(free)} free of {ResourceAmounts.Format(capacity)} ({ResourceAmounts.Format(reserved)} reserved)";
        return $"needs {ResourceAmounts.Format(need.Value)} {need.Key}, {numbers}";
    }
}
