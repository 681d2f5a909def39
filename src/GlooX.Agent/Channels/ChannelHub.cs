using GlooX.Channels.Replication;
using Microsoft.Extensions.Logging;

namespace GlooX.Channels;

/// <summary>What an agent does with channels for its users: create and remove, write and wait until that is safe, read, and be called back.</summary>
internal sealed class ChannelHub(ReplicationLoop loop, ILogger logger)
{
    public IReadOnlyList<string> Names()
    {
        lock (loop.Gate)
        {
            return [.. loop.Core.Channels.Keys];
        }
    }

    public ChannelSpec Spec(string channel)
    {
        lock (loop.Gate)
        {
            return Find(channel).Spec;
        }
    }

    /// <summary>Null: there is no such channel.</summary>
    public ChannelSpec? TrySpec(string channel)
    {
        lock (loop.Gate)
        {
            return channel.Length == 0 ? null : loop.Core.Find(channel)?.Spec;
        }
    }

    public IReadOnlyList<(string Name, ChannelSpec Spec)> Specs()
    {
        lock (loop.Gate)
        {
            return [.. loop.Core.Channels.Values.Select(static r => (r.Name, r.Spec))];
        }
    }

    public async Task CreateAsync(string channel, ChannelOptions? options, CancellationToken ct)
    {
        ChannelSpec spec = (options ?? new ChannelOptions()).ToSpec();
        ChannelLimits.CheckKey(channel, ChannelSpec.Default, "a channel's name", channel);
        if (options is { Durability: not ChannelDurability.Memory } && loop.Store is null)
        {
            throw new ArgumentException($"channel '{channel}' cannot be durable: this agent has no data folder (AgentOptions.DataFolder, gloox agent --data)", nameof(options));
        }

        // Who has just joined must first hear which channels there are, and were.
        if (!loop.HasSynced && !loop.IsAlone)
        {
            await loop.SyncedAsync(TimeSpan.FromSeconds(5), ct).ConfigureAwait(false);
        }

        Replica? known;
        Entry? entry = null;
        lock (loop.Gate)
        {
            known = loop.Core.Find(channel);
            if (known is null)
            {
                entry = loop.Core.Create(channel, spec, loop.Now);
            }
        }

        if (entry is not null)
        {
            loop.SendDrained();
            await StoredAsync(spec, channel, ct).ConfigureAwait(false);
            await FinishAsync(loop.Core.Directory, entry.Sequence, ChannelWriteOptions.Default, AckLevel.All, ct).ConfigureAwait(false);
        }
        else if (options is not null && known!.Spec with { Generation = 1 } != spec)
        {
            throw new ChannelException(ChannelError.OptionsDiffer, channel, $"it exists with other options: {known.Spec.ToOptions()}");
        }
    }

    public async Task<bool> RemoveAsync(string channel, CancellationToken ct)
    {
        if (channel == Replicator.BuiltIn)
        {
            throw new ChannelException(ChannelError.BuiltIn, channel, "it is always there and cannot be removed");
        }

        Entry entry;
        ChannelSpec spec;
        lock (loop.Gate)
        {
            if (channel.Length == 0 || loop.Core.Find(channel) is not { } replica)
            {
                return false;
            }

            spec = replica.Spec;
            entry = loop.Core.Remove(channel, loop.Now);
        }

        loop.SendDrained();
        await StoredAsync(spec, channel, ct).ConfigureAwait(false);
        await FinishAsync(loop.Core.Directory, entry.Sequence, ChannelWriteOptions.Default, AckLevel.All, ct).ConfigureAwait(false);
        return true;
    }

    /// <summary>Sets or, without a value, deletes. False: there was nothing to delete, or it was not the expected write.</summary>
    public ValueTask<bool> WriteAsync(string channel, string key, byte[]? value, ChannelWriteOptions options, Stamp? expected, CancellationToken ct)
    {
        Entry? entry;
        Replica replica;
        ReplicationLoop.Drained drained;
        lock (loop.Gate)
        {
            replica = Find(channel);
            bool exists = replica.TryGet(key, out _, out Stamp version);
            if ((expected is { } e && (version != e || (e == default && exists))) || (value is null && !exists))
            {
                return new(false);
            }

            entry = WriteOne(replica, key, value, options);
            drained = loop.Drain();
        }

        loop.Send(drained);
        AckLevel level = Level(replica, options);
        return IsDone(replica, level) ? new(true) : TrueAfterAsync(FinishAsync(replica, entry.Sequence, options, level, ct));
    }

    public ValueTask WriteManyAsync(string channel, IReadOnlyList<KeyValuePair<string, byte[]>> entries, ChannelWriteOptions options, CancellationToken ct)
    {
        ulong last = 0;
        Replica replica;
        ReplicationLoop.Drained drained;
        lock (loop.Gate)
        {
            replica = Find(channel);
            ChannelLimits.Check(replica, entries); // all or nothing
            foreach ((string key, byte[] value) in entries)
            {
                last = WriteOne(replica, key, value, options).Sequence;
            }

            drained = loop.Drain();
        }

        loop.Send(drained);
        return last == 0 ? default : FinishAsync(replica, last, options, Level(replica, options), ct);
    }

    public async ValueTask<long> AddAsync(string channel, string key, long delta, ChannelWriteOptions options, CancellationToken ct)
    {
        Replica replica;
        Entry entry;
        long sum;
        ReplicationLoop.Drained drained;
        lock (loop.Gate)
        {
            replica = Find(channel);
            ChannelLimits.CheckCounter(replica, key, loop.Core.Self);
            entry = loop.Core.Add(replica, key, delta, Level(replica, options) != AckLevel.Local, loop.Now);
            sum = replica.Counters[key].Sum;
            drained = loop.Drain();
        }

        loop.Send(drained);
        await FinishAsync(replica, entry.Sequence, options, Level(replica, options), ct).ConfigureAwait(false);
        return sum;
    }

    public bool TryGet(string channel, string key, out byte[] value, out Stamp version)
    {
        lock (loop.Gate)
        {
            return Find(channel).TryGet(key, out value, out version);
        }
    }

    public long Sum(string channel, string key)
    {
        lock (loop.Gate)
        {
            return Find(channel).Counters.TryGetValue(key, out Counter? counter) ? counter.Sum : 0;
        }
    }

    public int Count(string channel)
    {
        lock (loop.Gate)
        {
            return Find(channel).Count;
        }
    }

    /// <summary>All of one moment.</summary>
    public IReadOnlyList<Change> Snapshot(string channel, Keys keys)
    {
        lock (loop.Gate)
        {
            return Snapshot(Find(channel), keys);
        }
    }

    /// <summary>All of one moment, and a queue of what changes from then on.</summary>
    public IReadOnlyList<Change> Read(string channel, Keys keys, ChangeQueue queue, bool withSnapshot)
    {
        lock (loop.Gate)
        {
            Replica replica = Find(channel);
            loop.Read(replica, queue);
            return withSnapshot ? Snapshot(replica, keys) : [];
        }
    }

    /// <summary>Reads a channel page by page and, with a queue, what changes from then on; the caller disposes the reader, which ends the queue.</summary>
    public ChannelReader Open(string channel, Keys keys, ChangeQueue? queue)
    {
        lock (loop.Gate)
        {
            return new ChannelReader(loop, Find(channel), keys, queue);
        }
    }

    /// <summary>Ends a queue.</summary>
    public void Stop(ChangeQueue queue) => loop.Stop(queue);

    /// <summary>Completes when a channel is created or removed next.</summary>
    public Task NextListing() => loop.NextListing();

    public IAsyncDisposable Subscribe(string channel, Keys keys, bool sets, bool onlyChanges, Func<Change, ValueTask> handle)
    {
        var subscription = new Subscription(channel, keys, sets, !sets, onlyChanges, handle, s => loop.Stop(s.Queue), logger);
        Read(channel, keys, subscription.Queue, withSnapshot: false);
        return subscription;
    }

    private Replica Find(string channel) => channel.Length > 0 && loop.Core.Find(channel) is { } replica
        ? replica
        : throw new ChannelException(ChannelError.NotFound, channel, $"there is none of that name; there are {string.Join(", ", loop.Core.Channels.Keys.Take(20))}");

    private static AckLevel Level(Replica replica, ChannelWriteOptions options) => (AckLevel)(int)(options.Acknowledge ?? (Acknowledgement)replica.Spec.Acknowledgement);

    private Entry WriteOne(Replica replica, string key, byte[]? value, ChannelWriteOptions options)
    {
        bool wantsAcknowledgement = Level(replica, options) != AckLevel.Local;
        if (value is null)
        {
            return replica.Find(key) is { IsLive: true }
                ? loop.Core.Write(replica, key, null, EntryFlags.None, 0, wantsAcknowledgement, loop.Now)
                : loop.Core.DeleteCounter(replica, key, wantsAcknowledgement, loop.Now)!;
        }

        ChannelLimits.Check(replica, key, value);
        long timeToLive = options.TimeToLive is { } own ? Math.Max(1, (long)own.TotalMilliseconds) : replica.Spec.TimeToLive;
        return loop.Core.Write(replica, key, value, options.Ephemeral ? EntryFlags.Ephemeral : EntryFlags.None, timeToLive, wantsAcknowledgement, loop.Now);
    }

    private static List<Change> Snapshot(Replica replica, Keys keys)
    {
        if (keys.Single is { } key)
        {
            return replica.TryGet(key, out byte[] value, out Stamp version) ? [new Change(replica, ChangeKind.Set, key, value, null, version)] : [];
        }

        var all = new List<Change>(keys.Text is null ? replica.Count : 16);
        foreach (Entry entry in replica.Entries)
        {
            if (entry is { IsLive: true, IsCounter: false } && keys.Contains(entry.Key))
            {
                all.Add(new Change(replica, ChangeKind.Set, entry.Key, entry.Value!, null, entry.Stamp));
            }
        }

        foreach ((string name, Counter counter) in replica.Counters)
        {
            if (keys.Contains(name))
            {
                all.Add(new Change(replica, ChangeKind.Set, name, CounterKey.AsValue(counter.Sum), null, default));
            }
        }

        return all;
    }

    private static async ValueTask<bool> TrueAfterAsync(ValueTask task)
    {
        await task.ConfigureAwait(false);
        return true;
    }

    /// <summary>What a write waits for: room, the disk, others.</summary>
    private ValueTask FinishAsync(Replica replica, ulong sequence, ChannelWriteOptions options, AckLevel level, CancellationToken ct) =>
        IsDone(replica, level) ? default : new ValueTask(FinishSlowlyAsync(replica, sequence, options, level, ct));

    private bool IsDone(Replica replica, AckLevel level) => level == AckLevel.Local && !loop.Links.IsCrowded && (loop.Store is null || !replica.Spec.IsDurable);

    private async Task FinishSlowlyAsync(Replica replica, ulong sequence, ChannelWriteOptions options, AckLevel level, CancellationToken ct)
    {
        await StoredAsync(replica.Spec, replica.Name, ct).ConfigureAwait(false);
        await loop.Links.RoomAsync(ct).ConfigureAwait(false);
        await loop.Confirmations.WaitAsync(replica, sequence, level, options.Timeout, ct).ConfigureAwait(false);
    }

    private Task StoredAsync(ChannelSpec spec, string channel, CancellationToken ct) =>
        loop.Store is not null && spec.IsDurable ? loop.Store.StoredAsync(channel, ct) : Task.CompletedTask;
}
