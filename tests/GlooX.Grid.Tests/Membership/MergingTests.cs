namespace GlooX.Grid.Tests;

public sealed class MergingTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Two_grids_that_learn_of_each_other_become_one()
    {
        await using var grid = new TestGrid();
        TestNode[] large = await grid.StartAsync(3);
        TestNode[] small = await grid.StartAsync(2);

        small[1].Membership.Learn(large[2].Address);

        await grid.SeeEachOther([.. large, .. small]);
        Assert.All(large, node => Assert.DoesNotContain(node.Changes, c => c.StartsWith("Removed", StringComparison.Ordinal)));
        Assert.DoesNotContain($"Removed {small[1].Address}", small[0].Changes); // they changed over together
    }

    [Fact]
    public async Task A_living_member_that_is_taken_off_the_list_comes_back_unnoticed()
    {
        await using var grid = new TestGrid();
        TestNode[] nodes = await grid.StartAsync(3);
        string before = nodes[1].Incarnation(seenBy: nodes[0]);

        nodes[0].Membership.Down(nodes[1].Address);
        await grid.Eventually(() => nodes[1].Incarnation(seenBy: nodes[0]) != before, "another engine");

        await grid.SeeEachOther(nodes);
        Assert.All(nodes, node => Assert.DoesNotContain(node.Changes, c => c.StartsWith("Removed", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task One_that_left_is_removed_and_may_come_again()
    {
        await using var grid = new TestGrid();
        TestNode[] nodes = await grid.StartAsync(3);

        await nodes[1].Membership.LeaveAsync(Ct);
        Assert.Equal(GridState.Alone, nodes[1].State);
        await grid.SeeEachOther(nodes[0], nodes[2]);
        await grid.Eventually(() => nodes[1].Sees(nodes[1]), "alone");

        nodes[1].Membership.Start([]);
        await grid.SeeEachOther(nodes);
    }

    [Fact]
    public async Task A_handler_that_throws_harms_nobody()
    {
        await using var grid = new TestGrid();
        TestNode a = grid.Node(), b = grid.Node(), c = grid.Node();
        var told = new List<string>();
        a.Membership.Changed += (_, change) =>
        {
            lock (told)
            {
                told.Add(change.Member.Address);
            }

            throw new InvalidTimeZoneException("mine");
        };
        await a.StartAsync();
        await b.StartAsync(a);
        await grid.SeeEachOther(a, b);
        await c.StartAsync(a);
        await grid.SeeEachOther(a, b, c);

        await grid.Eventually(() => told.Count >= 2, "told twice");
        Assert.Equal([b.Address, c.Address], told);
    }
}
