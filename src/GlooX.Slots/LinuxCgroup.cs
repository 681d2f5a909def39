using System.Globalization;

namespace GlooX.Slots;

/// <summary>One control group with a memory limit.</summary>
/// <param name="LimitBytes">What all its processes together may use.</param>
/// <param name="UsedBytes">
/// What they use, without the file cache that the kernel drops first (<c>inactive_file</c>): the "working set" by which
/// Kubernetes evicts (cAdvisor).
/// </param>
internal sealed record MemoryLevel(long LimitBytes, long UsedBytes);

/// <summary>
/// The control groups of this process, both versions, also mounted side by side: cgroups(7), and the kernel's
/// admin-guide/cgroup-v2 and admin-guide/cgroup-v1/memory. Mounts are read once; the group, its limits and use each time.
/// </summary>
internal sealed class LinuxCgroup(string root)
{
    private static readonly Hierarchy V1 = new("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
    private static readonly Hierarchy V2 = new("memory.max", "memory.current", "inactive_file");

    private readonly CgroupMount[] _mounts = CgroupMount.ReadAll(root);

    /// <summary>Each group on the way from this process's own up to the mount that sets a limit. A limit anywhere binds.</summary>
    public IEnumerable<MemoryLevel> MemoryLevels()
    {
        var groups = LinuxMachine.TryReadText(Path.Join(root, "proc/self/cgroup")) ?? "";
        foreach (var line in groups.Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            // "4:memory:/a/b" in version 1, "0::/a/b" in version 2. The path may contain colons.
            var parts = line.Split(':', 3);
            if (parts.Length < 3)
                continue;
            var hierarchy = parts[1].Length == 0 ? V2 : parts[1].Split(',').Contains("memory", StringComparer.Ordinal) ? V1 : null;
            if (hierarchy is null)
                continue;
            foreach (var folder in FoldersUpwards(hierarchy, parts[2]))
            {
                if (hierarchy.Read(folder) is { } level)
                    yield return level;
            }
        }
    }

    private IEnumerable<string> FoldersUpwards(Hierarchy hierarchy, string group)
    {
        var mounts = Array.FindAll(_mounts, m => hierarchy == V2 ? m.Version == 2 : m.Controls("memory"));
        if (mounts.Length == 0)
            yield break;

        // A container may see its own group mounted as the root of the tree, while /proc names it by its path on the host;
        // the part below the mount is what counts. A path outside of the mount leaves only the mount itself.
        var mount = Array.Find(mounts, m => m.Holds(group));
        var below = mount is null || mount.Root == "/" ? group : group[mount.Root.Length..];
        if (mount is null || below.Split('/').Contains("..", StringComparer.Ordinal))
            below = "";
        mount ??= mounts[0];

        for (below = below.TrimEnd('/'); below.Length > 0; below = below[..below.LastIndexOf('/')])
            yield return Path.Join(root, mount.Folder, below);
        yield return Path.Join(root, mount.Folder);
    }

    private sealed record Hierarchy(string Limit, string Usage, string Reclaimable)
    {
        public MemoryLevel? Read(string folder)
        {
            // Version 2 says "max" for no limit and has no such file in the root group; version 1 says a number beyond any memory.
            if (ReadNumber(folder, Limit) is not { } limit || ReadNumber(folder, Usage) is not { } usage)
                return null;
            var stat = LinuxMachine.TryReadText(Path.Join(folder, "memory.stat")) ?? "";
            return new MemoryLevel(limit, Math.Max(0, usage - (LinuxMachine.FindNumber(stat, Reclaimable) ?? 0)));
        }

        private static long? ReadNumber(string folder, string file) =>
            long.TryParse(LinuxMachine.TryReadText(Path.Join(folder, file)).AsSpan().Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var value)
                ? value
                : null;
    }
}
