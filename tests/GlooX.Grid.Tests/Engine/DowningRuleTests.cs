namespace GlooX.Grid.Tests;

public sealed class DowningRuleTests
{
    [Theory]
    [InlineData("b", "b", 0, 0)]
    [InlineData("b", "a b c", 1, 400)]
    [InlineData("z", "a b c d e f g h z", 5, 2000)]
    public void The_lowest_acts_first_and_nobody_waits_long(string self, string reachable, int rank, int milliseconds)
    {
        Assert.Equal(rank, DowningRule.Rank(self, reachable.Split(' ')));
        Assert.Equal(TimeSpan.FromMilliseconds(milliseconds), DowningRule.Delay(rank));
    }

    [Theory]
    [InlineData(44, 0, false)]
    [InlineData(45, 0, true)]
    [InlineData(46, 2, false)]
    [InlineData(47, 2, true)]
    public void Silence_counts_in_ticks_and_by_rank(int ticks, int rank, bool expected) =>
        Assert.Equal(expected, DowningRule.IsForgotten(ticks, TimeSpan.FromSeconds(45), rank));

    [Theory]
    [InlineData(0.0, false)]
    [InlineData(0.49, false)]
    [InlineData(0.9, true)]
    [InlineData(30.0, true)] // one long stop is one tick
    public void Ticks_that_catch_up_do_not_count(double seconds, bool expected) =>
        Assert.Equal(expected, DowningRule.IsTick(TimeSpan.FromSeconds(seconds)));

    [Theory]
    [InlineData("", false, 0)]
    [InlineData("b#1:Up:b#1,x#1", false, 0)]
    [InlineData("b#1:Up:b#1,x#1-", false, 1)]
    [InlineData("b#1:Up:x#1- c#1:Up:x#1-", false, 2)]
    [InlineData("b#1:Up:x#1- c#1:Up:x#1+", true, 1)]
    [InlineData("b#1:Up:x#2+", false, 0)] // its successor
    [InlineData("x#1:Up:a#1,x#1", true, 0)] // it still counts us in
    [InlineData("x#1:Up:x#1,y#1", false, 0)] // it has given us up
    [InlineData("x#2:Up:a#1,x#2", false, 0)]
    public void A_silent_member_is_kept_while_anybody_sees_it(string answers, bool seen, int witnesses)
    {
        IReadOnlyList<ProbeReply> replies = Replies.All(answers);
        Assert.Equal(seen, DowningRule.IsSeen(Replies.Key("a#1"), Replies.Key("x#1"), replies));
        Assert.Equal(witnesses, DowningRule.Witnesses(Replies.Key("x#1"), replies));
    }
}
