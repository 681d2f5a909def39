namespace GlooX.Contracts;

/// <summary>
/// The service named <c>channels</c> of every agent: messages between nodes, and everything for clients. Values travel as they are kept.
/// </summary>
[RpcService]
internal interface IChannelService
{
    public const string ServiceName = "channels";

    /// <summary>A message of another node.</summary>
    [Rpc("push", OneWay = true)]
    ValueTask PushAsync(byte[] message, CancellationToken ct = default);

    [Rpc("names")]
    ValueTask<string[]> NamesAsync(CancellationToken ct = default);

    /// <summary>Null: with the defaults, and whatever it has if it exists.</summary>
    [Rpc("create")]
    ValueTask<ChannelReply> CreateAsync(string channel, ChannelOptions? options, CancellationToken ct = default);

    /// <summary>The options of a channel; null when it does not exist.</summary>
    [Rpc("options")]
    ValueTask<ChannelOptions?> OptionsAsync(string channel, CancellationToken ct = default);

    [Rpc("remove")]
    ValueTask<ChannelReply> RemoveAsync(string channel, CancellationToken ct = default);

    [Rpc("write")]
    ValueTask<ChannelReply> WriteAsync(ChannelWrite write, CancellationToken ct = default);

    [Rpc("write_many")]
    ValueTask<ChannelReply> WriteManyAsync(ChannelWrite write, string[] keys, byte[][] values, CancellationToken ct = default);

    [Rpc("add")]
    ValueTask<ChannelReply> AddAsync(ChannelWrite write, long delta, CancellationToken ct = default);

    [Rpc("get")]
    ValueTask<ChannelReply> GetAsync(string channel, string key, CancellationToken ct = default);

    [Rpc("count")]
    ValueTask<ChannelReply> CountAsync(string channel, CancellationToken ct = default);

    /// <summary>What is there, then an empty item, then, if wanted, every change.</summary>
    [Rpc("watch")]
    IAsyncEnumerable<ChannelItem[]> WatchAsync(string channel, string? keys, bool isPrefix, bool follow, CancellationToken ct = default);
}

/// <summary>A client's write.</summary>
/// <param name="Channel">Where.</param>
/// <param name="Key">Which key.</param>
/// <param name="Value">Null: delete.</param>
/// <param name="TimeToLive">In milliseconds; 0: as the channel's options say.</param>
/// <param name="Ephemeral">As long as the agent that is asked.</param>
/// <param name="Acknowledge">-1: as the channel's options say.</param>
/// <param name="Timeout">In milliseconds.</param>
/// <param name="Expected">Whether only over one write.</param>
/// <param name="Time">Of that write.</param>
/// <param name="Node">Of that write.</param>
internal sealed record ChannelWrite(
    string Channel, string Key, byte[]? Value, long TimeToLive, bool Ephemeral, int Acknowledge, long Timeout, bool Expected, ulong Time,
    ulong Node)
{
    public ChannelWriteOptions Options => new()
    {
        TimeToLive = TimeToLive == 0 ? null : TimeSpan.FromMilliseconds(TimeToLive),
        Ephemeral = Ephemeral,
        Acknowledge = Acknowledge < 0 ? null : (Acknowledgement)Math.Clamp(Acknowledge, 0, (int)Acknowledgement.All),
        Timeout = TimeSpan.FromMilliseconds(Math.Clamp(Timeout, 1, 600_000)),
    };

    public static ChannelWrite Of(string channel, string key, byte[]? value, ChannelWriteOptions? options, ChannelVersion? expected = null)
    {
        options ??= ChannelWriteOptions.Default;
        return new ChannelWrite(
            channel, key, value, (long)(options.TimeToLive?.TotalMilliseconds ?? 0), options.Ephemeral, options.Acknowledge is { } level
                ? (int)level : -1,
            (long)options.Timeout.TotalMilliseconds, expected is not null, expected?.Time ?? 0, expected?.Node ?? 0);
    }
}

/// <summary>What comes back.</summary>
/// <param name="Error">-1: none; else a <see cref="ChannelError"/>.</param>
/// <param name="Message">Of the error.</param>
/// <param name="Number">A count, a sum, or 1 for true.</param>
/// <param name="Value">A value.</param>
/// <param name="Time">Of its version.</param>
/// <param name="Node">Of its version.</param>
internal sealed record ChannelReply(
    int Error = -1, string Message = "", long Number = 0, byte[]? Value = null, ulong Time = 0, ulong Node = 0)
{
    public ChannelReply OrThrow(string channel) => Error < 0 ? this : throw new ChannelException((ChannelError)Error, channel, Message);
}

/// <summary>A change, or what is there.</summary>
internal sealed record ChannelItem(string Key, bool IsDelete, byte[] Value, ulong Time, ulong Node);
