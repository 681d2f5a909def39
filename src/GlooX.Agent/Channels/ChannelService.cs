using System.Runtime.CompilerServices;
using GlooX.Channels.Replication;
using GlooX.Contracts;
using GlooX.Processes;
using GlooX.Trust;

namespace GlooX.Channels;

internal sealed class ChannelService(ChannelHub hub, ReplicationLoop loop, AuditLog audit) : IChannelService
{
    private static readonly TimeSpan s_syncTimeout = TimeSpan.FromSeconds(5);
    private const int MostItems = 512;
    private const int MostBytes = 64 * 1024;
    private const int MostReads = 1024; // of one caller; each holds a page of 64 KiB at most, beside what waits
    private readonly ReadBudgets _budgets = new(MostReads, "channels");

    public static RpcAccess Access { get; } = new()
    {
        Roles = RpcRole.Agent | RpcRole.Client | RpcRole.Child,
        Methods = new Dictionary<string, RpcRole>(StringComparer.Ordinal)
        {
            ["push"] = RpcRole.Agent,
            ["names"] = RpcRole.Any,
            ["get"] = RpcRole.Any,
            ["count"] = RpcRole.Any,
            ["options"] = RpcRole.Any,
            ["watch"] = RpcRole.Any,
            ["create"] = RpcRole.Agent | RpcRole.Client,
            ["remove"] = RpcRole.Agent | RpcRole.Client,
        },
    };

    public ValueTask PushAsync(byte[] message, CancellationToken ct)
    {
        RpcCall call = RpcCall.Current;
        loop.Receive(message, call.Caller, call.CallerNode);
        return default;
    }

    /// <summary>Of the channels that the caller may read or write.</summary>
    public ValueTask<string[]> NamesAsync(CancellationToken ct)
    {
        RpcRole caller = RpcCall.Current.CallerRoles;
        return new([.. hub.Specs().Where(c => ChannelAccess.MayRead(c.Name, c.Spec, caller) || ChannelAccess.MayWrite(c.Name, c.Spec, caller)).Select(static c => c.Name)]);
    }

    public ValueTask<ChannelReply> CreateAsync(string channel, ChannelOptions? options, CancellationToken ct) => AuditedAsync(channel, async () =>
    {
        ChannelAccess.CheckCreation(channel, RpcCall.Current.CallerRoles);
        await hub.CreateAsync(channel, options, ct).ConfigureAwait(false);
        return new ChannelReply();
    });

    public ValueTask<ChannelOptions?> OptionsAsync(string channel, CancellationToken ct)
    {
        try
        {
            return new(hub.Spec(Readable(channel)).ToOptions());
        }
        catch (ChannelException)
        {
            return new((ChannelOptions?)null);
        }
    }

    public ValueTask<ChannelReply> RemoveAsync(string channel, CancellationToken ct) =>
        AuditedAsync(channel, async () => new ChannelReply(Number: await hub.RemoveAsync(Writable(channel), ct).ConfigureAwait(false) ? 1 : 0));

    public ValueTask<ChannelReply> WriteAsync(ChannelWrite write, CancellationToken ct) => ReplyAsync(async () => new ChannelReply(
        Number: await hub.WriteAsync(Writable(write.Channel), write.Key, write.Value, write.Options, write.Expected ? new Stamp(write.Time, write.Node) : null, ct).ConfigureAwait(false) ? 1 : 0));

    public ValueTask<ChannelReply> WriteManyAsync(ChannelWrite write, string[] keys, byte[][] values, CancellationToken ct) => ReplyAsync(async () =>
    {
        await hub.WriteManyAsync(Writable(write.Channel), [.. keys.Zip(values, KeyValuePair.Create)], write.Options, ct).ConfigureAwait(false);
        return new ChannelReply();
    });

    public ValueTask<ChannelReply> AddAsync(ChannelWrite write, long delta, CancellationToken ct) =>
        ReplyAsync(async () => new ChannelReply(Number: await hub.AddAsync(Writable(write.Channel), write.Key, delta, write.Options, ct).ConfigureAwait(false)));

    public ValueTask<ChannelReply> GetAsync(string channel, string key, CancellationToken ct) => ReplyAsync(() => Task.FromResult(
        hub.TryGet(Readable(channel), key, out byte[] value, out Stamp version) ? new ChannelReply(Number: hub.Sum(channel, key), Value: value, Time: version.Time, Node: version.Node) : new ChannelReply()));

    public ValueTask<ChannelReply> CountAsync(string channel, CancellationToken ct) => ReplyAsync(() => Task.FromResult(new ChannelReply(Number: hub.Count(Readable(channel)))));

    public IAsyncEnumerable<ChannelItem[]> WatchAsync(string channel, string? keys, bool isPrefix, bool follow, CancellationToken ct) =>
        ReadAsync(Readable(channel), RpcCall.Current.CallerSerial, Keys.Of(keys, isPrefix), follow, ct);

    private async IAsyncEnumerable<ChannelItem[]> ReadAsync(string channel, string caller, Keys keys, bool follow, [EnumeratorCancellation] CancellationToken ct)
    {
        RefuseWhenStopping(follow);
        ReadBudget budget = _budgets.Begin(caller);
        ChangeQueue? queue = follow ? new ChangeQueue(keys, sets: true, deletes: true, onlyChanges: false) { Budget = budget } : null;
        try
        {
            if (follow && !loop.HasSynced && !loop.IsAlone)
            {
                await loop.SyncedAsync(s_syncTimeout, ct).ConfigureAwait(false); // a node that has just come would tell a follower that most keys are gone
            }

            using ChannelReader reader = hub.Open(channel, keys, queue);
            while (reader.Next() is { } page)
            {
                yield return [.. page.Select(Item)];
            }

            yield return [];
            while (queue is not null && await queue.WaitAsync(ct).ConfigureAwait(false))
            {
                List<ChannelItem> items = [];
                for (int bytes = 0; items.Count < MostItems && bytes < MostBytes && queue.TryTake(out Change change); bytes += change.Key.Length + change.Value.Length)
                {
                    items.Add(Item(change));
                }

                if (items.Count > 0)
                {
                    yield return [.. items];
                }
            }
        }
        finally
        {
            queue?.Abandon();
            _budgets.End(caller);
        }

        if (queue?.HasOverflowed == true)
        {
            throw new RpcException(RpcError.Overloaded, $"more than {ReadBudget.MostBytes} bytes of changes waited for this caller: follow the channel again, and take changes faster");
        }

        RefuseWhenStopping(follow); // else it was removed
    }

    // A follower must not take the end of the agent for the end of the channel.
    private void RefuseWhenStopping(bool follow)
    {
        if (follow && loop.IsStopping)
        {
            throw new RpcException(RpcError.ShuttingDown, "the agent stops: follow the channel at another one, or later");
        }
    }

    /// <exception cref="RpcException"><see cref="RpcError.Forbidden"/>.</exception>
    /// <exception cref="ChannelException">There is no such channel.</exception>
    private string Readable(string channel) => ChannelAccess.Readable(channel, hub.TrySpec(channel), RpcCall.Current.CallerRoles);

    /// <inheritdoc cref="Readable"/>
    private string Writable(string channel) => ChannelAccess.Writable(channel, hub.TrySpec(channel), RpcCall.Current.CallerRoles);

    private static ChannelItem Item(Change change) => new(change.Key, change.Kind == ChangeKind.Delete, change.Value, change.Version.Time, change.Version.Node);

    private ValueTask<ChannelReply> AuditedAsync(string channel, Func<Task<ChannelReply>> act) =>
        audit.RunAsync(channel, () => ReplyAsync(act), static r => r.Error < 0 ? AuditLog.Done : $"failed: {r.Message}");

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
