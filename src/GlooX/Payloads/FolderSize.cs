using System.IO.Enumeration;

namespace GlooX.Payloads;

/// <summary>How much the files of a folder take. Links are not followed; a file that vanishes meanwhile counts as nothing.</summary>
internal static class FolderSize
{
    private static readonly EnumerationOptions s_all = new() { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = true };

    public static long Of(string folder)
    {
        try
        {
            return new FileSystemEnumerable<long>(folder, (ref FileSystemEntry entry) => entry.IsDirectory ? 0 : entry.Length, s_all).Sum();
        }
        catch (DirectoryNotFoundException)
        {
            return 0;
        }
    }
}
