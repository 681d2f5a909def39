using System.Globalization;

namespace GlooX.Slots;

/// <summary>
/// Makes a control group for each process, in a group that was given to this agent, and so has the kernel hold the process, with all that
/// it starts, to its memory and cores. Linux, version 1 and 2, also mounted side by side. Thread-safe.
/// </summary>
/// <remarks>
/// A group has one owner (systemd calls it delegation): name a group that nothing else manages. In version 2 it must hold no processes
/// itself, which is a rule of the kernel. See cgroups(7), and the kernel's admin-guide/cgroup-v2 and admin-guide/cgroup-v1.
/// </remarks>
public sealed class ControlGroups
{
    private readonly Place? _memory;
    private readonly Place? _cpu;

    private ControlGroups(Place? memory, Place? cpu)
    {
        _memory = memory;
        _cpu = cpu;
    }

    /// <summary>Opens a group for making others in it; makes it if it is missing, and clears away empty groups that a killed agent has left in it.</summary>
    /// <param name="group">Its path as <c>/proc/self/cgroup</c> shows it, for example <c>/gloox</c>.</param>
    /// <returns>The groups.</returns>
    /// <exception cref="ArgumentException">The path does not begin with a slash, is the root, or leads elsewhere.</exception>
    /// <exception cref="IOException">Neither memory nor cores can be limited there; the message says why.</exception>
    /// <exception cref="PlatformNotSupportedException">Not Linux.</exception>
    public static ControlGroups Open(string group) => OperatingSystem.IsLinux()
        ? Open(group, "/")
        : throw new PlatformNotSupportedException("Control groups are there on Linux only: leave them out.");

    internal static ControlGroups Open(string group, string root)
    {
        ArgumentException.ThrowIfNullOrEmpty(group);
        if (group[0] != '/' || group.Trim('/').Length == 0 || group.Split('/').Contains("..", StringComparer.Ordinal))
            throw new ArgumentException($"'{group}' is no path of a control group. Valid are, for example: /gloox, /system.slice/gloox.service/children.", nameof(group));

        var complaints = new List<string>();
        var mounts = CgroupMount.ReadAll(root);
        var groups = new ControlGroups(Find(mounts, "memory", group, root, complaints), Find(mounts, "cpu", group, root, complaints));
        return groups._memory is null && groups._cpu is null
            ? throw new IOException($"The control group '{group}' cannot be used: {string.Join("; ", complaints)}. Give a group that this user may write, with the controllers memory and cpu, or none.")
            : groups;
    }

    /// <summary>Makes the group of one process, with limits for what it needs.</summary>
    /// <param name="name">Names it among the others: 1 to 60 letters, digits, dashes and underscores.</param>
    /// <param name="need">What it reserved: bytes of memory, and cores; 0 is not limited.</param>
    /// <returns>The group, empty; null if nothing of it can be limited here.</returns>
    /// <exception cref="ArgumentException">The name cannot be a group's.</exception>
    public ControlGroup? Create(string name, Provision need)
    {
        ArgumentNullException.ThrowIfNull(need);
        if (string.IsNullOrEmpty(name) || name.Length > 60 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_'))
            throw new ArgumentException($"'{name}' is no name of a group. Valid are 1 to 60 letters, digits, dashes and underscores.", nameof(name));

        var memory = need.MemoryBytes == 0 ? null : _memory?.Make(name, place => place.LimitMemory(name, need.MemoryBytes));
        var cpu = need.Cores == 0 ? null : _cpu?.Make(name, place => place.LimitCores(name, need.Cores));
        return memory is null && cpu is null ? null : new ControlGroup(memory, cpu);
    }

    /// <summary>The group of a process that was made by an agent before this one.</summary>
    /// <param name="name">The name that it was made with.</param>
    /// <returns>Null if there is none any more.</returns>
    public ControlGroup? Find(string name)
    {
        string? memory = Existing(_memory, name), cpu = Existing(_cpu, name);
        return memory is null && cpu is null ? null : new ControlGroup(memory, cpu);

        static string? Existing(Place? place, string name) =>
            place is not null && Path.GetFileName(name) == name && Path.Join(place.Folder, name) is var path && Directory.Exists(path) ? path : null;
    }

    private static Place? Find(CgroupMount[] mounts, string controller, string group, string root, List<string> complaints)
    {
        // With both versions side by side, a controller is in version 1 where it is mounted there.
        var mount = Array.Find(mounts, m => m.Controls(controller) && m.Holds(group)) ?? Array.Find(mounts, m => m.Version == 2 && m.Holds(group));
        if (mount is null)
        {
            complaints.Add($"{controller} is in no control groups that are mounted here");
            return null;
        }

        var top = Path.Join(root, mount.Folder);
        var folder = Path.Join(top, mount.Root == "/" ? group : group[mount.Root.Length..]);
        try
        {
            Directory.CreateDirectory(folder);
            foreach (var left in Directory.GetDirectories(folder))
                Control.TryRemove(left); // of an agent that was killed; the kernel keeps those that hold processes
            if (mount.Version == 1)
                return new Place(folder, Version: 1);

            // Each group must hand a controller on to those in it, from the top down; above what was delegated somebody has done it already.
            var names = Path.GetRelativePath(top, folder).Split('/').Where(name => name != ".").ToArray();
            for (var depth = 0; depth <= names.Length; depth++)
            {
                var above = Path.Join([top, .. names[..depth]]);
                if (!HandsOn(above, controller))
                    Control.TryWrite(above, "cgroup.subtree_control", $"+{controller}");
            }

            if (HandsOn(folder, controller))
                return new Place(folder, Version: 2);
            complaints.Add($"'{folder}' does not hand {controller} on: it must not hold processes itself, and its cgroup.controllers must name {controller}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            complaints.Add($"'{folder}' cannot be made: {e.Message}");
        }

        return null;
    }

    private static bool HandsOn(string folder, string controller) =>
        (LinuxMachine.TryReadText(Path.Join(folder, "cgroup.subtree_control")) ?? "").Split([' ', '\n']).Contains(controller, StringComparer.Ordinal);

    /// <summary>A folder of one hierarchy in which groups are made.</summary>
    private sealed record Place(string Folder, int Version)
    {
        private const int PeriodMicroseconds = 100_000;
        private const int LeastQuotaMicroseconds = 1_000; // the kernel takes no less

        public string? Make(string name, Func<Place, bool> limit)
        {
            var path = Path.Join(Folder, name);
            try
            {
                Directory.CreateDirectory(path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return null; // the group was taken away meanwhile: the process is then reported as not limited
            }

            if (limit(this))
                return path;
            Control.TryRemove(path);
            return null;
        }

        public bool LimitMemory(string name, long bytes)
        {
            var path = Path.Join(Folder, name);
            var limit = bytes.ToString(CultureInfo.InvariantCulture);
            if (Version == 1)
            {
                var limited = Control.TryWrite(path, "memory.limit_in_bytes", limit);
                Control.TryWrite(path, "memory.memsw.limit_in_bytes", limit); // only where swap is counted
                return limited;
            }

            Control.TryWrite(path, "memory.swap.max", "0");
            Control.TryWrite(path, "memory.oom.group", "1"); // the process with all that it started, not one of them
            return Control.TryWrite(path, "memory.max", limit);
        }

        public bool LimitCores(string name, decimal cores)
        {
            var path = Path.Join(Folder, name);
            var quota = ((long)Math.Max(LeastQuotaMicroseconds, decimal.Ceiling(cores * PeriodMicroseconds))).ToString(CultureInfo.InvariantCulture);
            return Version == 1
                ? Control.TryWrite(path, "cpu.cfs_period_us", $"{PeriodMicroseconds}") && Control.TryWrite(path, "cpu.cfs_quota_us", quota)
                : Control.TryWrite(path, "cpu.max", $"{quota} {PeriodMicroseconds}");
        }
    }

    /// <summary>The files by which the kernel is told.</summary>
    internal static class Control
    {
        public static bool TryWrite(string folder, string file, string text)
        {
            try
            {
                File.WriteAllText(Path.Join(folder, file), text);
                return true;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return false;
            }
        }

        public static bool TryRemove(string folder)
        {
            try
            {
                Directory.Delete(folder); // the kernel's files in it go with it
                return true;
            }
            catch (DirectoryNotFoundException)
            {
                return true;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return false;
            }
        }
    }
}

/// <summary>The control group of one process and of all that it starts. Thread-safe.</summary>
public sealed class ControlGroup
{
    private readonly string[] _folders;

    internal ControlGroup(string? memory, string? cpu)
    {
        _folders = [.. ((string?[])[memory, cpu]).OfType<string>().Distinct(StringComparer.Ordinal)];
        LimitsMemory = memory is not null;
        LimitsCores = cpu is not null;
    }

    /// <summary>Whether the kernel kills the process when it takes more memory than it reserved.</summary>
    public bool LimitsMemory { get; }

    /// <summary>Whether the kernel holds the process to its cores.</summary>
    public bool LimitsCores { get; }

    /// <summary>Moves a process into the group; what it starts from now on is in it too. What it has taken before stays counted where it was.</summary>
    /// <param name="pid">Its process id.</param>
    /// <returns>False: it is not (wholly) in it, because it has ended or the kernel refused.</returns>
    public bool Add(int pid) => Array.TrueForAll(_folders, folder => ControlGroups.Control.TryWrite(folder, "cgroup.procs", pid.ToString(CultureInfo.InvariantCulture)));

    /// <summary>The processes in the group.</summary>
    /// <returns>Their ids; empty if the group is gone.</returns>
    public IReadOnlyList<int> Processes() =>
    [
        .. _folders.SelectMany(folder => (LinuxMachine.TryReadText(Path.Join(folder, "cgroup.procs")) ?? "").Split('\n'))
            .Select(line => int.TryParse(line, NumberStyles.None, CultureInfo.InvariantCulture, out var pid) ? pid : 0).Where(pid => pid > 0).Distinct(),
    ];

    /// <summary>Removes the group once all its processes have ended.</summary>
    /// <returns>False: it holds processes yet; try again.</returns>
    public bool TryRemove() => _folders.Count(ControlGroups.Control.TryRemove) == _folders.Length;
}
