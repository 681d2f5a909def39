namespace GlooX.Grid.Tests;

public sealed class MemberFeedTests
{
    [Theory]
    [InlineData(4007)] // while a change is raised
    [InlineData(4001)] // while the membership starts its engine
    public async Task A_failure_inside_the_membership_ends_neither_it_nor_its_list_of_members(int atEvent)
    {
        await using var grid = new TestGrid();
        TestNode a = grid.Node(), b = grid.Node(), c = grid.Node();
        a.FailOnce(atEvent);
        await a.StartAsync();
        await b.StartAsync(a);
        await grid.Eventually(() => a.HasFailed, "failed");

        await c.StartAsync(a);

        await grid.SeeEachOther(a, b, c);
    }
}
