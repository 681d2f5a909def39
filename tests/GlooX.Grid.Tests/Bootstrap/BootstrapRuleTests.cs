namespace GlooX.Grid.Tests;

public sealed class BootstrapRuleTests
{
    private static readonly TimeSpan FormAfter = TimeSpan.FromSeconds(5);

    [Theory]
    // Nobody answers, or only such as are in no grid and want none.
    [InlineData("", 0, 0.0, false, "Wait")]
    [InlineData("", 0, 5.0, false, "Form")]
    [InlineData("c:Alone", 0, 4.9, false, "Wait")]
    [InlineData("c:Alone", 0, 5.0, false, "Form")]
    // A seed does not wait.
    [InlineData("", 0, 0.0, true, "Form")]
    [InlineData("c:Joining", 0, 0.0, true, "Form")]
    // Others wait too: the lowest, when it has been that for three rounds.
    [InlineData("c:Joining", 2, 9.0, false, "Wait")]
    [InlineData("c:Joining", 3, 1.0, false, "Form")]
    [InlineData("a:Joining", 0, 9.0, false, "Wait")]
    // Somebody forms: wait for it, but not for good.
    [InlineData("a:Forming", 0, 14.0, false, "Wait")]
    [InlineData("a:Forming c:Joining", 3, 14.0, false, "Wait")]
    [InlineData("a:Forming", 0, 15.1, false, "Form")]
    // A grid is there.
    [InlineData("c#7:Up:c#7", 0, 0.0, false, "Join c#7")]
    [InlineData("c#7:Up:c#7 a:Forming", 3, 20.0, true, "Join c#7")]
    [InlineData("c#7:Up:c#7 d#2:Up:d#2,e#1", 0, 0.0, false, "Join d#2")]
    [InlineData("d#7:Up:d#7 c#2:Up:c#2", 0, 0.0, false, "Join c#2")]
    [InlineData("d#7:Up:d#7,e#1! c#2:Up:c#2", 0, 0.0, false, "Join c#2")]
    // Its engine is just restarting.
    [InlineData("c:Up:c#7", 0, 0.0, false, "Wait")]
    // The largest cannot be joined from here: another one, if there is any.
    [InlineData("x#1:Up:x#1,y#1 c#2:Up:c#2", 0, 0.0, false, "Join c#2")]
    [InlineData("x#1:Up:x#1,y#1", 0, 0.0, false, "Join x#1")]
    public void A_round_of_answers_leads_to_one_step(string answers, int lowestFor, double waited, bool isSeed, string expected)
    {
        var failed = new Dictionary<string, int>(StringComparer.Ordinal) { ["x:1"] = 1 };
        BootstrapStep step = BootstrapRule.Decide(new BootstrapFacts(
            "b:1", Replies.All(answers), failed, lowestFor, TimeSpan.FromSeconds(waited), FormAfter, isSeed));

        Assert.Equal(expected, step.Action == BootstrapAction.Join
            ? $"Join {step.Target.Address[..1]}#{step.Target.Incarnation}"
            : step.Action.ToString());
    }

    [Theory]
    [InlineData("", false)]
    [InlineData("c:Joining", true)]
    [InlineData("c:Joining d:Alone", true)]
    [InlineData("a:Alone c:Joining", true)]
    [InlineData("c:Joining a:Joining", false)]
    [InlineData("c:Forming", false)]
    [InlineData("c:Joining d:Forming", false)]
    [InlineData("d:Alone", false)]
    public void Lowest_among_those_that_wait(string answers, bool expected) =>
        Assert.Equal(expected, BootstrapRule.IsLowest("b:1", Replies.All(answers)));
}
