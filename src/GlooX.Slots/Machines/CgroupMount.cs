namespace GlooX.Slots;

/// <summary>A mounted hierarchy of control groups.</summary>
/// <param name="Version">1 or 2.</param>
/// <param name="Controllers">The controllers of a version 1 hierarchy; empty in version 2, where each group has its own.</param>
/// <param name="Root">The mounted group; <c>/</c> except in containers.</param>
/// <param name="Folder">The folder of the mount.</param>
internal sealed record CgroupMount(int Version, string[] Controllers, string Root, string Folder)
{
    /// <summary>All mounted hierarchies, from proc_pid_mountinfo(5).</summary>
    public static CgroupMount[] ReadAll(string root)
    {
        // "30 22 0:27 ROOT FOLDER options optional… - TYPE source super-options".
        var mounts = new List<CgroupMount>();
        var text = LinuxMachine.TryReadText(Path.Join(root, "proc/self/mountinfo")) ?? "";
        foreach (var line in text.Split('\n'))
        {
            var halves = line.Split(" - ", 2);
            var left = halves[0].Split(' ');
            var right = halves[^1].Split(' ');
            if (halves.Length < 2 || left.Length < 5 || right.Length < 3)
                continue;
            if (right[0] == "cgroup2")
                mounts.Add(new CgroupMount(2, [], left[3], left[4]));
            else if (right[0] == "cgroup")
                mounts.Add(new CgroupMount(1, right[2].Split(','), left[3], left[4]));
        }

        return [.. mounts];
    }

    public bool Controls(string controller) => Controllers.Contains(controller, StringComparer.Ordinal);

    public bool Holds(string group) => Root == "/" || group == Root || group.StartsWith(Root + "/", StringComparison.Ordinal);
}
