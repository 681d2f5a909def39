namespace GlooX.Channels.Replication;

/// <summary>
/// Forgets the processes that are gone. Each has left an origin in the contexts, and parts in counters. Nodes tell each other for how
/// long origins have not been members, as durations, so that all forget one at about the same time and none brings it back to the
/// others; the longest time that anybody knows of counts.
/// </summary>
/// <remarks>
/// A context that claims less than was seen costs a transfer, or lets in what a node that was forgotten even longer still has; it never
/// deletes. So an origin can be forgotten without agreement, once no entry of it is left here.
/// </remarks>
internal sealed class Retirement(Replicator owner, ReplicatorOptions options)
{
    private readonly Dictionary<ulong, long> _absentSince = [];
    private long _next;

    /// <summary>Origins that are not members, and since when, by this process's monotonic clock.</summary>
    public IReadOnlyDictionary<ulong, long> AbsentSince => _absentSince;

    /// <summary>An origin is a member.</summary>
    public void Present(ulong origin) => _absentSince.Remove(origin);

    /// <summary>An origin has not been a member since then.</summary>
    public void Absent(ulong origin, long since)
    {
        if (!owner.IsMember(origin) && (!_absentSince.TryGetValue(origin, out long known) || since < known))
        {
            _absentSince[origin] = since;
        }
    }

    /// <summary>Whether an origin may be forgotten.</summary>
    public bool IsLongGone(ulong origin, Instant now) => IsGoneFor(options.OriginAge, origin, now);

    /// <summary>What was forgotten here is not learnt again from a node that is about to forget it.</summary>
    public void Disregard(Replica replica, Context has, Instant now)
    {
        foreach (ulong forgotten in has.Origins.Keys.Where(o => !replica.Seen.Lists(o) && IsLongGone(o, now)).ToArray())
        {
            has.Forget(forgotten);
        }
    }

    /// <summary>For how long origins have been gone, for another node.</summary>
    public void Write(WireWriter writer, Instant now)
    {
        writer.Varint((ulong)_absentSince.Count);
        foreach ((ulong origin, long since) in _absentSince)
        {
            writer.Word(origin);
            writer.Varint((ulong)((now.Mono - since) / 1_000));
        }
    }

    /// <summary>The reverse of <see cref="Write"/>.</summary>
    public void Read(ref WireReader reader, Instant now)
    {
        for (int absent = reader.Count(); absent > 0; absent--)
        {
            Absent(reader.Word(), now.Mono - ((long)Math.Min(reader.Varint(), int.MaxValue) * 1_000));
        }
    }

    /// <summary>Looks, now and then, whether anything can be forgotten.</summary>
    public void Tick(Instant now)
    {
        if (now.Mono < _next)
        {
            return;
        }

        _next = now.Mono + (options.OriginAge / 24);
        Notice(now);
        foreach (Replica replica in owner.All())
        {
            ForgetOrigins(replica, now);
            if (owner.IsFirst && owner.IsSynced)
            {
                foreach ((string key, Counter counter) in replica.Counters.ToArray())
                {
                    CarryGone(replica, key, counter, now);
                }
            }
        }
    }

    private bool IsGoneFor(long age, ulong origin, Instant now) => _absentSince.TryGetValue(origin, out long since) && now.Mono - since >= age;

    private void Notice(Instant now)
    {
        HashSet<ulong> known = [];
        foreach (Replica replica in owner.All())
        {
            known.UnionWith(replica.Seen.Origins.Keys);
            known.UnionWith(replica.Counters.Values.SelectMany(static c => c.Shares().Keys));
        }

        foreach (ulong origin in known.Where(o => !_absentSince.ContainsKey(o)))
        {
            Absent(origin, now.Mono);
        }

        // Others may speak of one for a while.
        foreach (ulong origin in _absentSince.Keys.Where(o => !known.Contains(o) && IsGoneFor(2 * options.OriginAge, o, now)).ToArray())
        {
            _absentSince.Remove(origin);
        }
    }

    private void ForgetOrigins(Replica replica, Instant now)
    {
        ulong[] gone = [.. replica.Seen.Origins.Keys.Where(o => IsLongGone(o, now))];
        HashSet<ulong> here = gone.Length == 0 ? [] : [.. replica.Entries.Select(static e => e.Stamp.Node)];
        foreach (ulong origin in gone.Where(o => !here.Contains(o)))
        {
            replica.Seen.Forget(origin);
            owner.Store(replica, null);
        }

        foreach (Peer peer in owner.Peers)
        {
            foreach (ulong origin in peer.Knows(replica).Origins.Keys.Where(o => !replica.Seen.Lists(o) && IsLongGone(o, now)).ToArray())
            {
                peer.Knows(replica).Forget(origin);
            }
        }
    }

    /// <summary>
    /// Takes the shares of nodes that are gone into this node's part; their parts are deleted once everybody has the shares. A share that
    /// has been carried for as long again, and that nobody else knows of any more, becomes this node's own. The first of the members
    /// does it; if two do at once, on the two sides of a cut, a share still counts once.
    /// </summary>
    private void CarryGone(Replica replica, string key, Counter counter, Instant now)
    {
        bool HasEverybody(Entry part) => owner.Peers.All(p => p.HasSeen(replica, part.Stamp.Node, part.Sequence));
        Entry[] gone = [.. counter.Parts.Values.Where(p => IsGoneFor(options.CounterAge, p.Stamp.Node, now) && HasEverybody(p))];
        Entry? mine = counter.Parts.GetValueOrDefault(owner.Self);
        Dictionary<ulong, CounterShare> shares = counter.Shares();
        CounterShare[] before = [.. CounterKey.Carried(mine)];
        foreach (Entry part in mine is not null && HasEverybody(mine) ? gone : [])
        {
            if (Array.Exists(before, s => s.Origin == part.Stamp.Node && s.Sequence >= part.Sequence))
            {
                owner.Write(replica, part.Key, null, EntryFlags.Counter, 0, wantsAcknowledgement: false, now);
            }
        }

        HashSet<ulong> carried =
        [
            .. before.Select(static s => s.Origin),
            .. gone.Select(static p => p.Stamp.Node),
            .. gone.SelectMany(CounterKey.Carried).Select(static s => s.Origin),
        ];
        carried.Remove(owner.Self);
        HashSet<ulong> elsewhere =
            [.. counter.Parts.Values.Where(p => p != mine && !gone.Contains(p)).SelectMany(CounterKey.Carried).Select(static s => s.Origin)];
        bool IsSettled(ulong origin) => IsGoneFor(2 * options.CounterAge, origin, now)
            && !elsewhere.Contains(origin) && replica.Find(CounterKey.Of(key, origin)) is null;
        ulong[] settled = [.. carried.Where(IsSettled)];
        if (settled.Length > 0 || carried.Count > before.Length)
        {
            long total = settled.Aggregate(shares.GetValueOrDefault(owner.Self).Total, (sum, o) => unchecked(sum + shares[o].Total));
            owner.WritePart(replica, key, total, [.. carried.Except(settled).Select(o => shares[o])], wantsAcknowledgement: false, now);
        }
    }
}
