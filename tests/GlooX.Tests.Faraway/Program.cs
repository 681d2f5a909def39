// A node in a process of its own, for tests in which nodes are cut off or killed: URL [--peer URL] [--data FOLDER]
// It does what the lines of its input say, and answers each with one line, until its input ends. Values are texts, "VALUE KEY".
using System.Security.Cryptography;
using System.Text;
using GlooX;
using GlooX.Tests.Faraway;

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
            ["drain", string until] => await DrainAsync(until),
            ["peers"] => $"peers {agent.Peers.Count}",
            ["create", string channel, string durability] => await CreateAsync(channel, Enum.Parse<ChannelDurability>(durability)),
            ["write", string channel, string value, string from, string count] => await WriteAsync(channel, value, int.Parse(from), int.Parse(count)),
            ["delete", string channel, string from, string count] => await DeleteAsync(channel, int.Parse(from), int.Parse(count)),
            ["flood", string channel, string keys, string bytes, string total] => await FloodAsync(channel, int.Parse(keys), int.Parse(bytes), long.Parse(total)),
            ["confirm", string channel, string key, string level, string patience] => await ConfirmAsync(channel, key, Enum.Parse<Acknowledgement>(level), int.Parse(patience)),
            ["ephemeral", string channel, string key] => await EphemeralAsync(channel, key),
            ["remove", string channel] => $"removed {await agent.RemoveChannelAsync(channel)}",
            ["get", string channel, string key] => $"got {await agent.Channel<string>(channel).GetAsync(key)}",
            ["state", string channel] => State(await agent.Channel<string>(channel).ToDictionaryAsync()),
            _ => $"what is '{line}'?",
        });
    }
    catch (GlooXException e)
    {
        Console.WriteLine($"failed {(e as ChannelException)?.Code} {e.Message.ReplaceLineEndings(" ")}");
    }
}

return 0;

// Begins to stop, and drains until a file is there: each add-on may take ten seconds to end.
async Task<string> DrainAsync(string until)
{
    for (int i = 0; i < 6; i++)
    {
        await agent.AttachAddonAsync($"holds{i}", new Holding(until));
    }

    _ = agent.DisposeAsync().AsTask();
    return "drains";
}

async Task<string> CreateAsync(string channel, ChannelDurability durability)
{
    await agent.CreateChannelAsync(channel, new ChannelOptions { Durability = durability });
    return "created";
}

async Task<string> WriteAsync(string channel, string value, int from, int count)
{
    IChannel<string> target = agent.Channel<string>(channel);
    for (int key = from; key < from + count; key++)
    {
        await target.SetAsync($"k{key}", $"{value} k{key}");
    }

    return "written";
}

async Task<string> DeleteAsync(string channel, int from, int count)
{
    IChannel<string> target = agent.Channel<string>(channel);
    for (int key = from; key < from + count; key++)
    {
        await target.DeleteAsync($"k{key}");
    }

    return "deleted";
}

// So many bytes in all. Answers how much of its memory was in use at most, in MiB.
async Task<string> FloodAsync(string channel, int keys, int bytes, long total)
{
    IChannel<string> target = agent.Channel<string>(channel);
    string value = new('x', bytes);
    long most = 0;
    for (long n = 0; n < total / bytes; n++)
    {
        await target.SetAsync($"k{n % keys}", value);
        if (n % 100 == 0)
        {
            most = Math.Max(most, GC.GetTotalMemory(forceFullCollection: true));
        }
    }

    return $"flooded {most >> 20}";
}

async Task<string> ConfirmAsync(string channel, string key, Acknowledgement level, int patience)
{
    await agent.Channel<string>(channel).SetAsync(key, $"{level} {key}", new ChannelWriteOptions { Acknowledge = level, Timeout = TimeSpan.FromMilliseconds(patience) });
    return "confirmed";
}

async Task<string> EphemeralAsync(string channel, string key)
{
    await agent.Channel<string>(channel).SetAsync(key, "here", new ChannelWriteOptions { Ephemeral = true });
    return "set";
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

namespace GlooX.Tests.Faraway
{
    /// <summary>An add-on that does not end before a file is there.</summary>
    internal sealed class Holding(string until) : IAddon
    {
        [Rpc("until")]
        public string Until() => until;

        public Task StartAsync(AddonContext context, CancellationToken ct)
        {
            context.Run(async _ =>
            {
                while (!File.Exists(until))
                {
                    await Task.Delay(20, CancellationToken.None);
                }
            });
            return Task.CompletedTask;
        }
    }
}
