// A node in a process of its own, for tests in which nodes are cut off or killed: URL [--peer URL] [--data FOLDER]
// It does what the lines of its input say, and answers each with one line, until its input ends. Values are texts, "VALUE KEY".
using System.Security.Cryptography;
using System.Text;
using GlooX;

string? peer = null, data = null;
for (int i = 1; i < args.Length - 1; i += 2)
{
    (peer, data) = args[i] == "--peer" ? (args[i + 1], data) : (peer, args[i + 1]);
}

await using Agent agent = await Agent.StartAsync(args[0], peer, new AgentOptions { WarmHosts = 0, DataFolder = data });
Console.WriteLine($"runs {agent.Url}");
while (Console.ReadLine() is { } line)
{
    try
    {
        Console.WriteLine(line.Split(' ') switch
        {
            ["peers"] => $"peers {agent.Peers.Count}",
            ["create", string channel, string durability] => await CreateAsync(channel, Enum.Parse<ChannelDurability>(durability)),
            ["write", string channel, string value, string from, string count] => await WriteAsync(channel, value, int.Parse(from), int.Parse(count)),
            ["delete", string channel, string from, string count] => await DeleteAsync(channel, int.Parse(from), int.Parse(count)),
            ["get", string channel, string key] => $"got {agent.Channel<string>(channel).Get(key)}",
            ["state", string channel] => State(agent.Channel<string>(channel).ToDictionary()),
            _ => $"what is '{line}'?",
        });
    }
    catch (GlooXException e)
    {
        Console.WriteLine($"failed {e.Message.ReplaceLineEndings(" ")}");
    }
}

return 0;

async Task<string> CreateAsync(string channel, ChannelDurability durability)
{
    await agent.CreateChannelAsync(channel, new ChannelOptions { Durability = durability });
    return "created";
}

async Task<string> WriteAsync(string channel, string value, int from, int count)
{
    Channel<string> target = agent.Channel<string>(channel);
    for (int key = from; key < from + count; key++)
    {
        await target.SetAsync($"k{key}", $"{value} k{key}");
    }

    return "written";
}

async Task<string> DeleteAsync(string channel, int from, int count)
{
    Channel<string> target = agent.Channel<string>(channel);
    for (int key = from; key < from + count; key++)
    {
        await target.DeleteAsync($"k{key}");
    }

    return "deleted";
}

// How many entries, and a hash that is the same only when all keys and values are.
static string State(Dictionary<string, string?> entries)
{
    using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
    foreach ((string key, string? value) in entries.OrderBy(e => e.Key, StringComparer.Ordinal))
    {
        hash.AppendData(Encoding.UTF8.GetBytes($"{key}\n{value}\n"));
    }

    return $"state {entries.Count} {Convert.ToHexString(hash.GetHashAndReset())}";
}
