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

/// <summary>The cores and other named resources of an agent, at one moment.</summary>
/// <param name="Capacity">What the agent may hand out at all.</param>
/// <param name="Reserved">Sum of all reservations.</param>
public sealed record AmountLevels(ResourceAmounts Capacity, ResourceAmounts Reserved)
{
    /// <summary>None at all.</summary>
    public static AmountLevels None { get; } = new(ResourceAmounts.None, ResourceAmounts.None);

    /// <summary>What a new reservation may take of each; a resource of which nothing is left is there with 0.</summary>
    public ResourceAmounts Free => ResourceAmounts.Unchecked(Capacity.Select(c => KeyValuePair.Create(c.Key, FreeOf(c.Key))));

    /// <summary>Reserved share of the scarcest, 0 to 1.</summary>
    public double Utilization =>
        Reserved.Select(r => r.Value >= Capacity[r.Key] ? 1 : (double)(r.Value / Capacity[r.Key])).DefaultIfEmpty(0).Max();

    /// <summary>What a new reservation may take of one; never negative.</summary>
    /// <param name="name">The resource.</param>
    /// <returns>0 if the agent knows no such resource.</returns>
    public decimal FreeOf(string name) => Math.Max(0, Capacity[name] - Reserved[name]);
}

/// <summary>
/// What a <see cref="Ledger"/> has handed out and what fits beside it, at one moment. Plain data and arithmetic. It promises nothing;
/// only <see cref="Ledger.TryReserve(Provision, MachineStatus, IReadOnlyDictionary{Reservation, Usage}, out Reservation?, out Refusal?)"/> does.
/// </summary>
/// <param name="Memory">Memory.</param>
/// <param name="Disk">Disk.</param>
/// <param name="Reservations">Number of reservations.</param>
public sealed record LedgerStatus(ResourceLevel Memory, ResourceLevel Disk, int Reservations)
{
    /// <summary>Cores and other named resources. Default: there are none.</summary>
    public AmountLevels Resources { get; init; } = AmountLevels.None;

    /// <summary>How many reservations there may be at most; null (default): as many as fit.</summary>
    public int? SlotLimit { get; init; }

    /// <summary>How many reservations there are of each <see cref="Provision.Kind"/>. Default: none.</summary>
    public IReadOnlyDictionary<string, int> Kinds { get; init; } = NoKinds;

    internal static IReadOnlyDictionary<string, int> NoKinds { get; } = new Dictionary<string, int>(StringComparer.Ordinal);

    /// <summary>
    /// How full the agent is, 0 to 1: the reserved share of its scarcest resource. With processes of one class that is its used slots
    /// divided by <see cref="MaxSlots"/>, as Slotz defines it, before rounding to whole slots.
    /// </summary>
    public double Utilization => Math.Max(
        Math.Max(Memory.Utilization, Disk.Utilization),
        Math.Max(Resources.Utilization, SlotLimit is not { } most || Reservations == 0 ? 0 : Reservations >= most ? 1 : (double)Reservations / most));

    /// <summary>How many further reservations <see cref="SlotLimit"/> leaves; <see cref="int.MaxValue"/> without one.</summary>
    public int FreeSlots => SlotLimit is { } most ? Math.Max(0, most - Reservations) : int.MaxValue;

    /// <summary>How many more processes would fit now.</summary>
    /// <param name="provision">What one of them needs.</param>
    /// <returns>
    /// The smallest of what fits into memory, on the disk, into each named resource, under <see cref="SlotLimit"/> and its own <see cref="Provision.MaxPerNode"/>;
    /// <see cref="int.MaxValue"/> if nothing of that limits.
    /// </returns>
    public int AvailableSlots(Provision provision)
    {
        ArgumentNullException.ThrowIfNull(provision);
        return Math.Min(
            Math.Min(AvailableSlotsInMemory(provision), AvailableSlotsOnDisk(provision)),
            provision.Amounts.Select(need => Slots(Resources.FreeOf(need.Key), need.Value)).Append(FreeSlots).Append(FreeOfKind(provision)).Min());
    }

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
    /// <returns>0 if it can never fit here; <see cref="int.MaxValue"/> if nothing limits.</returns>
    public int MaxSlots(Provision provision)
    {
        ArgumentNullException.ThrowIfNull(provision);
        return Math.Min(
            Math.Min(Slots(Memory.CapacityBytes, provision.MemoryBytes), Slots(Disk.CapacityBytes, provision.DiskBytes)),
            provision.Amounts.Select(need => Slots(Resources.Capacity[need.Key], need.Value)).Append(SlotLimit ?? int.MaxValue).Append(provision.MaxPerNode ?? int.MaxValue).Min());
    }

    /// <summary>All of these numbers for one kind of process.</summary>
    /// <param name="provision">What one of them needs.</param>
    /// <returns>They, at this moment.</returns>
    public SlotCount Count(Provision provision) => new(
        Reservations, AvailableSlots(provision), AvailableSlotsInMemory(provision), AvailableSlotsOnDisk(provision), MaxSlots(provision));

    internal int FreeOfKind(Provision provision) => provision.MaxPerNode is { } most ? Math.Max(0, most - Kinds.GetValueOrDefault(provision.Kind)) : int.MaxValue;

    private static int Slots(decimal available, decimal need) =>
        need == 0 ? int.MaxValue : (int)Math.Min(int.MaxValue, decimal.Floor(Math.Max(0, available) / need));
}

/// <summary>How many processes of one kind an agent has room for, at one moment; the words are those of Slotz.</summary>
/// <param name="UsedSlots">Processes of whatever kind that hold a reservation.</param>
/// <param name="AvailableSlots">How many more would fit; the smallest of the two below, of the named resources, and of what a limit on slots leaves.</param>
/// <param name="AvailableSlotsInMemory">How many more would fit into memory; <see cref="int.MaxValue"/> if none is needed.</param>
/// <param name="AvailableSlotsOnDisk">How many more would fit on the disk; <see cref="int.MaxValue"/> if none is needed.</param>
/// <param name="MaxSlots">How many would fit if nothing were reserved; 0 if it can never fit there.</param>
public sealed record SlotCount(int UsedSlots, int AvailableSlots, int AvailableSlotsInMemory, int AvailableSlotsOnDisk, int MaxSlots)
{
    /// <summary>Used slots divided by used and available ones, 0 to 1; 1 where nothing is used and nothing fits.</summary>
    public double Utilization => AvailableSlots == 0 ? 1 : UsedSlots / ((double)UsedSlots + AvailableSlots);
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

    /// <summary>
    /// For people, naming each resource that was short: <c>needs 20 GB memory, 3.1 GB free of 16 GB (12 GB reserved)</c>,
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
            var kind = Status.FreeOfKind(Asked) > 0 ? null : $"runs {Status.Kinds.GetValueOrDefault(Asked.Kind)} of {Asked.Kind}, of which a node runs {Asked.MaxPerNode} at most";
            return string.Join("; ", ((string?[])[memory, disk, .. amounts, slots, kind]).OfType<string>());
        }
    }

    private static string Describe(string resource, long asked, ResourceLevel level)
    {
        var (needs, free) = (ByteSize.Format(asked), ByteSize.Format(level.FreeBytes));
        if (needs == free) // "needs 1 GB, 1 GB free" would explain nothing
            (needs, free) = ($"{asked} B", $"{level.FreeBytes} B");
        return $"needs {needs} {resource}, {free} free of {ByteSize.Format(level.CapacityBytes)} ({ByteSize.Format(level.ReservedBytes)} reserved)";
    }

    private string Describe(KeyValuePair<string, decimal> need)
    {
        var levels = Status.Resources;
        var numbers = levels.Capacity[need.Key] == 0
            ? "of which there is none"
            : $"{ResourceAmounts.Format(levels.FreeOf(need.Key))} free of {ResourceAmounts.Format(levels.Capacity[need.Key])} ({ResourceAmounts.Format(levels.Reserved[need.Key])} reserved)";
        return $"needs {ResourceAmounts.Format(need.Value)} {need.Key}, {numbers}";
    }
}
