namespace GlooX.Workers;

/// <summary>Removes the folder of a process that has ended, or what runtimes that were killed leave in it. Stateless.</summary>
internal static class WorkFolder
{
    /// <summary>Removes what runtimes that were killed leave in the folder, by which tools would have reached them: it may be kept, or used again.</summary>
    public static void RemoveTraces(string folder)
    {
        try
        {
            foreach (string trace in (string[])["clr-debug-pipe-*", "dotnet-diagnostic-*"])
            {
                Array.ForEach(Directory.GetFiles(folder, trace), File.Delete);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // it has cleared away its folder, and what stays does no harm
        }
    }

    public static void Remove(string folder)
    {
        try
        {
            Directory.Delete(folder, recursive: true);
        }
        catch (DirectoryNotFoundException)
        {
            // it has cleared away itself
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine($"the folder {folder} of a process that has ended cannot be removed: {e.Message}");
        }
    }
}
