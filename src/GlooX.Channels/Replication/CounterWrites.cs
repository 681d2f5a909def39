namespace GlooX.Channels.Replication;

/// <summary>Writes of this node to counters.</summary>
internal static class CounterWrites
{
    /// <summary>Adds to a counter.</summary>
    public static Entry Add(this Replicator core, Replica replica, string key, long delta, bool wantsAcknowledgement, Instant now)
    {
        Counter? counter = replica.Counters.GetValueOrDefault(key);
        Entry? mine = counter?.Parts.GetValueOrDefault(core.Self);

        // Another may carry this node's share, if it was forgotten meanwhile.
        long total = counter is null or { IsPlain: true } ? CounterKey.Total(mine) : counter.Shares().GetValueOrDefault(core.Self).Total;
        return core.WritePart(replica, key, unchecked(total + delta), [.. CounterKey.Carried(mine)], wantsAcknowledgement, now);
    }

    /// <summary>Writes this node's part of a counter.</summary>
    public static Entry WritePart(
        this Replicator core, Replica replica, string key, long total, IReadOnlyCollection<CounterShare> carried, bool wantsAcknowledgement, Instant now) =>
        core.Write(replica, CounterKey.Of(key, core.Self), CounterKey.Value(total, carried), EntryFlags.Counter, 0, wantsAcknowledgement, now);

    /// <summary>Deletes a counter: all parts that are known here.</summary>
    /// <returns>The last write; null: there is no such counter.</returns>
    public static Entry? DeleteCounter(this Replicator core, Replica replica, string key, bool wantsAcknowledgement, Instant now)
    {
        Entry? last = null;
        foreach (Entry part in replica.Counters.TryGetValue(key, out Counter? counter) ? counter.Parts.Values.ToArray() : [])
        {
            last = core.Write(replica, part.Key, null, EntryFlags.Counter, 0, wantsAcknowledgement, now);
        }

        return last;
    }
}
