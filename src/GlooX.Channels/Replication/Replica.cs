namespace GlooX.Channels.Replication;

/// <summary>
/// One node's state of one channel: a map in which the last writer wins, with tombstones (a state-based CRDT; Shapiro, Preguiça, Baquero,
/// Zawirski, INRIA RR-7506, 2011). To apply entries is commutative, associative and idempotent. A state machine without clock or lock.
/// </summary>
/// <remarks>
/// Invariants: a key's entry has the greatest stamp of all that were applied to it. What <see cref="Seen"/> names is reflected here, so an
/// entry that it names and that is not here was deleted, and never comes back. <see cref="Buckets"/> are sums over the live entries.
/// Tombstones are not in them: two replicas that agree on what lives and what was seen are equal.
/// </remarks>
/// <param name="name">The channel's name.</param>
/// <param name="spec">What was fixed when it was created.</param>
/// <param name="rank">What counts before the stamp: of two entries the one of higher rank wins. Null: nothing.</param>
internal sealed class Replica(string name, ChannelSpec spec, Func<Entry, ulong>? rank = null)
{
    public const int BucketCount = 256;
    private readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Counter> _counters = new(StringComparer.Ordinal);
    private readonly Dictionary<ulong, HashSet<string>> _ephemeral = [];
    private readonly PriorityQueue<Entry, long> _expiring = new();
    private readonly Queue<(Entry Entry, long Since)> _tombstones = new();
    private readonly ulong[] _buckets = new ulong[BucketCount];
    private int _plain;

    public string Name { get; } = name;

    public ChannelSpec Spec { get; } = spec;

    public Context Seen { get; } = new();

    /// <summary>The number of this node's last write.</summary>
    public ulong LastSequence { get; set; }

    /// <summary>Whether it was equal to another node's, or taken from one, or made here.</summary>
    public bool IsSynced { get; set; }

    /// <summary>The latest time of all tombstones that were forgotten, here or elsewhere: new writes are later.</summary>
    public ulong Floor { get; private set; }

    public ReadOnlySpan<ulong> Buckets => _buckets;

    /// <summary>Of all that lives.</summary>
    public ulong Digest { get; private set; }

    /// <summary>Keys with a value, and counters.</summary>
    public int Count => _plain + _counters.Count;

    /// <summary>Of live keys, at two bytes a character, and values.</summary>
    public long Bytes { get; private set; }

    /// <summary>Keys, and parts of counters, that were deleted and are not forgotten yet.</summary>
    public int Tombstones { get; private set; }

    /// <summary>Of their keys, at two bytes a character.</summary>
    public long TombstoneBytes { get; private set; }

    /// <summary>All entries, tombstones included.</summary>
    public IReadOnlyCollection<Entry> Entries => _entries.Values;

    /// <summary>The same, to be read in pages while they change.</summary>
    public EntryOrder Order { get; } = new();

    public IReadOnlyDictionary<string, Counter> Counters => _counters;

    public IReadOnlyCollection<ulong> Owners => _ephemeral.Keys;

    public static int BucketOf(ulong keyHash) => (int)(keyHash & (BucketCount - 1));

    public Entry? Find(string key) => _entries.GetValueOrDefault(key);

    /// <summary>What users see under the key: its value, or the counter's.</summary>
    public bool TryGet(string key, out byte[] value, out Stamp version)
    {
        if (_entries.TryGetValue(key, out Entry? entry) && entry.IsLive)
        {
            (value, version) = (entry.Value!, entry.Stamp);
            return true;
        }

        Counter? counter = _counters.GetValueOrDefault(key);
        (value, version) = (counter is null ? [] : CounterKey.AsValue(counter.Sum), default);
        return counter is not null;
    }

    /// <summary>Takes an entry of this or another node; the caller marks it as seen.</summary>
    /// <param name="entry">The entry.</param>
    /// <param name="now">The time, of the monotonic clock.</param>
    /// <param name="changes">Takes what it changes.</param>
    /// <param name="sender">
    /// What its sender had seen. If that holds what is here, the sender had it and deleted it, forgot the tombstone, and then got the entry:
    /// the entry is the later one whatever the stamps say. Null: not known.
    /// </param>
    /// <returns>False: it is older than what is here, or was seen before.</returns>
    public bool Apply(Entry entry, long now, ICollection<Change> changes, Context? sender = null)
    {
        if (_entries.TryGetValue(entry.Key, out Entry? old))
        {
            if (!IsLater(entry, old) && (sender is null || entry.IsOfSameWrite(old) || !sender.Contains(old.Stamp.Node, old.Sequence)))
            {
                return false;
            }

            if (entry.Stamp <= old.Stamp)
            {
                RaiseFloor(old.Stamp.Time);
            }

            entry.Key = old.Key;
        }
        else if (Seen.Contains(entry.Stamp.Node, entry.Sequence))
        {
            return false;
        }

        Put(entry, old, now, changes);
        return true;
    }

    /// <summary>Takes an entry that was kept: the last one of a key is the one.</summary>
    public void Restore(Entry entry, long now, ICollection<Change> changes) => Put(entry, Find(entry.Key), now, changes);

    public void RaiseFloor(ulong time) => Floor = Math.Max(Floor, time);

    /// <summary>
    /// What was seen, without the ephemeral entries that live: they are not kept on disk, and who has seen an entry and does not have it
    /// takes it from the others.
    /// </summary>
    public Context SeenToKeep()
    {
        Context seen = Seen.Copy();
        foreach (string key in _ephemeral.Values.SelectMany(k => k))
        {
            seen.Remove(_entries[key].Stamp.Node, _entries[key].Sequence);
        }

        return seen;
    }

    /// <summary>Removes what another replica had seen and has no more.</summary>
    public void Drop(Entry entry, ICollection<Change> changes)
    {
        if (_entries.TryGetValue(entry.Key, out Entry? current) && ReferenceEquals(current, entry))
        {
            _entries.Remove(entry.Key);
            Order.Remove(entry);
            RaiseFloor(entry.Stamp.Time);
            Exchange(entry.Key, entry, null, changes);
        }
    }

    /// <summary>When something may have lived its time next; 0: nothing does.</summary>
    public long NextExpiry => _expiring.TryPeek(out _, out long at) ? at : 0;

    /// <summary>Ends what has lived its time.</summary>
    public void Expire(long now, ICollection<Entry> ended, ICollection<Change> changes)
    {
        while (_expiring.TryPeek(out Entry? entry, out long at) && at <= now)
        {
            _expiring.Dequeue();
            if (ReferenceEquals(Find(entry.Key), entry))
            {
                End(entry, now, ended, changes);
            }
        }
    }

    /// <summary>Ends the ephemeral entries of an owner that is gone.</summary>
    public void EndOwner(ulong owner, long now, ICollection<Entry> ended, ICollection<Change> changes)
    {
        if (_ephemeral.TryGetValue(owner, out HashSet<string>? keys))
        {
            foreach (string key in keys.ToArray())
            {
                End(_entries[key], now, ended, changes);
            }
        }
    }

    /// <summary>
    /// Forgets tombstones that are older than <paramref name="age"/> and that every member has seen: none of them can send an older entry
    /// of the key any more. A node that is no member may; if that entry was seen here before, <see cref="Seen"/> refuses it. One
    /// that came with a pull which never ended, as its sender died, is marked as seen here: who has not seen it takes it from here then.
    /// </summary>
    public void Collect(long now, long age, Func<ulong, ulong, bool> seenByAll, Action<string> forgotten)
    {
        while (_tombstones.TryPeek(out (Entry Entry, long Since) oldest) && now - oldest.Since >= age)
        {
            Entry tombstone = oldest.Entry;
            if (ReferenceEquals(Find(tombstone.Key), tombstone))
            {
                Seen.Add(tombstone.Stamp.Node, tombstone.Sequence, tombstone.Sequence);
                if (!seenByAll(tombstone.Stamp.Node, tombstone.Sequence))
                {
                    return;
                }

                _entries.Remove(tombstone.Key);
                Order.Remove(tombstone);
                CountTombstone(tombstone, -1);
                RaiseFloor(tombstone.Stamp.Time);
                forgotten(tombstone.Key);
            }

            _tombstones.Dequeue();
        }
    }

    // What was replaced before its time came stays in the queues; it must not outgrow the map.
    private void Tidy()
    {
        int most = (4 * _entries.Count) + 1024;
        if (_expiring.Count > most)
        {
            (Entry, long)[] current = [.. _expiring.UnorderedItems.Where(e => ReferenceEquals(Find(e.Element.Key), e.Element))];
            _expiring.Clear();
            _expiring.EnqueueRange(current);
        }

        if (_tombstones.Count > most)
        {
            (Entry Entry, long Since)[] current = [.. _tombstones.Where(t => ReferenceEquals(Find(t.Entry.Key), t.Entry))];
            _tombstones.Clear();
            Array.ForEach(current, _tombstones.Enqueue);
        }
    }

    private bool IsLater(Entry entry, Entry old) =>
        rank is not null && rank(entry).CompareTo(rank(old)) is not 0 and var byRank ? byRank > 0 : entry.Stamp > old.Stamp;

    private void Put(Entry entry, Entry? old, long now, ICollection<Change> changes)
    {
        _entries[entry.Key] = entry;
        Order.Put(entry, old);
        Exchange(entry.Key, old, entry, changes);
        if (!entry.IsLive)
        {
            _tombstones.Enqueue((entry, now));
        }
        else if (entry.ExpiresAt > 0)
        {
            _expiring.Enqueue(entry, entry.ExpiresAt);
        }

        Tidy();
    }

    private void End(Entry entry, long now, ICollection<Entry> ended, ICollection<Change> changes)
    {
        Entry tombstone = entry.Ended();
        _entries[entry.Key] = tombstone;
        Order.Put(tombstone, entry);
        Exchange(entry.Key, entry, tombstone, changes);
        _tombstones.Enqueue((tombstone, now));
        ended.Add(tombstone);
    }

    private void Exchange(string key, Entry? old, Entry? now, ICollection<Change> changes)
    {
        ulong keyHash = Hash.OfKey(key);
        ref ulong bucket = ref _buckets[BucketOf(keyHash)];
        if (old is not null)
        {
            Account(old, -1, keyHash, ref bucket);
        }

        if (now is not null)
        {
            Account(now, 1, keyHash, ref bucket);
        }

        if ((old ?? now)!.IsCounter)
        {
            Tally(key, old, now, changes);
            return;
        }

        if (now is { IsLive: true })
        {
            changes.Add(new Change(this, ChangeKind.Set, key, now.Value!, old?.Value, now.Stamp));
        }
        else if (old is { IsLive: true })
        {
            changes.Add(new Change(this, ChangeKind.Delete, key, old.Value!, old.Value, now?.Stamp ?? old.Stamp.Derived));
        }
    }

    private void CountTombstone(Entry tombstone, int sign)
    {
        Tombstones += sign;
        TombstoneBytes += sign * 2L * tombstone.Key.Length;
    }

    private void Account(Entry entry, int sign, ulong keyHash, ref ulong bucket)
    {
        if (!entry.IsLive)
        {
            CountTombstone(entry, sign);
            return;
        }

        ulong hash = Hash.OfEntry(keyHash, entry.Stamp);
        bucket += sign > 0 ? hash : 0 - hash;
        Digest += sign > 0 ? hash : 0 - hash;
        Bytes += sign * ((2L * entry.Key.Length) + entry.Value!.Length);
        _plain += entry.IsCounter ? 0 : sign;
        if (!entry.IsEphemeral)
        {
            return;
        }

        if (!_ephemeral.TryGetValue(entry.Stamp.Node, out HashSet<string>? keys))
        {
            _ephemeral[entry.Stamp.Node] = keys = new HashSet<string>(StringComparer.Ordinal);
        }

        if (sign > 0)
        {
            keys.Add(entry.Key);
        }
        else if (keys.Remove(entry.Key) && keys.Count == 0)
        {
            _ephemeral.Remove(entry.Stamp.Node);
        }
    }

    private void Tally(string partKey, Entry? old, Entry? now, ICollection<Change> changes)
    {
        string key = CounterKey.UserKey(partKey);
        bool existed = _counters.TryGetValue(key, out Counter? counter);
        counter ??= new Counter();
        long before = counter.Sum;
        counter.Exchange(old, now);
        byte[]? previous = existed ? CounterKey.AsValue(before) : null;
        if (counter.Parts.Count > 0)
        {
            _counters[key] = counter;
            if (!existed || counter.Sum != before)
            {
                changes.Add(new Change(this, ChangeKind.Set, key, CounterKey.AsValue(counter.Sum), previous, now?.Stamp ?? old!.Stamp.Derived));
            }
        }
        else if (_counters.Remove(key))
        {
            changes.Add(new Change(this, ChangeKind.Delete, key, previous!, previous, now?.Stamp ?? old!.Stamp.Derived));
        }
    }
}
