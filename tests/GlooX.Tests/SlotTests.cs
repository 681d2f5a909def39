using GlooX.Payloads;
using GlooX.Slots;

namespace GlooX.Tests;

/// <summary>What fits on an agent, as its clients see it.</summary>
public sealed class SlotTests
{
    private static readonly Provision s_half = Provision.None with { Cores = 0.25m, Resources = [new("gpu", 0.5m)] };

    [Fact]
    public async Task Named_resources_go_to_who_asks_first_and_come_back_with_the_end()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, Resources = [new("gpu", 1), new("cores", 2)] });
        await using SpawnedProcess first = await grid.SpawnAsync("Good", new SpawnOptions { Provision = s_half });
        await using SpawnedProcess second = await grid.SpawnAsync("Good", new SpawnOptions { Provision = s_half });

        NodeInfo node = await grid.Client.InfoAsync();
        Assert.Equal((0m, 1.5m), (node.FreeResources["gpu"], node.FreeResources["cores"]));
        Assert.Equal(1, node.Utilization);
        Assert.Equal(0.5m, (await grid.Client.ProcessesAsync())[0].Resources["gpu"]);
        var error = await Assert.ThrowsAsync<SpawnException>(() => grid.SpawnAsync("Good", new SpawnOptions { Provision = s_half }));
        Assert.Contains("has 0 gpu free of the 0.5 needed", error.Message, StringComparison.Ordinal);

        await first.KillAsync();
        await Eventually.HoldsAsync(() => grid.Agents[0].Slots(s_half).AvailableSlots == 1, "its gpu is free again");
        await second.KillAsync();
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_process_goes_to_the_node_that_has_what_it_names()
    {
        await using TestGrid grid = await TestGrid.StartAsync(
            new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0, Resources = [new("licence", 1)], Capacity = new(100_000_000, 100_000_000) });
        await using SpawnedProcess child = await grid.SpawnAsync("Good", new SpawnOptions { Provision = Provision.None with { Resources = [new("licence", 1)] } });
        Assert.Equal(grid.Agents[1].Url, child.Node);
    }

    [Fact]
    public async Task A_client_counts_slots_of_a_class_that_is_not_loaded_here()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, Capacity = new(850_000_000, 1_000_000_000), MaxSlots = 3 });
        Assert.Equal(new SlotCount(0, 3, 4, 1000, 3), await grid.Client.SlotsAsync("Good", TestGrid.Payload));

        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        SlotCount one = await grid.Client.SlotsAsync("Good", TestGrid.Payload);
        Assert.Equal((1, 2, 3), (one.UsedSlots, one.AvailableSlots, one.AvailableSlotsInMemory));
        Assert.Equal(1 / 3.0, one.Utilization);
        Assert.Equal(0, grid.Agents[0].Slots(new Provision("1GB", "0")).MaxSlots);
        await Assert.ThrowsAsync<SpawnException>(() => grid.Client.SlotsAsync("Nobody", TestGrid.Payload));
    }

    [Fact]
    public async Task A_class_is_run_on_no_node_more_often_than_it_says()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0 });
        await using SpawnedProcess first = await grid.SpawnAsync("Lonely");
        await using SpawnedProcess second = await grid.SpawnAsync("Lonely");
        Assert.NotEqual(first.Node, second.Node);
        await using SpawnedProcess other = await grid.SpawnAsync("Good");
        Assert.Equal((0, 1), (await grid.Client.SlotsAsync("Lonely", TestGrid.Payload)) is var slots ? (slots.AvailableSlots, slots.MaxSlots) : default);
        string message = (await Assert.ThrowsAsync<SpawnException>(() => grid.SpawnAsync("Lonely"))).Message;
        Assert.All(grid.Agents, a => Assert.Contains($"{a.Url} runs 1 of GlooX.Tests.Payload.Lonely, of which a node runs 1 at most", message, StringComparison.Ordinal));

        await first.KillAsync();
        await using SpawnedProcess third = await AgainAsync();
        Assert.Equal(first.Node, third.Node);

        async Task<SpawnedProcess> AgainAsync()
        {
            await Eventually.HoldsAsync(() => grid.Agents.Sum(a => a.Slots(Provision.None with { MaxPerNode = 1, Kind = "GlooX.Tests.Payload.Lonely" }).AvailableSlots) == 1, "its place is free again");
            return await grid.SpawnAsync("Lonely");
        }
    }

    [Fact]
    public async Task An_executable_is_counted_by_its_name_or_by_the_kind_that_the_call_gives()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        var one = new SpawnOptions { Command = ["sleep", "600"], Provision = Provision.None with { MaxPerNode = 1 } };
        await using SpawnedProcess first = await grid.Client.SpawnAsync("sleeper", TestGrid.Payload, one);
        Assert.Contains("runs 1 of sleeper", (await Assert.ThrowsAsync<SpawnException>(() => grid.Client.SpawnAsync("sleeper", TestGrid.Payload, one))).Message, StringComparison.Ordinal);
        await using SpawnedProcess other = await grid.Client.SpawnAsync("other", TestGrid.Payload, one);
        SpawnOptions kind = one with { Provision = one.Provision with { Kind = "sleeper" } };
        Assert.Contains("runs 1 of sleeper", (await Assert.ThrowsAsync<SpawnException>(() => grid.Client.SpawnAsync("third", TestGrid.Payload, kind))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_agent_runs_no_more_processes_than_its_slots()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, MaxSlots = 1 });
        await using SpawnedProcess child = await grid.SpawnAsync("Good", new SpawnOptions { Provision = Provision.None });
        var error = await Assert.ThrowsAsync<SpawnException>(() => grid.SpawnAsync("Good", new SpawnOptions { Provision = Provision.None }));
        Assert.Contains("has no slot free", error.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentException>(() => Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { MaxSlots = -1 }));
    }
}
