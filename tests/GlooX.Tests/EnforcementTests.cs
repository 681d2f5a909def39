using GlooX.Processes;
using GlooX.Payloads;
using GlooX.Slots;
using GlooX.Workers;

namespace GlooX.Tests;

/// <summary>A process that takes more than it reserved hurts itself alone: its agent and its siblings go on.</summary>
public sealed class EnforcementTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_heap_beyond_the_reservation_is_out_of_memory_in_that_process_alone(int warmHosts)
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = warmHosts });
        await Eventually.HoldsAsync(() => grid.Agents[0].WarmHosts == warmHosts, "a host is warm");
        await using SpawnedProcess glutton = await grid.SpawnAsync("Glutton");
        await using SpawnedProcess sibling = await grid.SpawnAsync("Good");
        Assert.Equal(Enforcement.HeapLimit | Enforcement.DiskWatch, (await InfoAsync(grid, glutton)).Enforced);

        Assert.Equal(50, await glutton.CallAsync<long>("take", 50));
        for (int i = 0; i < 3; i++)
        {
            RpcException error = await Assert.ThrowsAsync<RpcException>(async () => await glutton.CallAsync<long>("take", 1000));
            Assert.Equal(typeof(OutOfMemoryException).FullName, error.RemoteType);
        }

        Assert.Equal(60, await glutton.CallAsync<long>("take", 10));
        Assert.Equal("yes!", await sibling.CallAsync<string>("all_well?"));
        Assert.True(await grid.Client.AliveAsync());
        Assert.InRange(Machine.Local("/").ResidentBytes(glutton.Pid), 1, 300_000_000);
    }

    [Fact]
    public async Task A_process_without_needs_is_not_limited()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Glutton", new SpawnOptions { Provision = Provision.None });
        Assert.Equal(Enforcement.None, (await InfoAsync(grid, child)).Enforced);
        Assert.Equal(300, await child.CallAsync<long>("take", 300));
    }

    [Theory]
    [InlineData(1, false)]
    [InlineData(63, false)]
    [InlineData(64, true)]
    public async Task A_process_starts_however_little_it_reserved_and_is_limited_where_the_runtime_fits(int megabytes, bool limited)
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Good", new SpawnOptions { Provision = Provision.FromBytes(megabytes * 1_000_000, 0) });
        Assert.Equal(limited ? Enforcement.HeapLimit : Enforcement.None, (await InfoAsync(grid, child)).Enforced);
        Assert.Equal("yes!", await child.CallAsync<string>("all_well?"));
    }

    [Fact]
    public async Task A_folder_beyond_the_reservation_ends_its_process_alone_and_goes_with_it()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess glutton = await grid.SpawnAsync("Glutton");
        await using SpawnedProcess sibling = await grid.SpawnAsync("Good");
        string folder = (await glutton.CallAsync<string>("folder"))!;
        Assert.NotEqual(folder, (await sibling.As<Payload.IGood>().GivenAsync()).TmpDir);
        await glutton.CallAsync<object>("write", 1_500_000);
        Assert.Equal("yes!", await sibling.CallAsync<string>("all_well?"));

        try
        {
            await glutton.CallAsync<object>("write", 1_500_000);
        }
        catch (RpcException e) when (e.Code == RpcError.Connection)
        {
            // it was killed before its answer was out
        }

        Assert.Equal(new ExitStatus(0, 9), await glutton.WaitForExitAsync());
        await Eventually.HoldsAsync(() => !Directory.Exists(folder), "its folder is gone");
        Assert.Equal("yes!", await sibling.CallAsync<string>("all_well?"));
        Assert.Single(await grid.Client.ProcessesAsync());
        await sibling.KillAsync();
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task In_a_control_group_the_kernel_ends_a_process_beyond_its_memory_alone()
    {
        string group = $"/gloox-tests-{Guid.NewGuid():N}";
        try
        {
            ControlGroups.Open(group);
        }
        catch (IOException e)
        {
            Assert.Skip(e.Message);
        }

        try
        {
            await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, ControlGroup = group });
            await using SpawnedProcess glutton = await grid.SpawnAsync("Glutton");
            await using SpawnedProcess sibling = await grid.SpawnAsync("Good");
            Enforcement enforced = (await InfoAsync(grid, glutton)).Enforced;
            Assert.True(enforced.HasFlag(Enforcement.MemoryGroup), $"{enforced}");

            await Assert.ThrowsAsync<RpcException>(async () => await glutton.CallAsync<object>("take_native", 1000));

            Assert.Equal(new ExitStatus(0, 9), await glutton.WaitForExitAsync());
            Assert.Equal("yes!", await sibling.CallAsync<string>("all_well?"));
            await sibling.KillAsync();
            await grid.NothingIsLeftAsync();
        }
        finally
        {
            // Each process's group went with it, or its parent could not go.
            foreach (string folder in Directory.GetDirectories("/sys/fs/cgroup").Append("/sys/fs/cgroup").Select(mount => mount + group).Where(Directory.Exists))
            {
                Directory.Delete(folder);
            }
        }
    }

    [Fact]
    public async Task A_control_group_that_cannot_be_used_is_said_at_the_start() =>
        await Assert.ThrowsAsync<ArgumentException>(() => Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { ControlGroup = "not-a-group" }));

    private static async Task<ProcessInfo> InfoAsync(TestGrid grid, SpawnedProcess process) => (await grid.Client.ProcessesAsync()).Single(p => p.Id == process.Id);
}
