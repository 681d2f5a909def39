using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace GlooX.Workers;

/// <summary>
/// Removes folders by descriptors, so that neither a depth nor a name beyond PATH_MAX is in the way, and no link is followed. Two
/// descriptors are enough for any depth: a folder within a folder is moved up to the root before it is emptied. Stateless.
/// </summary>
internal static class LinuxFolder
{
    private const int CurrentFolder = -100; // AT_FDCWD
    private const int NoFollow = 0x100; // AT_SYMLINK_NOFOLLOW
    private const int RemoveFolder = 0x200; // AT_REMOVEDIR
    private const int CloseOnExec = 0x80000;
    private const int OwnerAll = 0x1C0;
    private const int NotFound = 2; // ENOENT
    private const int MostNested = 100; // where folders cannot be moved
    private const int BufferBytes = 32 * 1024;
    private const int LengthAt = 16; // in struct linux_dirent64
    private const int NameAt = 19;
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(5);

    // O_DIRECTORY and O_NOFOLLOW differ between processors.
    private static readonly int s_openFolder = CloseOnExec
        | (RuntimeInformation.ProcessArchitecture is Architecture.Arm or Architecture.Arm64 ? 0x4000 | 0x8000 : 0x10000 | 0x20000);

    /// <summary>A descriptor of a folder; null when the folder cannot be opened.</summary>
    public static SafeFileHandle? Open(string folder) =>
        openat(CurrentFolder, Path(folder), s_openFolder) is >= 0 and int opened ? new(opened, ownsHandle: true) : null;

    /// <summary>
    /// Removes a folder with all that is in it, folders that their owner may not write included; a link is removed, not followed.
    /// </summary>
    /// <returns>Null when the folder is gone; otherwise why the first entry that stays could not be removed.</returns>
    public static string? Remove(string folder)
    {
        byte[] path = Path(folder);
        if (unlinkat(CurrentFolder, path, 0) == 0 || Marshal.GetLastPInvokeError() == NotFound)
        {
            return null; // it was a link or a file, or is gone
        }

        var removal = new Removal(TimeProvider.System.GetTimestamp());
        _ = fchmodat(CurrentFolder, path, OwnerAll, NoFollow);
        removal.Root = openat(CurrentFolder, path, s_openFolder);
        if (removal.Root < 0)
        {
            return Marshal.GetLastPInvokeErrorMessage();
        }

        try
        {
            bool progressed;
            do
            {
                removal.Fault = null;
                progressed = removal.Empty(removal.Root, depth: 0);
                if (unlinkat(CurrentFolder, path, RemoveFolder) == 0)
                {
                    return null;
                }

                removal.Fault ??= Marshal.GetLastPInvokeErrorMessage();
            }
            while (progressed && !removal.IsLate); // entries that were moved up may not have been seen

            return removal.Fault;
        }
        finally
        {
            _ = close(removal.Root);
        }
    }

    private static byte[] Path(string path) => [.. Encoding.UTF8.GetBytes(path), 0];

    private sealed class Removal(long start)
    {
        private readonly string _prefix = $".gloox-{Guid.NewGuid():N}-";
        private int _moved;

        public int Root { get; set; }

        public string? Fault { get; set; }

        // What removes a folder that is still written to would never end.
        public bool IsLate => TimeProvider.System.GetElapsedTime(start) > s_limit;

        // Whether anything was removed.
        public bool Empty(int folder, int depth)
        {
            bool progressed = false;
            byte[] entries = new byte[BufferBytes];
            _ = lseek(folder, 0, 0);
            for (int read; !IsLate && (read = (int)getdents64(folder, entries, BufferBytes)) > 0;)
            {
                for (int at = 0; at < read; at += BitConverter.ToUInt16(entries, at + LengthAt))
                {
                    ReadOnlySpan<byte> name = entries.AsSpan(at + NameAt);
                    name = name[..(name.IndexOf((byte)0) + 1)];
                    if (name is not ([(byte)'.', 0] or [(byte)'.', (byte)'.', 0]))
                    {
                        progressed |= RemoveEntry(folder, name.ToArray(), depth);
                    }
                }
            }

            return progressed;
        }

        private bool RemoveEntry(int folder, byte[] name, int depth)
        {
            if (unlinkat(folder, name, 0) == 0 || unlinkat(folder, name, RemoveFolder) == 0)
            {
                return true;
            }

            _ = fchmodat(folder, name, OwnerAll, NoFollow);
            if (folder != Root && renameat(folder, name, Root, Path($"{_prefix}{_moved++}")) == 0)
            {
                return true;
            }

            int inner = depth < MostNested ? openat(folder, name, s_openFolder) : -1;
            if (inner >= 0)
            {
                try
                {
                    bool progressed = Empty(inner, depth + 1);
                    if (unlinkat(folder, name, RemoveFolder) == 0 || progressed)
                    {
                        return true;
                    }
                }
                finally
                {
                    _ = close(inner);
                }
            }

            Fault ??= $"{Encoding.UTF8.GetString(name.AsSpan(..^1))}: {Marshal.GetLastPInvokeErrorMessage()}";
            return false;
        }
    }

#pragma warning disable SYSLIB1054, CA2101, CA5392, IDE1006 // plain libc, by its own names
    [DllImport("libc", SetLastError = true)]
    private static extern int openat(int folder, byte[] path, int flags);

    [DllImport("libc", SetLastError = true)]
    private static extern int unlinkat(int folder, byte[] path, int flags);

    [DllImport("libc", SetLastError = true)]
    private static extern int renameat(int fromFolder, byte[] from, int toFolder, byte[] to);

    [DllImport("libc", SetLastError = true)]
    private static extern int fchmodat(int folder, byte[] path, int mode, int flags);

    [DllImport("libc")]
    private static extern long lseek(int descriptor, long offset, int from);

    [DllImport("libc")]
    private static extern nint getdents64(int folder, byte[] entries, nint bytes);

    [DllImport("libc")]
    private static extern int close(int descriptor);
#pragma warning restore SYSLIB1054, CA2101, CA5392, IDE1006
}
