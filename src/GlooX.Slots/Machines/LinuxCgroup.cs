using System.Globalization;

namespace GlooX.Slots;

/// <summary>One control group with a memory limit.</summary>
/// <param name="LimitBytes">What all processes of the group may use together.</param>
/// <param name="UsedBytes">
/// What they use, without the file cache that the kernel drops first (<c>inactive_file</c>): the "working set" that Kubernetes uses for
/// evictions (cAdvisor).
/// </param>
internal sealed record MemoryLevel(long LimitBytes, long UsedBytes);

/// <summary>
/// The control groups of this process, of version 1, version 2 or both: cgroups(7), and the kernel's admin-guide/cgroup-v2 and
/// admin-guide/cgroup-v1/memory. Mounts are read once; the group, its limits and its use each time.
/// </summary>
internal sealed class LinuxCgroup(string root)
{
    private static readonly Hierarchy V1 = new("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
    private static readonly Hierarchy V2 = new("memory.max", "memory.current", "inactive_file");

    private readonly CgroupMount[] _mounts = CgroupMount.ReadAll(root);

    /// <summary>Each group with a limit, from this process's own up to the mount. All limits apply.</summary>
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

        // A container may see its own group mounted as the root of the tree, while /proc names the group by its path on the host: the part
        // below the mount is what counts. Of a path outside of the mount only the mount itself remains.
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
            // No limit is "max" in version 2, which has no such file in the root group, and a number beyond any memory in version 1.
            if (ReadNumber(folder, Limit) is not { } limit || ReadNumber(folder, Usage) is not { } usage)
                return null;
            var stat = LinuxMachine.TryReadText(Path.Join(folder, "memory.stat")) ?? "";
            return new MemoryLevel(limit, Math.Max(0, usage - (LinuxMachine.FindNumber(stat, Reclaimable) ?? 0)));
        }

        private static long? ReadNumber(string folder, string file) =>
            LinuxMachine.TryReadText(Path.Join(folder, file)) is { } text
            && long.TryParse(text.AsSpan().Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var value)
                ? value
                : null;
    }
}
