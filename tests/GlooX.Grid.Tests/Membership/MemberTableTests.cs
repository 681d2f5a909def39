namespace GlooX.Grid.Tests;

public sealed class MemberTableTests
{
    private readonly MemberTable _table = new(showUnreachableAfter: TimeSpan.FromSeconds(2));

    [Fact]
    public void Members_come_and_go()
    {
        Assert.Equal("Joined b, Joined c", At(0, "b#1 c#1"));
        Assert.Equal("", At(1, "b#1 c#1"));
        Assert.Equal("Removed b", At(2, "c#1"));
        Assert.Equal(["c:1"], _table.Members.Select(m => m.Address));
    }

    [Fact]
    public void Unreachable_shows_after_a_while_and_back_at_once()
    {
        At(0, "b#1");
        Assert.Equal("", At(1, "b#1!"));
        Assert.True(_table.IsPending);
        Assert.Equal("", At(2.9, "b#1!"));
        Assert.Equal("Unreachable b", At(3, "b#1!"));
        Assert.False(_table.IsPending);
        Assert.Equal("", At(9, "b#1!"));
        Assert.Equal("Reachable b", At(10, "b#1"));
    }

    [Fact]
    public void A_short_false_alarm_never_shows()
    {
        At(0, "b#1");
        At(1, "b#1!");
        Assert.Equal("", At(2, "b#1"));
        Assert.Equal("", At(2.5, "b#1!"));
        Assert.Equal("", At(4, "b#1!"));
    }

    [Fact]
    public void One_that_is_unreachable_from_the_start_joins_first()
    {
        Assert.Equal("Joined b", At(0, "b#1!"));
        Assert.Equal("Unreachable b", At(2, "b#1!"));
        Assert.Equal("Removed b", At(3, ""));
    }

    [Fact]
    public void A_new_engine_in_the_same_process_is_no_event()
    {
        At(0, "b#1");
        Assert.Equal("", At(1, "b#1! b#2"));
        Assert.Equal("2", Assert.Single(_table.Members).Incarnation);
        Assert.Equal("", At(2, "b#2"));
    }

    [Fact]
    public void A_new_process_at_the_same_address_is_another_member()
    {
        At(0, "b#1");
        MemberView successor = Replies.Members("b#2")[0] with { NodeId = "other" };

        IReadOnlyList<GridChange> changes = _table.Update([successor], TimeSpan.FromSeconds(1));

        Assert.Equal([GridChangeKind.Removed, GridChangeKind.Joined], changes.Select(c => c.Kind));
        Assert.Equal(["b:1", "other"], changes.Select(c => c.Member.NodeId));
    }

    [Fact]
    public void Our_own_new_engine_waits_for_those_that_were_here_before()
    {
        At(0, "b#1 c#1");
        _table.HoldAll(Seconds(1));

        Assert.Equal("Joined d", At(1.5, "b#2 d#1"));
        Assert.True(_table.IsPending);
        Assert.Equal("Removed d", At(1.8, "b#2")); // was not here before: it is gone
        Assert.Equal("Removed c", At(2, "b#2"));
        Assert.False(_table.IsPending);
    }

    [Fact]
    public void One_that_vanished_and_lives_may_return()
    {
        At(0, "b#1 c#1 d#1");
        At(1, "b#1 c#1 d#1!");
        At(3, "b#1 c#1 d#1!");
        Assert.Equal("b:1 c:1", Vanished(3)); // d was unreachable before: it is simply forgotten

        _table.Hold("b:1", Seconds(3));
        Assert.Equal("Removed c, Removed d", At(3, ""));
        Assert.Equal("", Vanished(3.9));
        Assert.Equal("b:1", Vanished(4));
        _table.Hold("b:1", Seconds(4));
        Assert.Equal("", At(4.9, "b#2"));
        Assert.Equal("Removed b", At(5, ""));
    }

    [Fact]
    public void One_that_lives_and_does_not_return_is_not_held_for_ever()
    {
        At(0, "b#1");
        for (int second = 1; second < 9; second++)
        {
            Assert.Equal("b:1", Vanished(second));
            _table.Hold("b:1", Seconds(second));
            Assert.Equal("", At(second, ""));
        }

        Assert.Equal("", Vanished(9));
        Assert.Equal("Removed b", At(9, ""));
    }

    [Fact]
    public void Out_of_the_grid_there_is_nobody()
    {
        At(0, "b#1 c#1!");
        Assert.Equal([GridChangeKind.Removed, GridChangeKind.Removed], _table.Clear().Select(c => c.Kind));
        Assert.Empty(_table.Members);
        Assert.False(_table.IsPending);
    }

    private static TimeSpan Seconds(double seconds) => TimeSpan.FromSeconds(seconds);

    private string Vanished(double second) => string.Join(" ", _table.Vanished([], Seconds(second)).Select(m => m.Address));

    private string At(double second, string others) => string.Join(", ", _table
        .Update(Replies.Members(others), TimeSpan.FromSeconds(second))
        .Select(c => $"{c.Kind} {c.Member.Address[..^2]}"));
}
