namespace GlooX;

/// <summary>How many processes of one kind an agent has room for at one moment.</summary>
/// <param name="UsedSlots">Processes, of any kind, that hold a reservation.</param>
/// <param name="AvailableSlots">
/// How many more fit: the smallest of the two numbers below, of what the named resources allow, and of what limits on slots leave.
/// </param>
/// <param name="AvailableSlotsInMemory">How many more fit into memory; <see cref="int.MaxValue"/> when they need none.</param>
/// <param name="AvailableSlotsOnDisk">How many more fit on the disk; <see cref="int.MaxValue"/> when they need none.</param>
/// <param name="MaxSlots">How many fit when nothing is reserved; 0 when not even one does.</param>
public sealed record SlotCount(int UsedSlots, int AvailableSlots, int AvailableSlotsInMemory, int AvailableSlotsOnDisk, int MaxSlots)
{
    /// <summary>Used slots divided by used and available ones, from 0 to 1. 1 when nothing fits.</summary>
    public double Utilization => AvailableSlots == 0 ? 1 : UsedSlots / ((double)UsedSlots + AvailableSlots);
}
