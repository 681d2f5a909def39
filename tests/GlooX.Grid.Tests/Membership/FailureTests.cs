namespace GlooX.Grid.Tests;

public sealed class FailureTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task The_survivor_of_two_removes_the_one_that_stopped(int stopped)
    {
        await using var grid = new TestGrid();
        TestNode[] nodes = await grid.StartAsync(2);
        TestNode survivor = nodes[1 - stopped];

        await nodes[stopped].KillAsync();

        await grid.Eventually(() => survivor.Sees(survivor), "alone");
        Assert.Equal(GridState.Up, survivor.State);
    }

    [Fact]
    public async Task The_survivors_remove_two_that_stop_at_once()
    {
        await using var grid = new TestGrid();
        TestNode[] nodes = await grid.StartAsync(4);

        await Task.WhenAll(nodes[0].KillAsync(), nodes[2].KillAsync());

        await grid.SeeEachOther(nodes[1], nodes[3]);
        await grid.Eventually(() => nodes[1].Changes.Contains($"Removed {nodes[0].Address}"), "told");
    }

    [Fact]
    public async Task An_agent_restarted_at_the_same_address_joins_again()
    {
        await using var grid = new TestGrid();
        TestNode[] nodes = await grid.StartAsync(3);
        string before = nodes[0].Membership.Members.Single(m => m.Address == nodes[1].Address).NodeId;

        await nodes[1].KillAsync();
        TestNode again = grid.Node(port: nodes[1].Port);
        await again.StartAsync(nodes[0]);

        await grid.SeeEachOther(nodes[0], again, nodes[2]);
        await grid.Eventually(() => nodes[0].Membership.Members.Single(m => m.Address == again.Address).NodeId != before, "another process");
        Assert.Equal([$"Removed {again.Address}", $"Joined {again.Address}"], nodes[0].Changes.Where(c => c.EndsWith(again.Address, StringComparison.Ordinal)).Skip(1));
    }

    [Fact]
    [Trait("Category", "Slow")]
    public async Task A_silent_member_is_shown_unreachable_and_comes_back()
    {
        await using var grid = new TestGrid();
        TestNode[] nodes = await grid.StartAsync(3);

        nodes[2].Silence();
        await grid.Eventually(() => nodes[0].FindsUnreachable(nodes[2]) && nodes[1].FindsUnreachable(nodes[2]), "unreachable");
        nodes[2].Speak();

        await grid.SeeEachOther(nodes);
        await grid.Eventually(() => nodes[0].Changes.Contains($"Reachable {nodes[2].Address}"), "told");
        Assert.DoesNotContain($"Removed {nodes[2].Address}", nodes[0].Changes);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public async Task A_member_joins_while_another_is_silent()
    {
        await using var grid = new TestGrid();
        TestNode[] nodes = await grid.StartAsync(3);
        nodes[2].Silence();
        await grid.Eventually(() => nodes[0].FindsUnreachable(nodes[2]), "unreachable");

        TestNode late = grid.Node();
        await late.StartAsync(nodes[0]);

        await grid.Eventually(() => late.State == GridState.Up && late.FindsUnreachable(nodes[2]) && nodes[1].Membership.Members.Count == 4, "joined");
    }

    [Fact]
    [Trait("Category", "Slow")]
    public async Task A_member_that_was_silent_for_too_long_is_forgotten_and_merges_back()
    {
        await using var grid = new TestGrid();
        TestNode[] nodes = await grid.StartAsync(3, o => o with { ForgetAfter = TimeSpan.FromSeconds(4) });

        nodes[2].Silence();
        await grid.Eventually(() => nodes[0].Sees(nodes[0], nodes[1]) && nodes[2].Sees(nodes[2]), "two grids");
        nodes[2].Speak();

        await grid.SeeEachOther(nodes);
        Assert.DoesNotContain($"Removed {nodes[1].Address}", nodes[0].Changes);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public async Task A_refusal_without_a_witness_waits_when_it_needs_one()
    {
        await using var grid = new TestGrid();
        TestNode[] nodes = await grid.StartAsync(3, o => o with { ConfirmRefusals = true });

        await nodes[2].KillAsync();

        await grid.SeeEachOther(nodes[0], nodes[1]);
    }
}
