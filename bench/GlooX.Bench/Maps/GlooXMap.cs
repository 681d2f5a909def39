namespace GlooX.Bench.Maps;

/// <summary>An agent with a channel; the first one has no peer and makes the channel.</summary>
internal sealed class GlooXMap : ISharedMap
{
    private readonly Agent _agent;
    private readonly IChannel<byte[]> _channel;

    private readonly string? _data;

    private GlooXMap(Agent agent, string? data) => (_agent, _channel, _data) = (agent, agent.Channel<byte[]>(SharedMap.Name), data);

    public int Port => int.Parse(_agent.Url.AsSpan(_agent.Url.LastIndexOf(':') + 1));

    public static async Task<ISharedMap> StartAsync(Identity identity, int port, ChannelDurability durability, CancellationToken ct)
    {
        string? data = durability == ChannelDurability.Memory ? null : Directory.CreateTempSubdirectory("gloox-bench-data-").FullName;
        var options = new AgentOptions { Identity = identity, WarmHosts = 0, DataFolder = data };
        Agent agent = await Agent.StartAsync("127.0.0.1:0", port == 0 ? null : $"127.0.0.1:{port}", options, ct);
        if (port == 0)
        {
            await agent.CreateChannelAsync(SharedMap.Name, new ChannelOptions { Durability = durability }, ct);
        }

        return new GlooXMap(agent, data);
    }

    public ValueTask SetAsync(string key, byte[] value, CancellationToken ct) => _channel.SetAsync(key, value, ct: ct);

    public async Task FollowAsync(Action<string, byte[]> received, CancellationToken ct) =>
        _ = await _channel.OnSetAsync(Keys.All, (key, value) => received(key, value!), ct: ct);

    public async Task HoldAsync(int count, CancellationToken ct)
    {
        while (await _channel.CountAsync(ct) < count)
        {
            await Task.Delay(1, ct);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _agent.DisposeAsync();
        if (_data is not null)
        {
            Directory.Delete(_data, recursive: true);
        }
    }
}
