namespace GlooX.Cli.Tests;

/// <summary>Channels while nodes are stopped by <c>kill -STOP</c>: alive, their connections open, and taking nothing.</summary>
[Trait("Category", "Slow")]
public sealed class StalledNodeTests
{
    [Fact]
    public async Task Nodes_that_are_stalled_hold_writers_up_a_little_cost_little_memory_and_catch_up()
    {
        await using var shell = new Shell();
        (Conversation first, string url) = await ChannelProcessTests.StartAsync(shell, "127.0.0.1:0");
        (Conversation second, _) = await ChannelProcessTests.StartAsync(shell, "127.0.0.1:0", "--peer", url);
        (Conversation third, _) = await ChannelProcessTests.StartAsync(shell, "127.0.0.1:0", "--peer", url);
        await ChannelProcessTests.TogetherAsync(first, second, third);

        await third.SignalAsync("STOP");
        await first.AskAsync("confirm channel c1 One 60000", "confirmed");
        await first.AskAsync("confirm channel c2 Majority 60000", "confirmed");
        await second.SignalAsync("STOP");
        await first.AskAsync("confirm channel c3 One 500", "failed NotAcknowledged");
        await first.AskAsync("confirm channel c4 Majority 500", "failed NotAcknowledged");

        // 5 MiB of it stay in the channel; 16 MiB at most wait for each of the two.
        string flooded = await first.AskAsync($"flood channel 100 50000 {128 << 20}", "flooded");
        Assert.InRange(int.Parse(flooded.Split(' ')[1], null), 5, 64);

        await second.SignalAsync("CONT");
        await third.SignalAsync("CONT");
        await ChannelProcessTests.TogetherAsync(first, second, third);
        await ChannelProcessTests.EqualAsync(104, first, second, third);
        await first.AskAsync("confirm channel c5 All 60000", "confirmed");
        Assert.Equal("got All c5", await third.AskAsync("get channel c5", "got"));
    }

    [Fact]
    public async Task An_ephemeral_entry_stays_while_its_node_is_unreachable_and_goes_when_it_is_killed()
    {
        await using var shell = new Shell();
        (Conversation first, Conversation second) = await StatusOfSecondAsync(shell);

        await second.SignalAsync("STOP");
        await first.UntilAsync("peers", "peers", "peers 0");
        Assert.Equal("got here", await first.AskAsync("get channel status", "got"));
        await second.SignalAsync("CONT");
        await ChannelProcessTests.TogetherAsync(first, second);
        Assert.Equal("got here", await first.AskAsync("get channel status", "got"));

        await second.KillAsync();
        await first.UntilAsync("get channel status", "got", "got ");
    }

    [Fact]
    public async Task An_ephemeral_entry_goes_when_its_node_is_forgotten_and_is_there_again_when_the_node_is()
    {
        await using var shell = new Shell();
        (Conversation first, Conversation second) = await StatusOfSecondAsync(shell);

        // Longer than a node may be silent before it is forgotten.
        await second.SignalAsync("STOP");
        await first.UntilAsync("get channel status", "got", "got ");
        await second.SignalAsync("CONT");
        await ChannelProcessTests.TogetherAsync(first, second);
        await first.UntilAsync("get channel status", "got", "got here");
        await second.UntilAsync("get channel status", "got", "got here");
    }

    /// <summary>Two nodes, of which the second has an ephemeral entry that the first has too.</summary>
    private static async Task<(Conversation First, Conversation Second)> StatusOfSecondAsync(Shell shell)
    {
        (Conversation first, string url) = await ChannelProcessTests.StartAsync(shell, "127.0.0.1:0");
        (Conversation second, _) = await ChannelProcessTests.StartAsync(shell, "127.0.0.1:0", "--peer", url);
        await ChannelProcessTests.TogetherAsync(first, second);
        await second.AskAsync("ephemeral channel status", "set");
        await first.UntilAsync("get channel status", "got", "got here");
        return (first, second);
    }
}
