namespace GlooX.Slots.Tests;

/// <summary>Against fake trees of /proc and /sys. Sizes in MiB, so that the tables stay readable.</summary>
public sealed class LinuxMachineTests : IDisposable
{
    private const long MiB = 1 << 20;
    private const string V2Mount = "30 22 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
    private const string V1Mount = "34 30 0:31 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory";
    private const string OtherV1Mount = "31 30 0:28 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu";
    private const string NoLimitInV1 = "9223372036854771712";

    private readonly TempFolder _root = new();

    public LinuxMachineTests() =>
        _root.Write("proc/meminfo", "MemTotal:       16777216 kB\nMemFree:         1000000 kB\nMemAvailable:    8388608 kB\n");

    public void Dispose() => _root.Dispose();

    [Fact]
    public void Without_control_groups_the_machine_is_what_meminfo_says() => AssertMemory(total: 16384, free: 8192);

    [Fact]
    public void A_limit_narrows_total_and_free_and_droppable_file_cache_counts_as_free()
    {
        Processes(V2Mount, "0::/app");
        GroupV2("/app", limit: $"{1024 * MiB}", current: 600, inactiveFile: 200);

        AssertMemory(total: 1024, free: 1024 - (600 - 200));
    }

    [Fact]
    public void The_tightest_group_on_the_way_up_binds()
    {
        Processes(V2Mount, "0::/pods/pod1/app");
        GroupV2("/pods/pod1/app", limit: $"{4096 * MiB}", current: 100, inactiveFile: 0);
        GroupV2("/pods/pod1", limit: $"{2048 * MiB}", current: 1948, inactiveFile: 0); // siblings have nearly filled it
        GroupV2("/pods", limit: "max", current: 9000, inactiveFile: 0);

        AssertMemory(total: 2048, free: 100);
    }

    [Fact]
    public void A_group_without_a_limit_changes_nothing()
    {
        Processes(V2Mount, "0::/app");
        GroupV2("/app", limit: "max", current: 600, inactiveFile: 200);

        AssertMemory(total: 16384, free: 8192);
    }

    [Fact]
    public void A_limit_beyond_the_machine_does_not_add_memory()
    {
        Processes(V2Mount, "0::/app");
        GroupV2("/app", limit: $"{65536 * MiB}", current: 10, inactiveFile: 0);

        AssertMemory(total: 16384, free: 8192);
    }

    [Fact]
    public void A_group_over_its_limit_has_nothing_free()
    {
        Processes(V2Mount, "0::/app");
        GroupV2("/app", limit: $"{100 * MiB}", current: 120, inactiveFile: 0);

        AssertMemory(total: 100, free: 0);
    }

    [Fact]
    public void In_a_namespace_of_its_own_the_group_is_the_root()
    {
        Processes(V2Mount, "0::/");
        GroupV2("", limit: $"{512 * MiB}", current: 112, inactiveFile: 12);

        AssertMemory(total: 512, free: 412);
    }

    [Theory]
    [InlineData("0::/../sibling")]
    [InlineData("0::/with:colon/../..")]
    public void A_path_out_of_the_namespace_is_not_followed(string group)
    {
        Processes(V2Mount, group);
        GroupV2("", limit: $"{512 * MiB}", current: 12, inactiveFile: 0);
        _root.Write("sys/fs/sibling/memory.max", $"{MiB}");
        _root.Write("sys/fs/sibling/memory.current", "0");

        AssertMemory(total: 512, free: 500);
    }

    [Fact]
    public void Version_1_has_other_file_names_and_the_same_meaning()
    {
        Processes(OtherV1Mount + "\n" + V1Mount, "5:cpu:/app\n4:memory:/pods/app");
        GroupV1("memory/pods/app", limit: NoLimitInV1, usage: 300, inactiveFile: 0);
        GroupV1("memory/pods", limit: $"{1024 * MiB}", usage: 700, inactiveFile: 100);
        GroupV1("memory", limit: NoLimitInV1, usage: 9000, inactiveFile: 0);

        AssertMemory(total: 1024, free: 424);
    }

    [Fact]
    public void A_container_that_sees_its_group_under_the_path_of_the_host_finds_it()
    {
        const string mount = "34 30 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory";
        Processes(mount, "4:cpu,memory:/docker/abc/inner");
        GroupV1("memory/inner", limit: $"{256 * MiB}", usage: 56, inactiveFile: 0);
        GroupV1("memory", limit: $"{1024 * MiB}", usage: 900, inactiveFile: 0);

        AssertMemory(total: 256, free: 124);
    }

    [Fact]
    public void A_group_outside_of_the_mount_leaves_the_mount()
    {
        const string mount = "34 30 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory";
        Processes(mount, "4:memory:/docker/abcdef");
        GroupV1("memory", limit: $"{1024 * MiB}", usage: 24, inactiveFile: 0);

        AssertMemory(total: 1024, free: 1000);
    }

    [Fact]
    public void With_both_versions_mounted_the_one_that_limits_is_found()
    {
        Processes(V1Mount + "\n40 30 0:37 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw", "4:memory:/app\n0::/app");
        _root.Write("sys/fs/cgroup/unified/app/cgroup.procs", "1");
        GroupV1("memory/app", limit: $"{1024 * MiB}", usage: 24, inactiveFile: 0);

        AssertMemory(total: 1024, free: 1000);
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("")]
    [InlineData("-1")]
    public void A_limit_that_cannot_be_read_is_no_limit(string limit)
    {
        Processes(V2Mount + "\nnot a mount line\n", "0::/app\nnot a group line");
        GroupV2("/app", limit, current: 600, inactiveFile: 200);

        AssertMemory(total: 16384, free: 8192);
    }

    [Fact]
    public void Limits_are_read_anew_each_time()
    {
        Processes(V2Mount, "0::/app");
        GroupV2("/app", limit: $"{1024 * MiB}", current: 24, inactiveFile: 0);
        var machine = new LinuxMachine(_root.Path, _root.Path);
        Assert.Equal(1000 * MiB, machine.Read().FreeMemoryBytes);

        GroupV2("/app", limit: $"{512 * MiB}", current: 112, inactiveFile: 0);

        Assert.Equal(400 * MiB, machine.Read().FreeMemoryBytes);
    }

    [Fact]
    public void Without_meminfo_nothing_is_guessed()
    {
        _root.Write("proc/meminfo", "MemTotal: 5 kB\n");

        var error = Assert.Throws<IOException>(() => new LinuxMachine(_root.Path, _root.Path).Read());
        Assert.Contains("MemAvailable", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("5000 120 30 1 0 400 0\n", 120)]
    [InlineData("garbage", 0)]
    [InlineData("", 0)]
    public void Resident_memory_is_counted_in_pages(string statm, int pages)
    {
        _root.Write("proc/42/statm", statm);

        Assert.Equal((long)pages * Environment.SystemPageSize, new LinuxMachine(_root.Path, _root.Path).ResidentBytes(42));
    }

    [Theory]
    [InlineData("42 (a) b) S 1 42 40 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 77777 1000 1\n", true)]
    [InlineData("42 (sh) Z 1 42 40 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 77777 1000 1\n", false)]
    [InlineData("42 (sh) S 1 42 40", false)]
    [InlineData("", false)]
    public void A_process_is_known_by_start_session_and_boot(string stat, bool runs)
    {
        _root.Write("proc/42/stat", stat);
        _root.Write("proc/sys/kernel/random/boot_id", "this-boot\n");

        Assert.Equal(runs ? new ProcessStamp(77777, 40, "this-boot") : null, new LinuxMachine(_root.Path, _root.Path).FindProcess(42));
    }

    private void Processes(string mounts, string groups)
    {
        _root.Write("proc/self/mountinfo", $"22 1 8:1 / / rw,relatime - ext4 /dev/root rw\n{mounts}\n");
        _root.Write("proc/self/cgroup", groups + "\n");
    }

    private void GroupV2(string group, string limit, long current, long inactiveFile)
    {
        _root.Write($"sys/fs/cgroup{group}/memory.max", limit + "\n");
        _root.Write($"sys/fs/cgroup{group}/memory.current", $"{current * MiB}\n");
        _root.Write($"sys/fs/cgroup{group}/memory.stat", $"anon 1\nfile 2\nactive_file 4\ninactive_file {inactiveFile * MiB}\n");
    }

    private void GroupV1(string group, string limit, long usage, long inactiveFile)
    {
        _root.Write($"sys/fs/cgroup/{group}/memory.limit_in_bytes", limit + "\n");
        _root.Write($"sys/fs/cgroup/{group}/memory.usage_in_bytes", $"{usage * MiB}\n");
        _root.Write($"sys/fs/cgroup/{group}/memory.stat", $"cache 1\ninactive_file 7\ntotal_inactive_file {inactiveFile * MiB}\n");
    }

    private void AssertMemory(long total, long free)
    {
        var status = new LinuxMachine(_root.Path, _root.Path).Read();
        Assert.Equal((total * MiB, free * MiB), (status.TotalMemoryBytes, status.FreeMemoryBytes));
    }
}
