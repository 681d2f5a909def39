namespace GlooX.Slots.Tests;

public sealed class MachineTests
{
    public static TheoryData<string> Implementations => OperatingSystem.IsLinux() ? ["local", "portable"] : ["local"];

    [Theory]
    [MemberData(nameof(Implementations))]
    public void The_real_machine_has_memory_disk_and_cores(string kind)
    {
        using var folder = new TempFolder();
        var machine = Make(kind, folder.Path);

        var status = machine.Read();

        Assert.InRange(status.FreeMemoryBytes, 1, status.TotalMemoryBytes);
        Assert.InRange(status.FreeDiskBytes, 1, status.TotalDiskBytes);
        Assert.Equal(Environment.ProcessorCount, status.Cores);
    }

    [Theory]
    [MemberData(nameof(Implementations))]
    public void A_living_process_holds_memory_and_a_dead_one_none(string kind)
    {
        using var folder = new TempFolder();
        var machine = Make(kind, folder.Path);

        Assert.InRange(machine.ResidentBytes(Environment.ProcessId), 1_000_000, long.MaxValue);
        Assert.Equal(0, machine.ResidentBytes(int.MaxValue));
        Assert.Equal(0, machine.ResidentBytes(-1));
    }

    [Theory]
    [MemberData(nameof(Implementations))]
    public void A_process_is_told_from_others_by_its_start(string kind)
    {
        using var folder = new TempFolder();
        var machine = Make(kind, folder.Path);

        var own = Assert.NotNull(machine.FindProcess(Environment.ProcessId));

        Assert.Equal(own, machine.FindProcess(Environment.ProcessId));
        Assert.NotEqual(own, machine.FindProcess(1));
        Assert.Null(machine.FindProcess(int.MaxValue));
        Assert.Null(machine.FindProcess(-1));
    }

    [Fact]
    public void A_folder_that_is_not_there_cannot_be_measured()
    {
        using var folder = new TempFolder();
        var missing = Path.Join(folder.Path, "missing");

        var error = Assert.Throws<DirectoryNotFoundException>(() => Machine.Local(missing));
        Assert.Contains(missing, error.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Machine.Local(""));
    }

    private static IMachine Make(string kind, string folder) =>
        kind == "portable" ? new PortableMachine(folder) : Machine.Local(folder);
}
