using System.Globalization;
using GlooX.Rpc.Tests.Transport.Network;

namespace GlooX.Cli.Tests;

/// <summary>Channels of nodes in processes of their own, which write at once, are cut off, killed, and come late.</summary>
[Trait("Category", "Slow")]
public sealed class ChannelProcessTests
{
    /// <summary>How many seconds the cut lasts at least; beyond 45 the nodes have forgotten each other.</summary>
    private const string CutSeconds = "GLOOX_TEST_CUT_SECONDS";

    private const string Program = "tests/GlooX.Tests.Faraway/bin/Release/net10.0/GlooX.Tests.Faraway.dll";

    [Fact]
    public async Task Nodes_that_write_the_same_keys_at_once_end_equal()
    {
        await using var shell = new Shell();
        (Conversation first, string url) = await StartAsync(shell, "127.0.0.1:0");
        (Conversation second, _) = await StartAsync(shell, "127.0.0.1:0", "--peer", url);
        (Conversation third, _) = await StartAsync(shell, "127.0.0.1:0", "--peer", url);
        Conversation[] all = [first, second, third];
        await TogetherAsync(all);
        await Task.WhenAll(first.AskAsync("write channel first 0 200", "written"), second.AskAsync("write channel second 0 200", "written"));
        await EqualAsync(200, all);

        // Once more, over what the others have written.
        await Task.WhenAll(all.Select((node, n) => node.AskAsync($"write channel again{n} 0 200", "written")));
        await EqualAsync(200, all);
        string value = await first.AskAsync("get channel k7", "got again");
        Assert.Equal(value, await third.AskAsync("get channel k7", "got again"));
    }

    [Fact]
    public async Task A_node_that_was_cut_off_while_others_wrote_catches_up_and_its_own_writes_are_not_lost()
    {
        await using TwoNetworks networks = await TwoNetworks.MakeOrSkipAsync();
        await using var shell = new Shell { Through = networks.Into(near: true) };
        await using var far = new Shell { Through = networks.Into(near: false) };
        far.Variables["GLOOX_HOME"] = shell["home"];
        (Conversation first, string url) = await StartAsync(shell, $"{TwoNetworks.Here}:7000");
        (Conversation second, _) = await StartAsync(shell, $"{TwoNetworks.Here}:7001", "--peer", url);
        (Conversation lost, _) = await StartAsync(far, $"{TwoNetworks.There}:7000", "--peer", url);
        Conversation[] all = [first, second, lost];
        await TogetherAsync(all);
        await first.AskAsync("write channel before 0 1000", "written");
        await EqualAsync(1000, all);

        await networks.CutAsync();
        Task cut = Task.Delay(TimeSpan.FromSeconds(double.Parse(Environment.GetEnvironmentVariable(CutSeconds) ?? "3", CultureInfo.InvariantCulture)));
        await second.AskAsync("delete channel 0 100", "deleted");
        await first.AskAsync("write channel during 500 1000", "written");
        await lost.AskAsync("write channel alone 2000 200", "written");
        await EqualAsync(1400, first, second);
        Assert.StartsWith("state 1200 ", await lost.AskAsync("state channel", "state"), StringComparison.Ordinal);
        await cut;

        await networks.MendAsync();
        await EqualAsync(1600, all);
        Assert.Equal("got during k999", await lost.AskAsync("get channel k999", "got"));
        Assert.Equal("got alone k2199", await second.AskAsync("get channel k2199", "got"));
        Assert.Equal("got ", await lost.AskAsync("get channel k7", "got"));
    }

    [Fact]
    public async Task A_node_that_was_killed_has_its_durable_channel_again_and_what_was_written_meanwhile()
    {
        await using var shell = new Shell();
        string one = Shell.FreeUrl(), two = Shell.FreeUrl();
        (Conversation first, _) = await StartAsync(shell, one, "--data", shell["data1"]);
        (Conversation second, _) = await StartAsync(shell, two, "--peer", one, "--data", shell["data2"]);
        await TogetherAsync(first, second);
        await first.AskAsync("create kept Process", "created");
        await second.AskAsync("write kept before 0 1000", "written");
        await EqualAsync("kept", 1000, first, second);

        await second.KillAsync();
        await first.AskAsync("delete kept 0 100", "deleted");
        await first.AskAsync("write kept during 900 200", "written");
        (second, _) = await StartAsync(shell, two, "--peer", one, "--data", shell["data2"]);
        (Conversation late, _) = await StartAsync(shell, "127.0.0.1:0", "--peer", two);
        await EqualAsync("kept", 1000, first, second, late);
        Assert.Equal("got during k1099", await second.AskAsync("get kept k1099", "got"));
        Assert.Equal("got before k500", await late.AskAsync("get kept k500", "got"));

        // All at once: what is there afterwards was on the disk.
        string state = await first.AskAsync("state kept", "state");
        await Task.WhenAll(first.KillAsync(), second.KillAsync(), late.KillAsync());
        (second, _) = await StartAsync(shell, two, "--data", shell["data2"]);
        Assert.Equal(state, await second.AskAsync("state kept", "state"));
    }

    [Fact]
    public async Task Who_joins_late_has_a_hundred_thousand_keys()
    {
        await using var shell = new Shell();
        (Conversation first, string url) = await StartAsync(shell, "127.0.0.1:0");
        await first.AskAsync("write channel v 0 100000", "written");
        (Conversation late, _) = await StartAsync(shell, "127.0.0.1:0", "--peer", url);
        await EqualAsync(100_000, first, late);
        foreach (int key in new[] { 0, 49_999, 99_999 })
        {
            Assert.Equal($"got v k{key}", await late.AskAsync($"get channel k{key}", "got"));
        }
    }

    internal static async Task<(Conversation Node, string Url)> StartAsync(Shell shell, params string[] arguments)
    {
        Conversation node = shell.Talk("dotnet", [Program, .. arguments]);
        return (node, (await node.HearAsync("runs ")).Split(' ')[1]);
    }

    internal static Task TogetherAsync(params Conversation[] nodes) => Task.WhenAll(nodes.Select(n => n.UntilAsync("peers", "peers", $"peers {nodes.Length - 1}")));

    internal static Task EqualAsync(int count, params Conversation[] nodes) => EqualAsync("channel", count, nodes);

    /// <summary>Waits until all have as many entries, and the same.</summary>
    private static async Task EqualAsync(string channel, int count, params Conversation[] nodes)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        while (true)
        {
            string[] states = await Task.WhenAll(nodes.Select(n => n.AskAsync($"state {channel}", "state")));
            if (states.Distinct(StringComparer.Ordinal).Count() == 1 && states[0].StartsWith($"state {count} ", StringComparison.Ordinal))
            {
                return;
            }

            Assert.False(limit.IsCancellationRequested, $"they do not end with {count} equal entries: {string.Join(" | ", states)}");
            await Task.Delay(50);
        }
    }
}
