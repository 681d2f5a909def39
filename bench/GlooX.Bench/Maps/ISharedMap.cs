namespace GlooX.Bench.Maps;

/// <summary>A map that processes share, as one of them sees it.</summary>
internal interface ISharedMap : IAsyncDisposable
{
    /// <summary>The port by which others of its kind find each other.</summary>
    int Port { get; }

    /// <summary>Returns as soon as the map considers the set as done.</summary>
    ValueTask SetAsync(string key, byte[] value, CancellationToken ct);

    /// <summary>Every set from now on, whoever made it, in the order of each key. Returns when it is in force.</summary>
    Task FollowAsync(Action<string, byte[]> received, CancellationToken ct);

    /// <summary>Until this process holds so many keys, with their values.</summary>
    Task HoldAsync(int count, CancellationToken ct);
}

/// <summary>The maps that are measured.</summary>
internal static class SharedMap
{
    public const string Name = "bench";

    public const string GlooX = "gloox";

    public const string Redis = "redis";

    public const string Nats = "nats_kv";

    /// <summary>How often what was written is flushed to the disk; to be put behind the name of a map.</summary>
    public const string EverySecond = "_every_second", EveryWrite = "_every_write";

    /// <summary>For connecting and for one answer: on a busy machine processes that start at once are slow.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    public static async Task<ISharedMap> ConnectAsync(string kind, Identity identity, int port, CancellationToken ct) => kind switch
    {
        GlooX => await GlooXMap.StartAsync(identity, port, ChannelDurability.Memory, ct),
        GlooX + EverySecond => await GlooXMap.StartAsync(identity, port, ChannelDurability.EverySecond, ct),
        GlooX + EveryWrite => await GlooXMap.StartAsync(identity, port, ChannelDurability.EveryWrite, ct),
        Redis or Redis + EverySecond or Redis + EveryWrite => await RedisMap.ConnectAsync(identity, port, ct),
        Nats => await NatsMap.ConnectAsync(identity, port, ct),
        _ => throw new ArgumentException($"no map is called '{kind}'", nameof(kind)),
    };
}
