namespace GlooX.Workers;

/// <summary>
/// Holds the heap of a process to a part of its reservation: the rest is for what the runtime needs besides (code, stacks, native
/// buffers), in the proportion in which .NET shares out a container's memory. A process with a reservation below what the
/// runtime alone takes is not limited.
/// </summary>
internal static class HeapLimit
{
    private const string Setting = "GCHeapHardLimit";

    private const long LeastReservation = 64_000_000;

    /// <summary>Of a reservation; 0: none.</summary>
    public static long Of(long memoryBytes) => memoryBytes < LeastReservation ? 0 : memoryBytes / 4 * 3;

    /// <summary>Sets the limit of this process, which may run already.</summary>
    /// <returns>False: no limit was asked for, or the heap has more already.</returns>
    public static bool Apply(long bytes)
    {
        if (bytes <= 0)
        {
            return false;
        }

        AppContext.SetData(Setting, (ulong)bytes);
        try
        {
            GC.RefreshMemoryLimit();
            return true;
        }
        catch (InvalidOperationException)
        {
            AppContext.SetData(Setting, null);
            return false; // the agent reports the process as not limited
        }
    }
}
