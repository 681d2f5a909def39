namespace GlooX.Spawning;

/// <summary>
/// Holds the heap of a process to a part of its reservation: the rest is for what the runtime needs besides (code, stacks, native
/// buffers), in the proportion in which .NET shares out a container's memory.
/// </summary>
internal static class HeapLimit
{
    private const string Setting = "GCHeapHardLimit";

    /// <summary>Of a reservation.</summary>
    public static long Of(long memoryBytes) => memoryBytes / 4 * 3;

    /// <summary>Sets the limit of this process, which may run already.</summary>
    /// <returns>False: there is none, for the heap has more already, or none was asked for.</returns>
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
