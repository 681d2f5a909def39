using System.Globalization;
using System.Text;
using GlooX.Workers;
using Microsoft.Win32.SafeHandles;

namespace GlooX.Processes;

/// <summary>The content of the lock file of a workspace: whose the workspace is, and where the folders of its processes are.</summary>
/// <param name="Pid">The agent's process.</param>
/// <param name="Started">When that was started, in the kernel's ticks.</param>
/// <param name="Folders">The folder that holds those of its processes.</param>
/// <param name="Device">The file system of that folder.</param>
/// <param name="Inode">That folder in it: another one of the same name is not the agent's.</param>
internal sealed record WorkspaceNote(int Pid, long Started, string Folders, ulong Device, ulong Inode)
{
    /// <exception cref="FormatException">It is damaged.</exception>
    public static WorkspaceNote? Read(FileStream file)
    {
        file.Position = 0;
        using var reader = new StreamReader(file, leaveOpen: true);
        return reader.ReadToEnd().Split('\n') is [var pid, var started, { Length: > 0 } folders, var device, var inode]
            ? new WorkspaceNote(
                int.Parse(pid, CultureInfo.InvariantCulture),
                long.Parse(started, CultureInfo.InvariantCulture),
                folders,
                ulong.Parse(device, CultureInfo.InvariantCulture),
                ulong.Parse(inode, CultureInfo.InvariantCulture))
            : null; // killed before it had anything
    }

    public void Write(FileStream file)
    {
        file.Position = 0;
        file.SetLength(0);
        file.Write(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{Pid}\n{Started}\n{Folders}\n{Device}\n{Inode}")));
        file.Flush();
    }

    /// <summary>
    /// The folder that holds those of the processes, to be swept; null: it is gone, or what is there now is a link, another folder, or not this user's
    /// alone. Where temporary folders are emptied, anybody may have made something of that name.
    /// </summary>
    public SafeFileHandle? OpenFolders()
    {
        if (!OperatingSystem.IsLinux() || LinuxFolder.Open(Folders) is not { } opened)
        {
            return null;
        }

        FolderOwner owner = LinuxFolder.OwnerOf(opened);
        if (LinuxFolder.IsPrivate(owner) && (owner.Device, owner.Inode) == (Device, Inode))
        {
            return opened;
        }

        opened.Dispose();
        return null;
    }

    /// <summary>Removes what a runtime that is killed leaves, by which tools would have reached it.</summary>
    public void RemoveTraces()
    {
        foreach (string name in (string[])["clr-debug-pipe-{0}-{1}-in", "clr-debug-pipe-{0}-{1}-out", "dotnet-diagnostic-{0}-{1}-socket"])
        {
            File.Delete(Path.Combine(Path.GetDirectoryName(Folders)!, string.Format(CultureInfo.InvariantCulture, name, Pid, Started)));
        }
    }
}
