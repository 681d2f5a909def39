using System.Runtime.CompilerServices;
using GlooX.Channels.Replication;

namespace GlooX.Channels;

/// <summary>The service named <c>channels</c> of every agent: messages between nodes, and everything for clients. Values travel as they are kept.</summary>
[RpcService]
internal interface IChannelService
{
    /// <summary>A message of another node.</summary>
    [Rpc("push", OneWay = true)]
    ValueTask PushAsync(byte[] message, CancellationToken ct = default);

    [Rpc("names")]
    ValueTask<string[]> NamesAsync(CancellationToken ct = default);

    /// <summary>Null: with the defaults, and whatever it has if it exists.</summary>
    [Rpc("create")]
    ValueTask<ChannelReply> CreateAsync(string channel, byte[]? options, CancellationToken ct = default);

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
internal sealed record ChannelWrite(string Channel, string Key, byte[]? Value, long TimeToLive, bool Ephemeral, int Acknowledge, long Timeout, bool Expected, ulong Time, ulong Node)
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
            channel, key, value, (long)(options.TimeToLive?.TotalMilliseconds ?? 0), options.Ephemeral, options.Acknowledge is { } level ? (int)level : -1,
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
internal sealed record ChannelReply(int Error = -1, string Message = "", long Number = 0, byte[]? Value = null, ulong Time = 0, ulong Node = 0)
{
    public ChannelReply OrThrow(string channel) => Error < 0 ? this : throw new ChannelException((ChannelError)Error, channel, Message);
}

/// <summary>A change, or what is there.</summary>
internal sealed record ChannelItem(string Key, bool IsDelete, byte[] Value, ulong Time, ulong Node);

internal sealed class ChannelService(ChannelHub hub) : IChannelService
{
    public const string Name = "channels";

    /// <summary>How the names of channels begin that only agents themselves may write: callers are refused.</summary>
    public const string Reserved = "gloox.";
    private const int MostItems = 512;
    private const int MostBytes = 64 * 1024;

    public static RpcAccess Access { get; } = new()
    {
        Roles = RpcRole.Agent | RpcRole.Client | RpcRole.Child,
        Methods = new Dictionary<string, RpcRole>(StringComparer.Ordinal)
        {
            ["push"] = RpcRole.Agent,
            ["names"] = RpcRole.Any,
            ["get"] = RpcRole.Any,
            ["count"] = RpcRole.Any,
            ["watch"] = RpcRole.Any,
            ["create"] = RpcRole.Agent | RpcRole.Client,
            ["remove"] = RpcRole.Agent | RpcRole.Client,
        },
    };

    public ValueTask PushAsync(byte[] message, CancellationToken ct)
    {
        hub.Receive(message, "another node");
        return default;
    }

    public ValueTask<string[]> NamesAsync(CancellationToken ct) => new([.. hub.Names()]);

    public ValueTask<ChannelReply> CreateAsync(string channel, byte[]? options, CancellationToken ct) => ReplyAsync(async () =>
    {
        RefuseReserved(channel);
        await hub.CreateAsync(channel, options is null ? null : ChannelOptions.From(ChannelSpec.Read(options)), ct).ConfigureAwait(false);
        return new ChannelReply();
    });

    public ValueTask<ChannelReply> RemoveAsync(string channel, CancellationToken ct) =>
        ReplyAsync(async () => new ChannelReply(Number: await hub.RemoveAsync(RefuseReserved(channel), ct).ConfigureAwait(false) ? 1 : 0));

    public ValueTask<ChannelReply> WriteAsync(ChannelWrite write, CancellationToken ct) => ReplyAsync(async () => new ChannelReply(
        Number: await hub.WriteAsync(RefuseReserved(write.Channel), write.Key, write.Value, write.Options, write.Expected ? new Stamp(write.Time, write.Node) : null, ct).ConfigureAwait(false) ? 1 : 0));

    public ValueTask<ChannelReply> WriteManyAsync(ChannelWrite write, string[] keys, byte[][] values, CancellationToken ct) => ReplyAsync(async () =>
    {
        await hub.WriteManyAsync(RefuseReserved(write.Channel), [.. keys.Zip(values, KeyValuePair.Create)], write.Options, ct).ConfigureAwait(false);
        return new ChannelReply();
    });

    public ValueTask<ChannelReply> AddAsync(ChannelWrite write, long delta, CancellationToken ct) =>
        ReplyAsync(async () => new ChannelReply(Number: await hub.AddAsync(RefuseReserved(write.Channel), write.Key, delta, write.Options, ct).ConfigureAwait(false)));

    public ValueTask<ChannelReply> GetAsync(string channel, string key, CancellationToken ct) => ReplyAsync(() => Task.FromResult(
        hub.TryGet(channel, key, out byte[] value, out Stamp version) ? new ChannelReply(Number: hub.Sum(channel, key), Value: value, Time: version.Time, Node: version.Node) : new ChannelReply()));

    public ValueTask<ChannelReply> CountAsync(string channel, CancellationToken ct) => ReplyAsync(() => Task.FromResult(new ChannelReply(Number: hub.Count(channel))));

    public async IAsyncEnumerable<ChannelItem[]> WatchAsync(string channel, string? keys, bool isPrefix, bool follow, [EnumeratorCancellation] CancellationToken ct)
    {
        RefuseWhenStopping(follow);
        Keys wanted = Keys.Of(keys, isPrefix);
        var queue = new ChangeQueue(wanted, sets: true, deletes: true, onlyChanges: false);
        try
        {
            var items = new List<ChannelItem>();
            int bytes = 0;
            foreach (Change change in follow ? hub.Read(channel, wanted, queue, withSnapshot: true) : hub.Snapshot(channel, wanted))
            {
                items.Add(Item(change));
                bytes += change.Key.Length + change.Value.Length;
                if (items.Count >= MostItems || bytes >= MostBytes)
                {
                    yield return [.. items];
                    items.Clear();
                    bytes = 0;
                }
            }

            if (items.Count > 0)
            {
                yield return [.. items];
            }

            yield return [];
            while (follow && await queue.WaitAsync(ct).ConfigureAwait(false))
            {
                items.Clear();
                for (bytes = 0; items.Count < MostItems && bytes < MostBytes && queue.TryTake(out Change change); bytes += change.Key.Length + change.Value.Length)
                {
                    items.Add(Item(change));
                }

                yield return [.. items];
            }
        }
        finally
        {
            hub.Stop(queue);
        }

        RefuseWhenStopping(follow); // else it was removed
    }

    // A follower must not take the end of the agent for the end of the channel.
    private void RefuseWhenStopping(bool follow)
    {
        if (follow && hub.IsStopping)
        {
            throw new RpcException(RpcError.ShuttingDown, "the agent stops: follow the channel at another one, or later");
        }
    }

    // What is in them decides which code runs in every agent.
    private static string RefuseReserved(string channel) => channel.StartsWith(Reserved, StringComparison.Ordinal)
        ? throw new RpcException(RpcError.Forbidden, $"the channel '{channel}' is the agents' own: names that begin with '{Reserved}' are reserved")
        : channel;

    private static ChannelItem Item(Change change) => new(change.Key, change.Kind == ChangeKind.Delete, change.Value, change.Version.Time, change.Version.Node);

    private static async ValueTask<ChannelReply> ReplyAsync(Func<Task<ChannelReply>> act)
    {
        try
        {
            return await act().ConfigureAwait(false);
        }
        catch (ChannelException e)
        {
            return new ChannelReply((int)e.Code, e.Detail);
        }
    }
}
