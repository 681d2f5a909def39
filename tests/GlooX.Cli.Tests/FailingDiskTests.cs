using System.Globalization;

namespace GlooX.Cli.Tests;

/// <summary>Durable channels of nodes in processes of their own, whose files may not grow any more, as on a disk that is full.</summary>
[Trait("Category", "Slow")]
public sealed class FailingDiskTests
{
    private const int Before = 200;

    // The signal for a file that is too large would end the process; without it, writing fails.
    private static readonly string[] s_unharmed = ["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""];

    [Theory]
    [InlineData(ChannelDurability.Process)]
    [InlineData(ChannelDurability.EveryWrite)]
    public async Task Writes_that_the_disk_does_not_take_say_so_and_nothing_confirmed_is_lost(ChannelDurability durability)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists("/usr/bin/prlimit"), "prlimit is missing: it makes writes fail, on Linux");
        await using var shell = new Shell { Through = s_unharmed };
        string data = shell["data"];
        (Conversation node, string url) = await ChannelProcessTests.StartAsync(shell, "127.0.0.1:0", "--data", data);
        await node.AskAsync($"create kept {durability}", "created");
        await node.AskAsync($"write kept v 0 {Before}", "written");

        // Refused, it is there in memory; and on disk as soon as that takes writes again.
        int confirmed = await WriteUntilItFailsAsync(shell, node, data, Before);
        Assert.Equal($"got v k{confirmed}", await node.AskAsync($"get kept k{confirmed}", "got"));
        await node.AskAsync($"write kept v {confirmed + 1} 1", "failed NotStored");
        Outcome refused = await shell.GlooXAsync("channel", "set", "kept", $"k{confirmed + 2}", "v", "--agent", url);
        Assert.Equal((1, ""), (refused.Code, refused.Output));
        Assert.Contains("channel 'kept': the disk did not take a write: ", refused.Errors, StringComparison.Ordinal);
        await node.AskAsync("write channel v 0 10", "written");
        await LimitAsync(shell, node, "unlimited");
        await node.AskAsync($"write kept v {confirmed + 3} 1", "written");
        await node.KillAsync();
        (node, _) = await ChannelProcessTests.StartAsync(shell, "127.0.0.1:0", "--data", data);
        Assert.StartsWith($"state {confirmed + 4} ", await node.AskAsync("state kept", "state"), StringComparison.Ordinal);

        // Killed while the disk fails, it has all that was confirmed.
        confirmed = await WriteUntilItFailsAsync(shell, node, data, confirmed + 4);
        await node.KillAsync();
        (node, _) = await ChannelProcessTests.StartAsync(shell, "127.0.0.1:0", "--data", data);
        Assert.StartsWith($"state {confirmed} ", await node.AskAsync("state kept", "state"), StringComparison.Ordinal);
        Assert.Equal($"got v k{confirmed - 1}", await node.AskAsync($"get kept k{confirmed - 1}", "got"));

        // Removed while the disk fails, it is gone in memory at once, and on the disk as soon as that takes writes again.
        await WriteUntilItFailsAsync(shell, node, data, confirmed);
        await node.AskAsync("remove kept", "failed NotStored");
        await node.AskAsync("state kept", "failed NotFound");
        await LimitAsync(shell, node, "unlimited");
        await node.AskAsync($"create other {durability}", "created");
        await node.KillAsync();
        (node, _) = await ChannelProcessTests.StartAsync(shell, "127.0.0.1:0", "--data", data);
        await node.AskAsync("state kept", "failed NotFound");
        await node.AskAsync("state other", "state 0");
    }

    /// <summary>Returns the first key that was refused.</summary>
    private static async Task<int> WriteUntilItFailsAsync(Shell shell, Conversation node, string data, int from)
    {
        long size = new DirectoryInfo(data).GetFiles("agent.db*").Max(f => f.Length);
        await LimitAsync(shell, node, (size + 50_000).ToString(CultureInfo.InvariantCulture));
        for (int key = from; key < from + 1_000; key++)
        {
            string answer = await node.AskAsync($"write kept v {key} 1", "");
            if (answer != "written")
            {
                Assert.StartsWith("failed NotStored ", answer, StringComparison.Ordinal);
                Assert.True(key > from, "nothing was taken before");
                return key;
            }
        }

        throw new InvalidOperationException("all was taken");
    }

    private static async Task LimitAsync(Shell shell, Conversation node, string bytes)
    {
        Outcome limited = await shell.RunAsync("prlimit", "--pid", $"{node.Pid}", $"--fsize={bytes}:unlimited");
        Assert.True(limited.Code == 0, limited.Errors);
    }
}
