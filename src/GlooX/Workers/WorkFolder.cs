using Microsoft.Win32.SafeHandles;

namespace GlooX.Workers;

/// <summary>Removes the folder of a process that has ended, or what runtimes that were killed leave in it. Stateless.</summary>
internal static class WorkFolder
{
    /// <summary>
    /// Removes what runtimes that were killed leave in the folder, by which tools would have reached them: it may be kept, or used again.
    /// </summary>
    public static void RemoveTraces(string folder)
    {
        try
        {
            using SafeFileHandle? opened = OperatingSystem.IsLinux() ? LinuxFolder.Open(folder) : null; // no link is followed
            if (OperatingSystem.IsLinux() && opened is null)
            {
                return;
            }

            foreach (string trace in (string[])["clr-debug-pipe-*", "dotnet-diagnostic-*"])
            {
                Array.ForEach(Directory.GetFiles(opened is null ? folder : LinuxFolder.PathOf(opened), trace), File.Delete);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // it has cleared away its folder, and what stays does no harm
        }
    }

    /// <summary>
    /// Removes a folder with all that is in it, however deep; a link is removed, not followed. Does nothing when there is no such folder.
    /// </summary>
    /// <returns>Null when the folder is gone; otherwise why not. Some of its entries may be gone all the same.</returns>
    public static string? TryRemove(string folder)
    {
        if (OperatingSystem.IsLinux())
        {
            return LinuxFolder.Remove(folder);
        }

        try
        {
            Directory.Delete(folder, recursive: true);
            return null;
        }
        catch (DirectoryNotFoundException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e.Message;
        }
    }

    /// <summary>As <see cref="TryRemove"/>.</summary>
    /// <exception cref="IOException">The folder could not be removed.</exception>
    public static void Remove(string folder)
    {
        if (TryRemove(folder) is { } fault)
        {
            throw new IOException($"The folder {folder} cannot be removed: {fault}");
        }
    }
}
