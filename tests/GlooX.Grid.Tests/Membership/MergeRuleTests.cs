namespace GlooX.Grid.Tests;

public sealed class MergeRuleTests
{
    [Theory]
    // The other is in no grid.
    [InlineData("b#1", "x:Joining", "Same")]
    [InlineData("b#1", "x#1:Up", "Same")]
    // Gossip is under way, or one sees both sides.
    [InlineData("b#1 c#1", "c#1:Up:b#1,c#1", "Same")]
    [InlineData("b#1 c#1!", "c#1:Up:b#1!,c#1", "Same")]
    [InlineData("b#1 c#1", "x#1:Up:x#1,c#1", "Same")]
    // Larger stays; a member that is unreachable does not count.
    [InlineData("b#1", "x#1:Up:x#1,y#1", "Yield")]
    [InlineData("b#1 c#1", "x#1:Up:x#1", "Stay")]
    [InlineData("b#1 c#1!", "x#1:Up:x#1,y#1", "Yield")]
    [InlineData("b#1 c#1 d#1", "x#1:Up:x#1,y#1", "Stay")]
    // A tie goes to the lowest address.
    [InlineData("b#1", "c#1:Up:c#1", "Stay")]
    [InlineData("b#1", "a#1:Up:a#1", "Yield")]
    // Other incarnations at the same places: they have restarted, and begun without us.
    [InlineData("b#1 c#1!", "c#2:Up:c#2", "Stay")]
    [InlineData("b#1 c#1! d#1!", "c#2:Up:c#2,d#2", "Yield")]
    // Each has forgotten the other, but one side has not noticed yet.
    [InlineData("b#1 c#1!", "c#1:Up:c#1,d#1", "Yield")]
    public void Another_grid_is_recognized_and_one_side_yields(string ours, string other, string expected) =>
        Assert.Equal(expected, MergeRule.Judge(Replies.Key("b#1"), Replies.Members(ours), Replies.All(other)[0]).ToString());

    [Fact]
    public void Of_two_grids_exactly_one_yields()
    {
        string[] grids = ["a#1", "b#1", "b#2", "c#1 d#1", "e#1 f#1", "g#1 h#1 i#1"];
        foreach (string one in grids)
        {
            foreach (string two in grids.Where(g => g[0] != one[0]))
            {
                MergeVerdict first = MergeRule.Judge(Replies.Key(one.Split(' ')[0]), Replies.Members(one), Replies.Reply(two.Split(' ')[0], GridState.Up, two));
                MergeVerdict second = MergeRule.Judge(Replies.Key(two.Split(' ')[0]), Replies.Members(two), Replies.Reply(one.Split(' ')[0], GridState.Up, one));
                Assert.Equal([MergeVerdict.Stay, MergeVerdict.Yield], new[] { first, second }.Order());
            }
        }
    }
}
