using GlooX.Processes;
using GlooX.Slots;
using GlooX.Slots.Tests;

namespace GlooX.Tests;

/// <summary>Against fake trees, where the files that the kernel would bring are written as plain files; and the kernel, where it lets us.</summary>
public sealed class ControlGroupsTests : IDisposable
{
    private const string V1 = "34 30 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n31 30 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
        + "40 30 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    private const string V2 = "30 22 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    private static readonly Provision Need = Provision.FromBytes(300_000_000, 5) with { Cores = 0.5m };
    private readonly TempFolder _root = new();

    public void Dispose() => _root.Dispose();

    [Fact]
    public void Version_1_limits_memory_and_cores_in_a_hierarchy_each()
    {
        _root.Write("proc/self/mountinfo", V1);

        var group = Assert.IsType<ControlGroup>(ControlGroups.Open("/gloox", _root.Path).Create("child", Need));

        Assert.True(group.LimitsMemory && group.LimitsCores && group.Add(42));
        Assert.Equal("300000000", Read("memory/gloox/child/memory.limit_in_bytes"));
        Assert.Equal(("100000", "50000"), (Read("cpu/gloox/child/cpu.cfs_period_us"), Read("cpu/gloox/child/cpu.cfs_quota_us")));
        Assert.Equal(("42", "42"), (Read("memory/gloox/child/cgroup.procs"), Read("cpu/gloox/child/cgroup.procs")));
        Assert.Equal([42], group.Processes());
        Assert.Equal([42], ControlGroups.Open("/gloox", _root.Path).Find("child")!.Processes());
        Assert.Null(ControlGroups.Open("/gloox", _root.Path).Find("other"));
    }

    [Fact]
    public void Version_2_limits_both_in_one_group_once_the_controllers_are_handed_on()
    {
        _root.Write("proc/self/mountinfo", V2);
        HandOn("memory cpu");

        var group = Assert.IsType<ControlGroup>(ControlGroups.Open("/user/gloox", _root.Path).Create("child", Need));

        Assert.True(group.LimitsMemory && group.LimitsCores && group.Add(42));
        Assert.Equal(("300000000", "0", "1"), (Read("user/gloox/child/memory.max"), Read("user/gloox/child/memory.swap.max"), Read("user/gloox/child/memory.oom.group")));
        Assert.Equal("50000 100000", Read("user/gloox/child/cpu.max"));
        Assert.Equal("42", Read("user/gloox/child/cgroup.procs"));
    }

    [Fact]
    public void In_version_2_only_groups_that_do_not_hand_a_controller_on_are_told_to()
    {
        _root.Write("proc/self/mountinfo", V2);
        _root.Write("sys/fs/cgroup/cgroup.subtree_control", "cpu memory\n");

        Assert.Throws<IOException>(() => ControlGroups.Open("/user/gloox", _root.Path)); // plain files read back as they were written

        Assert.Equal(("cpu memory\n", "+cpu", "+cpu"), (Read("cgroup.subtree_control"), Read("user/cgroup.subtree_control"), Read("user/gloox/cgroup.subtree_control")));
    }

    [Fact]
    public void Groups_that_a_killed_agent_has_left_go_unless_something_is_in_them()
    {
        _root.Write("proc/self/mountinfo", V1);
        var empty = Directory.CreateDirectory(Path.Join(_root.Path, "sys/fs/cgroup/memory/gloox/empty"));
        _root.Write("sys/fs/cgroup/memory/gloox/used/cgroup.procs", "42");

        var groups = ControlGroups.Open("/gloox", _root.Path);

        Assert.False(Directory.Exists(empty.FullName));
        Assert.Equal([42], groups.Find("used")!.Processes());
    }

    [Fact]
    public void A_controller_that_is_not_there_is_reported_as_not_enforced()
    {
        _root.Write("proc/self/mountinfo", V1.Split('\n')[0]);
        var groups = ControlGroups.Open("/gloox", _root.Path);

        var group = Assert.IsType<ControlGroup>(groups.Create("child", Need));

        Assert.Equal((true, false), (group.LimitsMemory, group.LimitsCores));
        Assert.Null(groups.Create("other", Provision.None with { Cores = 1 }));
        Assert.Null(groups.Create("third", Provision.None));
        Assert.False(Directory.Exists(Path.Join(_root.Path, "sys/fs/cgroup/memory/gloox/other")));
    }

    [Theory]
    [InlineData("", "no mounted control group")]
    [InlineData(V2, "cannot enable memory")]
    public void Where_nothing_can_be_limited_that_is_said(string mounts, string complaint)
    {
        _root.Write("proc/self/mountinfo", mounts);
        Directory.CreateDirectory(Path.Join(_root.Path, "sys/fs/cgroup/gloox/cgroup.subtree_control")); // cannot be written

        var error = Assert.Throws<IOException>(() => ControlGroups.Open("/gloox", _root.Path));

        Assert.Contains("'/gloox' cannot be used", error.Message, StringComparison.Ordinal);
        Assert.Contains(complaint, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("gloox")]
    [InlineData("/")]
    [InlineData("/a/../..")]
    [InlineData("")]
    public void A_path_that_is_no_group_is_refused(string group) => Assert.Throws<ArgumentException>(() => ControlGroups.Open(group, _root.Path));

    [Theory]
    [InlineData("..")]
    [InlineData("a/b")]
    [InlineData("")]
    public void A_name_that_leads_elsewhere_is_refused(string name)
    {
        _root.Write("proc/self/mountinfo", V1);
        Assert.Throws<ArgumentException>(() => ControlGroups.Open("/gloox", _root.Path).Create(name, Need));
    }

    [Fact]
    public void A_group_goes_when_it_is_empty_and_not_before()
    {
        _root.Write("proc/self/mountinfo", V1);
        var group = ControlGroups.Open("/gloox", _root.Path).Create("child", Need)!;
        Assert.False(group.TryRemove()); // plain files do not go with their folder, as little as processes do

        Array.ForEach(Directory.GetFiles(Path.Join(_root.Path, "sys/fs/cgroup"), "*", SearchOption.AllDirectories), File.Delete);

        Assert.True(group.TryRemove());
        Assert.True(group.TryRemove());
        Assert.Empty(group.Processes());
        Assert.False(group.Add(42));
    }

    [Fact]
    public void The_real_kernel_takes_the_limits()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "control groups exist on Linux only");
        var parent = $"/gloox-test-{Guid.NewGuid():N}";
        ControlGroups groups;
        try
        {
            groups = ControlGroups.Open(parent);
        }
        catch (IOException e)
        {
            Assert.Skip(e.Message);
            return;
        }

        try
        {
            var group = Assert.IsType<ControlGroup>(groups.Create("child", Need));
            Assert.Empty(group.Processes());
            Assert.False(group.Add(int.MaxValue));
            Assert.True(group.TryRemove());
        }
        finally
        {
            RemoveFromAllMounts(parent);
        }
    }

    private static void RemoveFromAllMounts(string group)
    {
        foreach (var mount in CgroupMount.ReadAll("/").Where(mount => mount.Holds(group)))
        {
            var folder = Path.Join(mount.Folder, mount.Root == "/" ? group : group[mount.Root.Length..]);
            if (Directory.Exists(folder))
                Directory.Delete(folder);
        }
    }

    // What the kernel reads back of "+memory": the names alone.
    private void HandOn(string controllers)
    {
        foreach (var folder in (string[])["", "user/", "user/gloox/"])
            _root.Write($"sys/fs/cgroup/{folder}cgroup.subtree_control", controllers);
    }

    private string Read(string file) => File.ReadAllText(Path.Join(_root.Path, "sys/fs/cgroup", file));
}
