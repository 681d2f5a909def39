namespace GlooX.Grid.Tests;

public sealed class FormingTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Two_agents_form_a_grid()
    {
        await using var grid = new TestGrid();
        TestNode seed = grid.Node(), other = grid.Node();
        await seed.StartAsync();
        await other.StartAsync(seed);

        await seed.Membership.WaitUpAsync(Ct);
        await other.Membership.WaitUpAsync(Ct);
        await grid.SeeEachOther(seed, other);
        await grid.Eventually(() => seed.Changes.Count > 0 && other.Changes.Count > 0, "both told");

        Assert.Equal([$"Joined {other.Address}"], seed.Changes);
        Assert.Equal([$"Joined {seed.Address}"], other.Changes);
    }
}
