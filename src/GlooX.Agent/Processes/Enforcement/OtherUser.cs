using System.Globalization;
using System.Runtime.InteropServices;
using GlooX.Channels.Replication;

namespace GlooX.Processes;

/// <summary>
/// A user of this machine, not this process's own, as whom a process runs: by <c>setpriv</c> of util-linux, which becomes that user, with its
/// groups, and then the program, so that the process id stays. Only root may do that.
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

    /// <summary>Why this process cannot start one as that user; null: it can.</summary>
    public static string? Fault(string name) =>
        !OperatingSystem.IsLinux() ? "runs processes as other users on Linux only"
        : geteuid() != 0 ? $"runs nothing as the user '{name}', as it is not root's itself"
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

    /// <summary>The same, as this user.</summary>
    public ProcessLaunch Start(ProcessLaunch launch)
    {
        string[] become = ["--reuid", Number(_id), "--regid", Number(_group), "--init-groups", "--inh-caps", "-all", "--", launch.File];
        Dictionary<string, string> variables = new(launch.Environment.Where(static v => v.Key != "GLOOX_HOME" && !v.Key.StartsWith("XDG_", StringComparison.Ordinal)), StringComparer.Ordinal)
        {
            ["HOME"] = _home,
            ["USER"] = _name,
            ["LOGNAME"] = _name,
            ["SHELL"] = _shell,
        };
        return launch with { File = Program, Arguments = [.. become, .. launch.Arguments], Environment = variables };
    }

    /// <summary>Gives a folder and all that is in it to this user.</summary>
    /// <exception cref="IOException">It cannot be given.</exception>
    public void Give(string folder)
    {
        for (string? above = Path.GetDirectoryName(folder); above is not null; above = Path.GetDirectoryName(above))
        {
            if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(above) & (UnixFileMode.GroupExecute | UnixFileMode.OtherExecute)) == UnixFileMode.None)
            {
                throw new IOException($"the user '{_name}' cannot get through {above} to its files: start the agent with a TMPDIR that others may pass through, such as /tmp");
            }
        }

        foreach (string path in Directory.EnumerateFileSystemEntries(folder, "*", SearchOption.AllDirectories).Prepend(folder))
        {
            if (lchown(path, _id, _group) != 0)
            {
                throw new IOException($"{path} cannot be given to the user '{_name}': {Marshal.GetLastPInvokeErrorMessage()}");
            }
        }
    }

    /// <summary>Copies a payload's files, which are only this agent's to read, and gives the copy to this user.</summary>
    /// <exception cref="IOException">It cannot be made.</exception>
    public void Copy(string from, string to)
    {
        GlooXHome.CreateFolder(to);
        foreach (string folder in Directory.EnumerateDirectories(from, "*", SearchOption.AllDirectories))
        {
            GlooXHome.CreateFolder(Path.Combine(to, Path.GetRelativePath(from, folder)));
        }

        foreach (string file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
        {
            File.Copy(file, Path.Combine(to, Path.GetRelativePath(from, file)), overwrite: true);
        }

        Give(to);
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
