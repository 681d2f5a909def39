using System.Globalization;

using GlooX.Slots;
using GlooX.Workers;

namespace GlooX.Processes;

/// <summary>
/// Creates a control group for each process within a group that belongs to this agent: the kernel then limits memory and cores of the
/// process and its children. Linux, version 1 and 2, also both at once. Thread-safe.
/// </summary>
/// <remarks>
/// A control group has one owner (systemd calls it delegation), so the agent's group must not be managed by anything else. In version 2
/// the kernel requires that it contains no processes itself. See cgroups(7), and the kernel's admin-guide/cgroup-v2 and
/// admin-guide/cgroup-v1.
/// </remarks>
internal sealed class ControlGroups
{
    private readonly Place? _memory;
    private readonly Place? _cpu;

    private ControlGroups(Place? memory, Place? cpu)
    {
        _memory = memory;
        _cpu = cpu;
    }

    /// <summary>Opens the agent's group, created when missing, and removes empty groups that a killed agent has left in it.</summary>
    /// <param name="group">The path as in <c>/proc/self/cgroup</c>, for example <c>/gloox</c>.</param>
    /// <exception cref="ArgumentException">The path does not begin with a slash, is the root, or contains <c>..</c>.</exception>
    /// <exception cref="IOException">The group can limit neither memory nor cores; the message says why.</exception>
    /// <exception cref="PlatformNotSupportedException">Not Linux.</exception>
    public static ControlGroups Open(string group) => OperatingSystem.IsLinux()
        ? Open(group, "/")
        : throw new PlatformNotSupportedException("Control groups exist on Linux only. Leave the option out.");

    internal static ControlGroups Open(string group, string root)
    {
        ArgumentException.ThrowIfNullOrEmpty(group);
        if (group[0] != '/' || group.Trim('/').Length == 0 || group.Split('/').Contains("..", StringComparer.Ordinal))
            throw new ArgumentException(
                $"'{group}' is not the path of a control group. Valid are, for example: /gloox, /system.slice/gloox.service/children.",
                nameof(group));

        var complaints = new List<string>();
        var mounts = CgroupMount.ReadAll(root);
        var groups = new ControlGroups(Find(mounts, "memory", group, root, complaints), Find(mounts, "cpu", group, root, complaints));
        return groups._memory is null && groups._cpu is null
            ? throw new IOException($"The control group '{group}' cannot be used: {string.Join("; ", complaints)}. "
                + "Name a group that this user may write, with the controllers memory and cpu, or leave the option out.")
            : groups;
    }

    /// <summary>Creates the group of one process with the limits of its provision.</summary>
    /// <param name="name">The group's name: 1 to 60 letters, digits, dashes and underscores.</param>
    /// <param name="need">Memory and cores; 0 is not limited.</param>
    /// <returns>The group, still empty; null when nothing can be limited.</returns>
    /// <exception cref="ArgumentException">The name is invalid.</exception>
    public ControlGroup? Create(string name, Provision need)
    {
        if (string.IsNullOrEmpty(name) || name.Length > 60 || !name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_'))
            throw new ArgumentException($"'{name}' is not a group name: 1 to 60 letters, digits, dashes and underscores.", nameof(name));

        var memory = need.MemoryBytes == 0 ? null : _memory?.Make(name, place => place.LimitMemory(name, need.MemoryBytes));
        var cpu = need.Cores == 0 ? null : _cpu?.Make(name, place => place.LimitCores(name, need.Cores));
        return memory is null && cpu is null ? null : new ControlGroup(memory, cpu);
    }

    /// <summary>The group of a process that an earlier agent started; null when it no longer exists.</summary>
    public ControlGroup? Find(string name)
    {
        string? memory = Existing(_memory, name), cpu = Existing(_cpu, name);
        return memory is null && cpu is null ? null : new ControlGroup(memory, cpu);

        static string? Existing(Place? place, string name) =>
            place is not null && Path.GetFileName(name) == name && Path.Join(place.Folder, name) is var path && Directory.Exists(path)
                ? path
                : null;
    }

    private static Place? Find(CgroupMount[] mounts, string controller, string group, string root, List<string> complaints)
    {
        // When both versions are mounted, a controller is in the one of version 1 that lists it.
        var mount = Array.Find(mounts, m => m.Controls(controller) && m.Holds(group))
            ?? Array.Find(mounts, m => m.Version == 2 && m.Holds(group));
        if (mount is null)
        {
            complaints.Add($"no mounted control group has the controller {controller}");
            return null;
        }

        var top = Path.Join(root, mount.Folder);
        var folder = Path.Join(top, mount.Root == "/" ? group : group[mount.Root.Length..]);
        try
        {
            Directory.CreateDirectory(folder);
            foreach (var left in Directory.GetDirectories(folder))
                Control.TryRemove(left); // left by a killed agent; the kernel keeps groups that contain processes
            if (mount.Version == 1)
                return new Place(folder, Version: 1);

            // Each group must enable the controller for its children, from the top down; above the delegated group that is already done.
            var names = Path.GetRelativePath(top, folder).Split('/').Where(name => name != ".").ToArray();
            for (var depth = 0; depth <= names.Length; depth++)
            {
                var above = Path.Join([top, .. names[..depth]]);
                if (!Enables(above, controller))
                    Control.TryWrite(above, "cgroup.subtree_control", $"+{controller}");
            }

            if (Enables(folder, controller))
                return new Place(folder, Version: 2);
            complaints.Add(
                $"'{folder}' cannot enable {controller}: it must contain no processes, and its cgroup.controllers must list {controller}");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            complaints.Add($"'{folder}' cannot be created: {e.Message}");
        }

        return null;
    }

    private static bool Enables(string folder, string controller) =>
        (LinuxMachine.TryReadText(Path.Join(folder, "cgroup.subtree_control")) ?? "")
            .Split([' ', '\n'])
            .Contains(controller, StringComparer.Ordinal);

    /// <summary>The folder of one hierarchy in which groups are created.</summary>
    private sealed record Place(string Folder, int Version)
    {
        private const int PeriodMicroseconds = 100_000;
        private const int MinQuotaMicroseconds = 1_000; // the kernel's minimum

        public string? Make(string name, Func<Place, bool> limit)
        {
            var path = Path.Join(Folder, name);
            try
            {
                Directory.CreateDirectory(path);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                return null; // the group was removed: the process is reported as not limited
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
                Control.TryWrite(path, "memory.memsw.limit_in_bytes", limit); // exists only where swap is counted
                return limited;
            }

            Control.TryWrite(path, "memory.swap.max", "0");
            Control.TryWrite(path, "memory.oom.group", "1"); // kills the process with all its children
            return Control.TryWrite(path, "memory.max", limit);
        }

        public bool LimitCores(string name, decimal cores)
        {
            var path = Path.Join(Folder, name);
            var microseconds = (long)Math.Max(MinQuotaMicroseconds, decimal.Ceiling(cores * PeriodMicroseconds));
            var quota = microseconds.ToString(CultureInfo.InvariantCulture);
            return Version == 1
                ? Control.TryWrite(path, "cpu.cfs_period_us", $"{PeriodMicroseconds}") && Control.TryWrite(path, "cpu.cfs_quota_us", quota)
                : Control.TryWrite(path, "cpu.max", $"{quota} {PeriodMicroseconds}");
        }
    }

    /// <summary>Writes and removes the kernel's control files.</summary>
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
                Directory.Delete(folder); // the kernel's files in it disappear with it
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

/// <summary>The control group of one process and its children. Thread-safe.</summary>
internal sealed class ControlGroup
{
    private const int MostLooks = 100;
    private readonly string[] _folders;

    internal ControlGroup(string? memory, string? cpu)
    {
        _folders = [.. ((string?[])[memory, cpu]).OfType<string>().Distinct(StringComparer.Ordinal)];
        LimitsMemory = memory is not null;
        LimitsCores = cpu is not null;
    }

    /// <summary>Whether the kernel kills the process when it exceeds its memory.</summary>
    public bool LimitsMemory { get; }

    /// <summary>Whether the kernel limits the process to its cores.</summary>
    public bool LimitsCores { get; }

    /// <summary>
    /// Moves a process into the group; its later children join too. Memory that it has taken before stays counted in its old group.
    /// </summary>
    /// <returns>False when the process has ended or the kernel refused.</returns>
    public bool Add(int pid) => Array.TrueForAll(
        _folders, folder => ControlGroups.Control.TryWrite(folder, "cgroup.procs", pid.ToString(CultureInfo.InvariantCulture)));

    /// <summary>The files into which a process writes its id to join; its later children join too.</summary>
    public IReadOnlyList<string> JoinFiles => [.. _folders.Select(static f => Path.Join(f, "cgroup.procs"))];

    /// <summary>Kills all processes in the group, those too that are started meanwhile; a kernel from 5.14 on does that in one step.</summary>
    public void KillAll()
    {
        if (Array.Exists(_folders, static f => File.Exists(Path.Join(f, "cgroup.kill")) && ControlGroups.Control.TryWrite(f, "cgroup.kill", "1")))
        {
            return;
        }

        for (int look = 0; look < MostLooks && Processes() is { Count: > 0 } left; look++)
        {
            foreach (int pid in left)
            {
                LinuxSignal.KillOne(pid);
            }

            Thread.Yield();
        }
    }

    /// <summary>Ids of the processes in the group; empty when the group no longer exists.</summary>
    public IReadOnlyList<int> Processes() =>
    [
        .. _folders.SelectMany(folder => (LinuxMachine.TryReadText(Path.Join(folder, "cgroup.procs")) ?? "").Split('\n'))
            .Select(line => int.TryParse(line, NumberStyles.None, CultureInfo.InvariantCulture, out var pid) ? pid : 0)
            .Where(pid => pid > 0)
            .Distinct(),
    ];

    /// <summary>Removes the group; false while it contains processes.</summary>
    public bool TryRemove() => _folders.Count(ControlGroups.Control.TryRemove) == _folders.Length;
}
