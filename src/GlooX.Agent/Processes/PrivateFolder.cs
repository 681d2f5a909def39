using GlooX.Workers;
using Microsoft.Win32.SafeHandles;

namespace GlooX.Processes;

/// <summary>
/// Folders of an agent in the temporary folder, where everybody may make what nobody else has made yet. On Linux a folder is examined by its
/// descriptor, and no link is followed; on other systems an agent runs no processes. Stateless.
/// </summary>
internal static class PrivateFolder
{
    /// <summary>Makes a folder that only this user can enter; what is above it must exist.</summary>
    /// <returns>False: something of that name exists.</returns>
    /// <exception cref="IOException">The folder cannot be made.</exception>
    public static bool TryMake(string folder)
    {
        if (OperatingSystem.IsLinux())
        {
            return LinuxFolder.TryMake(folder);
        }

        bool exists = Path.Exists(folder);
        GlooXHome.CreateFolder(folder);
        return !exists;
    }

    /// <summary>A folder that is this user's alone; made when it is missing.</summary>
    /// <exception cref="IOException">The folder is another user's, may be listed or changed by others, or cannot be made.</exception>
    public static FolderOwner Require(string folder)
    {
        if (!OperatingSystem.IsLinux())
        {
            GlooXHome.CreateFolder(folder);
            return default;
        }

        _ = LinuxFolder.TryMake(folder);
        using SafeFileHandle opened = OpenPrivate(folder);
        return LinuxFolder.OwnerOf(opened);
    }

    /// <summary>Lets other users pass through a folder of this user's alone, to what they are given in it; they cannot list it.</summary>
    /// <exception cref="IOException">The folder is not this user's alone.</exception>
    public static void LetOthersThrough(string folder)
    {
        if (OperatingSystem.IsLinux())
        {
            using SafeFileHandle opened = OpenPrivate(folder);
            File.SetUnixFileMode(opened, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        }
    }

    /// <summary>Removes one file of a folder that must be this user's or another's.</summary>
    /// <exception cref="IOException">The folder is neither.</exception>
    public static void Clear(string folder, string file, OtherUser? user)
    {
        if (!OperatingSystem.IsLinux())
        {
            File.Delete(Path.Combine(folder, file));
            return;
        }

        using SafeFileHandle? opened = LinuxFolder.Open(folder);
        if (opened is null || !(LinuxFolder.IsMine(LinuxFolder.OwnerOf(opened)) || user?.Owns(opened) == true))
        {
            throw new IOException($"{folder} is not the folder of this process any more: somebody has put something else in its place");
        }

        File.Delete(Path.Combine(LinuxFolder.PathOf(opened), file));
    }

    /// <summary>Removes what is of a name in a folder that must be this user's alone.</summary>
    /// <returns>Null: nothing of that name is there; otherwise why not.</returns>
    public static string? Remove(string folder, string name)
    {
        using SafeFileHandle? opened = LinuxFolder.Open(folder);
        return opened is null ? (Path.Exists(folder) ? $"{folder} is no folder" : null)
            : LinuxFolder.IsPrivate(LinuxFolder.OwnerOf(opened)) ? LinuxFolder.Remove(opened, name)
            : $"{folder} is not this user's alone";
    }

    private static SafeFileHandle OpenPrivate(string folder)
    {
        SafeFileHandle? opened = LinuxFolder.Open(folder);
        if (opened is not null && LinuxFolder.IsPrivate(LinuxFolder.OwnerOf(opened)))
        {
            return opened;
        }

        opened?.Dispose();
        throw new IOException($"{folder} is not this user's alone: somebody else has made it. Remove it, or start the agent with a TMPDIR of its own");
    }
}
