using GlooX.Placement;
using GlooX.Tests.Payload;
using GlooX.Slots;

namespace GlooX.Tests;

/// <summary>Which node a process goes to: the rule by tables, then over a real grid.</summary>
public sealed class PlacementTests
{
    private static readonly Provision s_need = Provision.FromBytes(100, 0);

    [Theory]
    [InlineData(PlacementStrategy.Horizontal, "roomy,middle,full")]
    [InlineData(PlacementStrategy.Vertical, "full,middle,roomy")]
    [InlineData(PlacementStrategy.Direct, "middle")]
    public void Each_strategy_has_its_order(PlacementStrategy strategy, string expected)
    {
        NodeInfo[] nodes = [Node("middle", 500, 0.5), Node("full", 200, 0.8), Node("roomy", 900, 0.1), Node("tiny", 99, 0)];
        IReadOnlyList<NodeInfo> ranked = PlacementRule.Rank(nodes, "middle", s_need, strategy, out List<string> refusals);
        Assert.Equal(expected, string.Join(',', ranked.Select(n => n.Url)));
        Assert.Equal(strategy == PlacementStrategy.Direct ? 0 : 1, refusals.Count);
    }

    [Fact]
    public void A_weight_counts_room_as_often_as_it_says()
    {
        NodeInfo[] nodes = [Node("large", 900, 0), Node("preferred", 500, 0) with { Weight = 2 }];
        Assert.Equal("preferred", PlacementRule.Rank(nodes, "", s_need, PlacementStrategy.Horizontal, out _)[0].Url);
    }

    [Fact]
    public void A_node_without_the_named_resource_or_a_slot_is_out_and_why_is_said()
    {
        NodeInfo[] nodes =
        [
            Node("some", 900, 0) with { FreeResources = new() { ["gpu"] = 0.5m } }, Node("none", 900, 0),
            Node("busy", 900, 0) with { FreeResources = new() { ["gpu"] = 4 }, FreeSlots = 0 },
            Node("one", 900, 0) with { FreeResources = new() { ["gpu"] = 1 } }, Node("more", 900, 0) with { FreeResources = new() { ["gpu"] = 2 } },
        ];
        IReadOnlyList<NodeInfo> ranked = PlacementRule.Rank(nodes, "", Provision.None with { Resources = [new("gpu", 1)] }, PlacementStrategy.Horizontal, out List<string> refusals);
        Assert.Equal(["more", "one"], ranked.Select(n => n.Url));
        Assert.Equal(["some has 0.5 gpu free of the 1 needed", "none has 0 gpu free of the 1 needed", "busy has no slot free"], refusals);
    }

    [Fact]
    public void Without_needs_the_least_used_node_is_first_and_equals_go_by_url()
    {
        NodeInfo[] nodes = [Node("b", 100, 0.2), Node("c", 900, 0.5), Node("a", 100, 0.2)];
        Assert.Equal(["a", "b", "c"], PlacementRule.Rank(nodes, "", Provision.None, PlacementStrategy.Horizontal, out _).Select(n => n.Url));
    }

    [Fact]
    public async Task A_child_goes_to_the_node_with_the_most_room_whichever_is_asked()
    {
        await using TestGrid grid = await TestGrid.StartAsync(
            new AgentOptions { WarmHosts = 0, Capacity = new(300_000_000, 1_000_000_000) },
            new AgentOptions { WarmHosts = 0, Capacity = new(900_000_000, 1_000_000_000) });
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        Assert.Equal(grid.Agents[1].Url, child.Node);
        Assert.Equal("yes!", await child.As<IGood>().AllWellAsync());
    }

    [Fact]
    public async Task A_herd_of_spawns_fills_every_node_and_no_node_too_far()
    {
        await using TestGrid grid = await TestGrid.StartAsync(
            new AgentOptions { WarmHosts = 0, Capacity = new(450_000_000, 1_000_000_000) },
            new AgentOptions { WarmHosts = 0, Capacity = new(450_000_000, 1_000_000_000) });
        SpawnedProcess[] children = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => grid.SpawnAsync("Good")));
        Assert.Equal([2, 2], children.GroupBy(c => c.Node).Select(g => g.Count()));
        var error = await Assert.ThrowsAsync<SpawnException>(() => grid.SpawnAsync("Good"));
        Assert.Contains("it fits on no node", error.Message, StringComparison.Ordinal);
        foreach (SpawnedProcess child in children)
        {
            await child.KillAsync();
            await child.DisposeAsync();
        }

        await grid.NothingIsLeftAsync();
    }

    private static NodeInfo Node(string name, long free, double utilization) => new(name, name, "machine", 1, 1, free, 1000, utilization, 1, []);
}
