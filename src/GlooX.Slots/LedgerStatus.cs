namespace GlooX.Slots;

/// <summary>Memory or disk of an agent at one moment, in bytes.</summary>
/// <param name="FreeBytes">What a new reservation may take; never negative.</param>
/// <param name="ReservedBytes">The sum of all reservations.</param>
/// <param name="CapacityBytes">The most that the agent hands out.</param>
internal sealed record ResourceLevel(long FreeBytes, long ReservedBytes, long CapacityBytes)
{
    /// <summary>The reserved share of the capacity, from 0 to 1.</summary>
    public double Utilization =>
        ReservedBytes == 0 ? 0 : ReservedBytes >= CapacityBytes ? 1 : (double)ReservedBytes / CapacityBytes;
}

/// <summary>Cores and other named resources of an agent at one moment.</summary>
/// <param name="Capacity">The most that the agent hands out.</param>
/// <param name="Reserved">The sum of all reservations.</param>
internal sealed record AmountLevels(ResourceAmounts Capacity, ResourceAmounts Reserved)
{
    public static AmountLevels None { get; } = new(ResourceAmounts.None, ResourceAmounts.None);

    /// <summary>What a new reservation may take of each resource; 0 for a resource that is used up.</summary>
    public ResourceAmounts Free => ResourceAmounts.Unchecked(Capacity.Select(c => KeyValuePair.Create(c.Key, FreeOf(c.Key))));

    /// <summary>The reserved share of the scarcest resource, from 0 to 1.</summary>
    public double Utilization =>
        Reserved.Select(r => r.Value >= Capacity[r.Key] ? 1 : (double)(r.Value / Capacity[r.Key])).DefaultIfEmpty(0).Max();

    /// <summary>What a new reservation may take of one resource; 0 for a resource that the agent does not have.</summary>
    public decimal FreeOf(string name) => Math.Max(0, Capacity[name] - Reserved[name]);
}

/// <summary>
/// What a <see cref="Ledger"/> has reserved at one moment and what fits beside it. Data and arithmetic only; it grants nothing.
/// </summary>
/// <param name="Memory">Memory.</param>
/// <param name="Disk">Disk.</param>
/// <param name="Reservations">Number of reservations.</param>
internal sealed record LedgerStatus(ResourceLevel Memory, ResourceLevel Disk, int Reservations)
{
    /// <summary>Cores and other named resources. Default: none.</summary>
    public AmountLevels Resources { get; init; } = AmountLevels.None;

    /// <summary>The most reservations; null (default) for as many as fit.</summary>
    public int? SlotLimit { get; init; }

    /// <summary>Number of reservations by <see cref="Provision.Kind"/>. Default: none.</summary>
    public IReadOnlyDictionary<string, int> Kinds { get; init; } = NoKinds;

    internal static IReadOnlyDictionary<string, int> NoKinds { get; } = new Dictionary<string, int>(StringComparer.Ordinal);

    /// <summary>
    /// The reserved share of the agent's scarcest resource, from 0 to 1. With processes of one class only, this is the number of used
    /// slots divided by <see cref="MaxSlots"/> before rounding to whole slots.
    /// </summary>
    public double Utilization => Math.Max(
        Math.Max(Memory.Utilization, Disk.Utilization),
        Math.Max(Resources.Utilization, SlotUtilization));

    /// <summary>How many more reservations <see cref="SlotLimit"/> allows; <see cref="int.MaxValue"/> without a limit.</summary>
    public int FreeSlots => SlotLimit is { } most ? Math.Max(0, most - Reservations) : int.MaxValue;

    private double SlotUtilization =>
        SlotLimit is not { } most || Reservations == 0 ? 0 : Reservations >= most ? 1 : (double)Reservations / most;

    /// <summary>
    /// How many more processes fit: the smallest of what memory, disk, each named resource, <see cref="SlotLimit"/> and
    /// <see cref="Provision.MaxPerNode"/> allow; <see cref="int.MaxValue"/> when nothing limits.
    /// </summary>
    public int AvailableSlots(Provision provision) => Math.Min(
        Math.Min(AvailableSlotsInMemory(provision), AvailableSlotsOnDisk(provision)),
        provision.Amounts
            .Select(need => Slots(Resources.FreeOf(need.Key), need.Value))
            .Append(FreeSlots)
            .Append(FreeOfKind(provision))
            .Min());

    /// <summary>How many more processes fit into memory; <see cref="int.MaxValue"/> when they need none.</summary>
    public int AvailableSlotsInMemory(Provision provision) => Slots(Memory.FreeBytes, provision.MemoryBytes);

    /// <summary>How many more processes fit on the disk; <see cref="int.MaxValue"/> when they need none.</summary>
    public int AvailableSlotsOnDisk(Provision provision) => Slots(Disk.FreeBytes, provision.DiskBytes);

    /// <summary>
    /// How many processes fit when nothing is reserved and the machine is otherwise idle; 0 when not even one does,
    /// <see cref="int.MaxValue"/> when nothing limits.
    /// </summary>
    public int MaxSlots(Provision provision) => Math.Min(
        Math.Min(Slots(Memory.CapacityBytes, provision.MemoryBytes), Slots(Disk.CapacityBytes, provision.DiskBytes)),
        provision.Amounts
            .Select(need => Slots(Resources.Capacity[need.Key], need.Value))
            .Append(SlotLimit ?? int.MaxValue)
            .Append(provision.MaxPerNode ?? int.MaxValue)
            .Min());

    /// <summary>All of these numbers for one kind of process.</summary>
    public SlotCount Count(Provision provision) => new(
        Reservations,
        AvailableSlots(provision),
        AvailableSlotsInMemory(provision),
        AvailableSlotsOnDisk(provision),
        MaxSlots(provision));

    internal int FreeOfKind(Provision provision) => provision.MaxPerNode is { } most
        ? Math.Max(0, most - Kinds.GetValueOrDefault(provision.Kind))
        : int.MaxValue;

    private static int Slots(decimal available, decimal need) =>
        need == 0 ? int.MaxValue : (int)Math.Min(int.MaxValue, decimal.Floor(Math.Max(0, available) / need));
}
