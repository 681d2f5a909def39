using System.Text;

namespace GlooX.Tests;

/// <summary>Durable channels whose file is damaged, or of an earlier version.</summary>
public sealed class DurableChannelTests : IDisposable
{
    private const string Name = "kept";
    private readonly string _home = Directory.CreateTempSubdirectory("gloox-durable-").FullName;

    public static TheoryData<string> Damages => ["a flipped bit in an entry", "a cut in the middle", "a page of zeros"];

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task A_node_whose_state_file_is_damaged_keeps_it_aside_and_deletes_nothing_in_the_grid(string damage)
    {
        await using Agent first = await StartAsync(0, null), second = await StartAsync(1, first.Url);
        string url;
        await using (Agent third = await StartAsync(2, first.Url))
        {
            url = third.Url;
            IChannel<object?> channel = await first.CreateChannelAsync(Name, new ChannelOptions { Durability = ChannelDurability.Process });
            await channel.SetManyAsync(Enumerable.Range(0, 1000).Select(i => KeyValuePair.Create($"k{i}", (object?)$"value of {i}")));
            for (int i = 0; i < 30; i++)
            {
                await channel.SetAsync("large", new byte[100_000]);
            }

            await Eventually.HoldsAsync(() => third.Channels.Contains(Name) && third.Channel(Name).Count == 1001, "the third node has everything");
        }

        Spoil(Path.Combine(Folder(2), "agent.db"), damage);
        var log = new LogKeeper();
        await using Agent again = await StartAsync(2, first.Url, url, log);
        await again.Channel(Name).SetAsync("after", 1);
        foreach (Agent agent in new[] { first, second, again })
        {
            Assert.Equal(1, Convert.ToInt32(await agent.Channel(Name).WaitForAsync("after").WaitAsync(TimeSpan.FromSeconds(30)), null));
            await Eventually.HoldsAsync(() => agent.Channel(Name).Count == 1002, $"{agent.Url} has everything");
            Assert.Equal("value of 500", agent.Channel(Name).Get("k500"));
        }

        Assert.Contains("is damaged", Assert.Single(log.Errors), StringComparison.Ordinal);
        Assert.Single(Directory.GetFiles(Folder(2), "agent.db.damaged-*"), f => !f.EndsWith("-wal", StringComparison.Ordinal));
    }

    [Fact]
    public async Task State_of_an_earlier_version_is_refused_with_its_folder_and_the_cure()
    {
        string journals = Directory.CreateDirectory(Path.Combine(Folder(0), "channels")).FullName;
        await File.WriteAllTextAsync(Path.Combine(journals, "0123456789abcdef.0000000001.journal"), "whatever");
        var refusal = await Assert.ThrowsAsync<IOException>(() => StartAsync(0, null));
        Assert.Contains(journals, refusal.Message, StringComparison.Ordinal);
        Assert.Contains("Move that folder away", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Two_agents_cannot_share_a_data_folder()
    {
        await using Agent first = await StartAsync(0, null);
        var refusal = await Assert.ThrowsAsync<IOException>(() => StartAsync(0, null));
        Assert.Contains("each agent needs a folder of its own", refusal.Message, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_home, recursive: true);

    private static void Spoil(string path, string damage)
    {
        byte[] bytes = File.ReadAllBytes(path);
        int at = bytes.AsSpan().IndexOf(Encoding.UTF8.GetBytes("value of 500"));
        Assert.True(at > 0, "the entry is not in the file");
        switch (damage)
        {
            case "a flipped bit in an entry":
                bytes[at + 3] ^= 4;
                break;
            case "a page of zeros":
                bytes.AsSpan(at / 4096 * 4096, 4096).Clear();
                break;
            default:
                bytes = bytes[..(bytes.Length / 2)];
                break;
        }

        File.WriteAllBytes(path, bytes);
    }

    private string Folder(int node) => Path.Combine(_home, $"{node}");

    private Task<Agent> StartAsync(int node, string? peer, string url = "127.0.0.1:0", LogKeeper? log = null) =>
        Agent.StartAsync(url, peer, new AgentOptions { WarmHosts = 0, DataFolder = Folder(node), LoggerFactory = log });
}
