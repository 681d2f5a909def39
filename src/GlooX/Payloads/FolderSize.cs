using System.IO.Enumeration;
using GlooX.Workers;
using Microsoft.Win32.SafeHandles;

namespace GlooX.Payloads;

/// <summary>How much the files of a folder take. Links are not followed; a file that vanishes meanwhile counts as nothing.</summary>
internal static class FolderSize
{
    private const int LongPath = 1000; // characters of up to three bytes, far enough below PATH_MAX
    private static readonly EnumerationOptions s_all =
        new() { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = true };

    public static long Of(string folder)
    {
        List<string> deep = []; // from where on paths begin anew, by a descriptor
        long size;
        try
        {
            size = new FileSystemEnumerable<long>(folder, (ref FileSystemEntry entry) => entry.IsDirectory ? 0 : entry.Length, s_all)
            {
                ShouldRecursePredicate = (ref FileSystemEntry entry) =>
                {
                    bool isLong = OperatingSystem.IsLinux() && entry.Directory.Length + entry.FileName.Length > LongPath;
                    if (isLong)
                    {
                        deep.Add(entry.ToFullPath());
                    }

                    return !isLong;
                },
            }.Sum();
        }
        catch (DirectoryNotFoundException)
        {
            return 0;
        }

        foreach (string path in deep)
        {
            using SafeFileHandle? opened = LinuxFolder.Open(path);
            size += opened is null ? 0 : Of($"/proc/self/fd/{opened.DangerousGetHandle()}");
        }

        return size;
    }
}
