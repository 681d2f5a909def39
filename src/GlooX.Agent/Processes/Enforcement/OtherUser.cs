using System.Globalization;
using System.Runtime.InteropServices;
using GlooX.Workers;
using Microsoft.Win32.SafeHandles;

namespace GlooX.Processes;

/// <summary>
/// A user of this machine, not this process's own, as whom a process runs: <c>setpriv</c> of util-linux becomes that user, with its groups and without
/// a way back, and then the program, so that the process id stays. Only root may do that. Root never works by path in what belongs to that user.
/// </summary>
internal sealed class OtherUser
{
    private const string Program = "/usr/bin/setpriv";
    private static readonly Lock s_lock = new();
    private readonly string _name;
    private readonly uint _id;
    private readonly uint _group;
    private readonly string _home;
    private readonly string _shell;

    private OtherUser(string name, in Entry entry) => (_name, _id, _group, _home, _shell) = (name, entry.Id, entry.Group, Text(entry.Home), Text(entry.Shell));

    /// <summary>Whether this process is root's.</summary>
    public static bool IsRoot => OperatingSystem.IsLinux() && geteuid() == 0;

    /// <summary>Whether it is root after all, by whatever name.</summary>
    public bool IsSuperuser => _id == 0;

    /// <summary>
    /// The command that becomes this user and then what follows. The kernel gives nothing back: no capability, no program that is another user's
    /// by its mode (setuid).
    /// </summary>
    public IReadOnlyList<string> Command =>
    [
        Program, "--reuid", Number(_id), "--regid", Number(_group), "--init-groups", "--inh-caps", "-all", "--bounding-set", "-all", "--no-new-privs", "--",
    ];

    /// <summary>Why this process cannot start one as that user; null: it can.</summary>
    public static string? Fault(string name) =>
        !OperatingSystem.IsLinux() ? "runs processes as other users on Linux only"
        : !IsRoot ? $"runs nothing as the user '{name}', as it is not root's itself"
        : !File.Exists(Program) ? $"runs nothing as the user '{name}', as {Program} is missing: install util-linux"
        : Find(name) is null ? $"knows no user '{name}'"
        : null;

    /// <summary>Null: there is none of that name.</summary>
    public static OtherUser? Find(string name)
    {
        lock (s_lock)
        {
            nint found = getpwnam(name); // what it points to is good until the next call
            return found == 0 ? null : new OtherUser(name, Marshal.PtrToStructure<Entry>(found));
        }
    }

    /// <summary>The variables of a process as this user has them.</summary>
    public Dictionary<string, string> Variables(IReadOnlyDictionary<string, string> variables) =>
        new(variables.Where(static v => v.Key != "GLOOX_HOME" && !v.Key.StartsWith("XDG_", StringComparison.Ordinal)), StringComparer.Ordinal)
        {
            ["HOME"] = _home,
            ["USER"] = _name,
            ["LOGNAME"] = _name,
            ["SHELL"] = _shell,
        };

    /// <summary>Whether an open folder is this user's.</summary>
    public bool Owns(SafeFileHandle folder) => LinuxFolder.OwnerOf(folder).User == _id;

    /// <summary>
    /// Gives a folder to this user, once: when it is just made and empty. One that is this user's already is left as it is, and nothing in it is
    /// looked at.
    /// </summary>
    /// <exception cref="IOException">The folder cannot be given, or is neither.</exception>
    public void Give(string folder)
    {
        RequirePassage(folder);
        using SafeFileHandle opened = Open(folder);
        if (Owns(opened))
        {
            return;
        }

        if (!LinuxFolder.IsMine(LinuxFolder.OwnerOf(opened)) || Directory.EnumerateFileSystemEntries(LinuxFolder.PathOf(opened)).Any())
        {
            throw new IOException($"{folder} is not given to the user '{_name}': it is neither that user's nor a new folder");
        }

        LinuxFolder.Give(opened, _id, _group);
    }

    /// <summary>Copies a payload's files, which are only this agent's to read, and gives the copy to this user.</summary>
    /// <param name="from">The files, which are this agent's.</param>
    /// <param name="to">A folder that must not exist. It is root's alone until the copy is complete.</param>
    /// <exception cref="IOException">The copy cannot be made.</exception>
    public void Copy(string from, string to)
    {
        if (!LinuxFolder.TryMake(to))
        {
            throw new IOException($"{to} is left from an earlier start, and could not be removed");
        }

        RequirePassage(to);
        foreach (string folder in Directory.EnumerateDirectories(from, "*", SearchOption.AllDirectories))
        {
            GlooXHome.CreateFolder(Path.Combine(to, Path.GetRelativePath(from, folder)));
        }

        foreach (string file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
        {
            File.Copy(file, Path.Combine(to, Path.GetRelativePath(from, file)));
        }

        foreach (string path in Directory.EnumerateFileSystemEntries(to, "*", SearchOption.AllDirectories))
        {
            if (lchown(path, _id, _group) != 0)
            {
                throw new IOException($"{path} cannot be given to the user '{_name}': {Marshal.GetLastPInvokeErrorMessage()}");
            }
        }

        using SafeFileHandle opened = Open(to);
        LinuxFolder.Give(opened, _id, _group); // the last: from now on this user can change what is in it
    }

    private static SafeFileHandle Open(string folder) =>
        LinuxFolder.Open(folder) ?? throw new IOException($"{folder} is no folder: {Marshal.GetLastPInvokeErrorMessage()}");

    private void RequirePassage(string folder)
    {
        for (string? above = Path.GetDirectoryName(folder); above is not null; above = Path.GetDirectoryName(above))
        {
            if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(above) & (UnixFileMode.GroupExecute | UnixFileMode.OtherExecute)) == UnixFileMode.None)
            {
                throw new IOException(
                    $"the user '{_name}' cannot get through {above} to its files: start the agent with a TMPDIR that others may pass through, such as /tmp");
            }
        }
    }

    private static string Number(uint id) => id.ToString(CultureInfo.InvariantCulture);

    private static string Text(nint text) => Marshal.PtrToStringUTF8(text) ?? "";

    /// <summary>What getpwnam tells, as Linux lays it out.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Entry
    {
        private readonly nint _name;
        private readonly nint _password;
        public readonly uint Id;
        public readonly uint Group;
        private readonly nint _comment;
        public readonly nint Home;
        public readonly nint Shell;
    }

#pragma warning disable SYSLIB1054, CA2101, CA5392, IDE1006 // plain libc, by its own names
    [DllImport("libc")]
    private static extern uint geteuid();

    [DllImport("libc")]
    private static extern nint getpwnam([MarshalAs(UnmanagedType.LPUTF8Str)] string name);

    [DllImport("libc", SetLastError = true)]
    private static extern int lchown([MarshalAs(UnmanagedType.LPUTF8Str)] string path, uint user, uint group);
#pragma warning restore SYSLIB1054, CA2101, CA5392, IDE1006
}
