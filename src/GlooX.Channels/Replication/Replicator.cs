using System.Globalization;

namespace GlooX.Channels.Replication;

/// <summary>
/// Keeps the channels of one node equal to those of the others. A state machine: told of writes, messages, members and the passing of
/// time, it leaves messages in <see cref="Outbox"/>, changes in <see cref="Changes"/> and what durable channels must keep in
/// <see cref="Kept"/>. It has no clock, lock, thread or socket; messages may be lost, doubled, late and out of order.
/// </summary>
/// <remarks>
/// A write goes straight to all members. Whatever that misses is found by digests: each second with one member in turn as long as
/// anything changes and for a while after, less often then, and with each that joins or comes back. Who finds that another has seen what he has not, pulls it. When a node dies, what it had told anybody reaches
/// everybody; what it had told nobody is lost.
/// </remarks>
internal sealed class Replicator
{
    /// <summary>The name of the replica of all names; no channel has it.</summary>
    public const string DirectoryName = "";

    /// <summary>The channel that is always there.</summary>
    public const string BuiltIn = "channel";

    // By how much a timer that should look with each second, in ms, may be early.
    private const long Slack = 50;
    private readonly ReplicatorOptions _options;
    private readonly HybridClock _clock;
    private readonly SortedDictionary<string, Replica> _channels = new(StringComparer.Ordinal);
    private readonly SortedDictionary<ulong, Peer> _peers = [];
    private readonly Dictionary<ulong, long> _absent = [];
    private readonly Absences _absences = new();
    private long _nextRetirement;
    private readonly PullDesk _pulls;
    private readonly Dictionary<(Replica Replica, ulong Origin), long> _gaps = [];
    private readonly Dictionary<(Replica Replica, ulong Origin), ulong> _owed = [];
    private readonly List<Entry> _ended = [];
    private List<PendingBatch> _pending = [];
    private long _nextDigest;
    private ulong _state;
    private int _calm;
    private uint _turn;
    private bool _endsSoon;

    public Replicator(ulong self, ReplicatorOptions options, Random random)
    {
        Self = self;
        _options = options;
        _turn = (uint)random.Next(); // not all begin with the same
        _clock = new HybridClock(options.MaxDrift);
        _pulls = new PullDesk(this, options);

        // A removal concerns the generation that it names, not a later one that its maker had not heard of.
        Directory = new Replica(DirectoryName, ChannelSpec.Default, static e => e.Value is { } spec ? ChannelSpec.Read(spec).Generation : 0);
        _channels[BuiltIn] = new Replica(BuiltIn, ChannelSpec.Default);
    }

    /// <summary>How many writes wait to be taken; may be read without the caller's lock.</summary>
    public int PendingCount;

    public ulong Self { get; }

    /// <summary>Which channels there are: name to <see cref="ChannelSpec"/>. Names that were removed stay, so that they are not brought back.</summary>
    public Replica Directory { get; }

    public IReadOnlyDictionary<string, Replica> Channels => _channels;

    /// <summary>Origins that are not members, and since when.</summary>
    public IReadOnlyDictionary<ulong, long> AbsentSince => _absences.Since;

    public IReadOnlyCollection<ulong> Members => _peers.Keys;

    /// <summary>Messages for single members, for the caller to take.</summary>
    public List<(ulong To, byte[] Message)> Outbox { get; } = [];

    /// <summary>Changes, in order, for the caller to take. Those of the directory are among them.</summary>
    public List<Change> Changes { get; } = [];

    /// <summary>Keys of durable channels that have changed or are gone; without a key: that more was seen. For the caller to take.</summary>
    public List<(Replica Replica, string? Key)> Kept { get; } = [];

    /// <summary>Channels that are no more, for the caller to take.</summary>
    public List<Replica> Removed { get; } = [];

    /// <summary>Whether acknowledgements or members have changed; the caller resets it.</summary>
    public bool AcknowledgementsChanged { get; set; }

    /// <summary>Times seen that were too far ahead to follow: somebody's clock is wrong.</summary>
    public long DriftsSeen { get; private set; }

    /// <summary>
    /// Whether something is under way that only time brings on: then <see cref="Tick"/> is due several times a second, otherwise once.
    /// </summary>
    public bool IsRestless { get; private set; }

    /// <summary>Whether nothing has changed for a while and nothing ends soon: <see cref="Tick"/> is due only each <see cref="ReplicatorOptions.CalmInterval"/>.</summary>
    public bool IsCalm => _calm > ReplicatorOptions.StirDigests && !_endsSoon;

    /// <summary>Whether every replica has been compared with another node's.</summary>
    public bool IsSynced => Directory.IsSynced && _channels.Values.All(c => c.IsSynced);

    public Replica? Find(string name) => name.Length == 0 ? Directory : _channels.GetValueOrDefault(name);

    /// <summary>A write of this node.</summary>
    /// <param name="replica">Where; it has been found to be allowed.</param>
    /// <param name="key">The key.</param>
    /// <param name="value">Null: delete.</param>
    /// <param name="flags">Whether it is ephemeral or a counter's.</param>
    /// <param name="timeToLive">In milliseconds; 0: for ever.</param>
    /// <param name="wantsAcknowledgement">Whether the others are to tell when they have it.</param>
    /// <param name="now">The time.</param>
    public Entry Write(Replica replica, string key, byte[]? value, EntryFlags flags, long timeToLive, bool wantsAcknowledgement, Instant now)
    {
        Entry? old = replica.Find(key);
        ulong time = _clock.NextAfter(Math.Max(old?.Stamp.Time ?? 0, replica.Floor), now.Wall);
        flags = value is null ? (flags & EntryFlags.Counter) | EntryFlags.Tombstone : flags;
        var entry = new Entry(key, value, new Stamp(time, Self), ++replica.LastSequence, flags, value is not null && timeToLive > 0 ? now.Mono + timeToLive : 0);
        replica.Apply(entry, now.Mono, Changes);
        replica.Seen.Add(Self, entry.Sequence, entry.Sequence);
        Keep(replica, key);
        PendingBatch? batch = _pending.Find(b => ReferenceEquals(b.Replica, replica));
        if (batch is null)
        {
            _pending.Add(batch = new PendingBatch(replica, entry.Sequence));
        }

        Await(entry.ExpiresAt, now);
        batch.Entries.Add(entry);
        PendingCount++;
        batch.WantsAcknowledgement |= wantsAcknowledgement;
        return entry;
    }

    /// <summary>Adds to a counter.</summary>
    public Entry Add(Replica replica, string key, long delta, bool wantsAcknowledgement, Instant now)
    {
        string part = CounterKey.Of(key, Self);
        long total = CounterKey.Total(replica.Find(part));
        return Write(replica, part, CounterKey.Total(unchecked(total + delta)), EntryFlags.Counter, 0, wantsAcknowledgement, now);
    }

    /// <summary>Deletes a counter: all parts that are known here.</summary>
    /// <returns>The last write; null: there is no such counter.</returns>
    public Entry? DeleteCounter(Replica replica, string key, bool wantsAcknowledgement, Instant now)
    {
        string prefix = $"{CounterKey.Mark}{key}{CounterKey.Mark}";
        string[] parts = [.. replica.Entries.Where(e => e.IsLive && e.IsCounter && e.Key.StartsWith(prefix, StringComparison.Ordinal)).Select(e => e.Key)];
        Entry? last = null;
        foreach (string part in parts)
        {
            last = Write(replica, part, null, EntryFlags.Counter, 0, wantsAcknowledgement, now);
        }

        return last;
    }

    /// <summary>Creates a channel that does not exist.</summary>
    /// <returns>The write in the directory.</returns>
    public Entry Create(string name, ChannelSpec spec, Instant now)
    {
        ulong generation = (Generation(name) ?? Generation(GenerationKey(name)) ?? 0) + 1;
        Entry entry = Write(Directory, name, (spec with { Generation = generation, Exists = true }).ToBytes(), EntryFlags.None, 0, wantsAcknowledgement: true, now);
        FollowDirectory(entry);
        _channels[name].IsSynced = true;
        return entry;
    }

    /// <summary>Removes a channel that exists, with all that is in it.</summary>
    public Entry Remove(string name, Instant now)
    {
        byte[] removed = (_channels[name].Spec with { Exists = false }).ToBytes();
        if (Generation(GenerationKey(name)) is not { } latest || latest < _channels[name].Spec.Generation)
        {
            Write(Directory, GenerationKey(name), removed, EntryFlags.None, 0, wantsAcknowledgement: false, now);
        }

        Entry entry = Write(Directory, name, removed, EntryFlags.None, _options.RemovedNameAge, wantsAcknowledgement: true, now);
        FollowDirectory(entry);
        return entry;
    }

    /// <summary>Takes what a durable channel kept, or its entry in the directory; tells nobody.</summary>
    /// <param name="replica">Where.</param>
    /// <param name="entries">What there was.</param>
    /// <param name="seen">What was seen.</param>
    /// <param name="absentFor">For how long origins of it have been gone, in milliseconds.</param>
    /// <param name="now">The time.</param>
    public void Load(Replica replica, IEnumerable<Entry> entries, Context seen, IReadOnlyDictionary<ulong, long> absentFor, Instant now)
    {
        foreach ((ulong origin, long time) in absentFor)
        {
            _absences.Absent(origin, now.Mono - time);
        }

        List<Change> untold = [];
        foreach (Entry entry in entries)
        {
            _clock.Observe(entry.Stamp.Time, now.Wall);
            replica.Restore(entry, now.Mono, untold);
            if (ReferenceEquals(replica, Directory))
            {
                FollowDirectory(entry);
            }

            replica.Seen.Add(entry.Stamp.Node, entry.Sequence, entry.Sequence);
        }

        replica.Seen.Union(seen);
    }

    /// <summary>The writes since the last time, to be encoded and sent to all members.</summary>
    public IReadOnlyList<PendingBatch> TakePending()
    {
        if (_pending.Count == 0)
        {
            return [];
        }

        List<PendingBatch> taken = _pending;
        (_pending, PendingCount) = ([], 0);
        return taken;
    }

    public bool IsAcknowledged(Replica replica, ulong sequence, AckLevel level)
    {
        int have = 1;
        bool all = true;
        foreach (Peer peer in _peers.Values)
        {
            bool has = peer.HasSeen(replica, Self, sequence);
            have += has ? 1 : 0;
            all &= has || !peer.IsReachable;
        }

        return level switch
        {
            AckLevel.Local => true,
            AckLevel.One => have > 1,
            AckLevel.Majority => have > (_peers.Count + 1) / 2,
            _ => all,
        };
    }

    /// <summary>Who the other members are.</summary>
    public void SetMembers(IReadOnlyCollection<(ulong Node, bool IsReachable)> members, Instant now)
    {
        HashSet<ulong> present = [.. members.Select(m => m.Node)];
        foreach (Peer gone in _peers.Values.Where(p => !present.Contains(p.Node)).ToArray())
        {
            _peers.Remove(gone.Node);
            _absent[gone.Node] = now.Mono;
            _absences.Absent(gone.Node, now.Mono);
            foreach ((Replica, ulong Origin) owed in _owed.Keys.Where(o => o.Origin == gone.Node).ToArray())
            {
                _owed.Remove(owed);
            }

            _pulls.Forget(gone.Node);
            EndOwner(gone.Node, now);
            AcknowledgementsChanged = true;
        }

        foreach ((ulong node, bool isReachable) in members)
        {
            if (node == Self)
            {
                continue;
            }

            bool isNew = !_peers.TryGetValue(node, out Peer? peer);
            if (isNew)
            {
                _peers[node] = peer = new Peer(node);
                _absent.Remove(node);
                _absences.Present(node);
            }

            bool returns = isReachable && (isNew || !peer!.IsReachable);
            AcknowledgementsChanged |= isNew || peer!.IsReachable != isReachable;
            peer!.IsReachable = isReachable;
            if (returns)
            {
                SendDigest(peer, Reply.IfDifferent, now);
            }
        }
    }

    /// <summary>To be called several times a second, or once a second unless <see cref="IsRestless"/>, or less often if <see cref="IsCalm"/>.</summary>
    public void Tick(Instant now)
    {
        IsRestless = false;
        _endsSoon = false;
        foreach (Replica replica in All())
        {
            _ended.Clear();
            replica.Expire(now.Mono, _ended, Changes);
            KeepAll(replica, _ended);
            Await(replica.NextExpiry, now);
        }

        foreach (((Replica replica, ulong origin) gap, long since) in _gaps.ToArray())
        {
            if (!gap.replica.Seen.HasGap(gap.origin) || !_peers.TryGetValue(gap.origin, out Peer? peer))
            {
                _gaps.Remove(gap);
            }
            else if (now.Mono - since >= _options.Patience)
            {
                _pulls.Start(peer, gap.replica, now);
            }
        }

        foreach (Peer peer in _peers.Values)
        {
            foreach ((Replica replica, (Context has, long since)) in peer.Suspects.ToArray())
            {
                if (replica.Seen.Covers(has))
                {
                    peer.Suspects.Remove(replica);
                }
                else if (now.Mono - since >= _options.Patience)
                {
                    peer.Suspects.Remove(replica);
                    _pulls.Start(peer, replica, now);
                }
            }

            IsRestless |= peer.Suspects.Count > 0;
        }

        _pulls.Tick(now);
        IsRestless |= _gaps.Count > 0 || _pulls.IsBusy;
        if (now.Mono >= _nextDigest - Slack)
        {
            Compare(now);
            _nextDigest = now.Mono + (IsCalm ? _options.CalmInterval : _options.DigestInterval);
        }
    }

    /// <summary>A message from another node.</summary>
    /// <exception cref="InvalidDataException">It is malformed; what came before the fault is applied.</exception>
    public void Receive(ReadOnlySpan<byte> message, Instant now)
    {
        var reader = new WireReader(message);
        var kind = (MessageKind)reader.Byte();
        ulong sender = reader.Word();
        _peers.TryGetValue(sender, out Peer? peer);
        if (kind == MessageKind.Batch && sender != Self)
        {
            OnBatch(ref reader, sender, peer, now);
        }
        else if (peer is not null)
        {
            // Who is no member here cannot be answered: when it is one, both tell each other what they have.
            switch (kind)
            {
                case MessageKind.Digest:
                    OnDigest(ref reader, peer, now);
                    break;
                case MessageKind.Acknowledge:
                    if (ReadChannel(ref reader) is { } replica)
                    {
                        peer.Knows(replica).Add(Self, 1, Math.Min(reader.Varint(), replica.LastSequence));
                        AcknowledgementsChanged = true;
                    }

                    break;
                case MessageKind.Pull or MessageKind.Chunk or MessageKind.ChunkTaken:
                    _pulls.Receive(kind, ref reader, peer, now);
                    IsRestless |= _pulls.IsBusy;
                    break;
                default:
                    throw new InvalidDataException($"there are no messages of the kind {kind}");
            }
        }

        PayAcknowledgements();
    }

    /// <summary>An entry from elsewhere.</summary>
    internal void Take(Replica replica, Entry entry, Instant now, Context? sender = null)
    {
        if (!_clock.Observe(entry.Stamp.Time, now.Wall))
        {
            DriftsSeen++;
        }

        Entry? old = replica.Find(entry.Key);
        if (!replica.Apply(entry, now.Mono, Changes, sender))
        {
            return;
        }

        Await(entry.ExpiresAt, now);
        Keep(replica, entry.Key);
        if (ReferenceEquals(replica, Directory))
        {
            FollowDirectory(entry);
        }

        if (entry.Stamp.IsDerived)
        {
            Reassert(replica, old, now);
        }
    }

    /// <summary>What another had seen and has no more.</summary>
    internal void Drop(Replica replica, Entry entry, Instant now)
    {
        replica.Drop(entry, Changes);
        Keep(replica, entry.Key);
        Reassert(replica, entry, now);
    }

    /// <summary>A pull has ended well.</summary>
    internal void Pulled(Replica replica, Peer source, Instant now)
    {
        Keep(replica, null);
        if (!replica.IsSynced)
        {
            replica.IsSynced = true;
            if (ReferenceEquals(replica, Directory))
            {
                SendDigest(source, Reply.IfDifferent, now); // of the channels that it has brought
            }
        }
    }

    internal Replica? ReadChannel(ref WireReader reader)
    {
        string name = reader.String();
        ulong generation = reader.Varint();
        return Find(name) is { } replica && replica.Spec.Generation == generation ? replica : null;
    }

    private void OnBatch(ref WireReader reader, ulong sender, Peer? peer, Instant now)
    {
        while (!reader.IsAtEnd)
        {
            Replica? replica = ReadChannel(ref reader);
            bool wantsAcknowledgement = reader.Byte() != 0;
            ulong first = reader.Varint();
            ulong count = reader.Word();
            if (first == 0 || count == 0 || count > (ulong)reader.Rest || first + count < first)
            {
                throw new InvalidDataException("a batch is malformed");
            }

            for (ulong i = 0; i < count; i++)
            {
                Entry entry = Messages.ReadWrite(ref reader, sender, first + i, now.Mono);
                if (replica is not null)
                {
                    Take(replica, entry, now);
                    replica.Seen.Add(sender, first + i, first + i);
                }
            }

            if (replica is null)
            {
                continue; // not heard of yet, or removed: what is missing will show
            }

            ulong last = first + count - 1;
            peer?.Knows(replica).Add(sender, 1, last);
            if (replica.Seen.HasGap(sender))
            {
                _gaps.TryAdd((replica, sender), now.Mono);
                IsRestless = true;
            }

            if (wantsAcknowledgement)
            {
                _owed[(replica, sender)] = Math.Max(last, _owed.GetValueOrDefault((replica, sender)));
            }
        }
    }

    private void OnDigest(ref WireReader reader, Peer peer, Instant now)
    {
        var wants = (Reply)reader.Byte();
        for (int absent = reader.Count(); absent > 0; absent--)
        {
            ulong origin = reader.Word();
            long seconds = (long)Math.Min(reader.Varint(), int.MaxValue);
            if (!IsMember(origin))
            {
                _absences.Absent(origin, now.Mono - (seconds * 1_000));
            }
        }

        bool differs = false;
        while (!reader.IsAtEnd)
        {
            Replica? replica = ReadChannel(ref reader);
            ulong digest = reader.Word();
            ulong floor = reader.Word();
            Context has = Messages.ReadContext(ref reader);
            if (replica is null)
            {
                continue;
            }

            // What was forgotten here is not learnt again from a node that is about to forget it.
            foreach (ulong forgotten in has.Origins.Keys.Where(o => !replica.Seen.Lists(o) && IsLongGone(o, now)).ToArray())
            {
                has.Forget(forgotten);
            }

            replica.RaiseFloor(floor);
            peer.Knows(replica).Union(has);
            AcknowledgementsChanged = true;
            bool covers = replica.Seen.Covers(has);
            if (digest == replica.Digest)
            {
                // The same lives in both: what the other has seen is reflected here too.
                if (!covers)
                {
                    replica.Seen.Union(has);
                    Keep(replica, null);
                }

                replica.IsSynced = true;
                peer.Suspects.Remove(replica);
                differs |= !has.Covers(replica.Seen);
                continue;
            }

            differs = true;
            if (!replica.IsSynced || (covers && has.Covers(replica.Seen)))
            {
                _pulls.Start(peer, replica, now);
                IsRestless = true;
            }
            else if (!covers)
            {
                peer.Suspects.TryAdd(replica, (has, now.Mono));
                IsRestless = true;
            }
        }

        if (wants == Reply.InAnyCase || (wants == Reply.IfDifferent && (differs || !IsSynced)))
        {
            SendDigest(peer, Reply.No, now);
        }
    }

    private bool HasTombstones => All().Any(static r => r.Tombstones > 0);

    private void LookForChanges(int reachable)
    {
        ulong state = All().Aggregate((ulong)reachable, static (sum, r) => (sum * 31) + r.Digest + r.LastSequence);
        _calm = state == _state && !HasTombstones ? _calm + 1 : 0;
        _state = state;
    }

    /// <summary>
    /// Forgets the origins that have long been gone and of which no entry is left. What such an entry of a context would still do is
    /// to refuse a deleted entry of a node that was forgotten even longer.
    /// </summary>
    private void Retire(Instant now)
    {
        HashSet<ulong> listed = [.. All().SelectMany(static r => r.Seen.Origins.Keys).Where(o => !IsMember(o))];
        foreach (ulong origin in listed.Where(o => !_absences.Since.ContainsKey(o)))
        {
            _absences.Absent(origin, now.Mono);
        }

        _absences.KeepOnly([.. listed, .. _absences.Since.Keys.Where(o => !_absences.IsLongGone(o, 2 * _options.OriginAge, now.Mono))]);
        foreach (Replica replica in All())
        {
            ulong[] gone = [.. replica.Seen.Origins.Keys.Where(o => IsLongGone(o, now))];
            HashSet<ulong> here = gone.Length == 0 ? [] : [.. replica.Entries.Select(static e => e.Stamp.Node)];
            foreach (ulong origin in gone.Where(o => !here.Contains(o)))
            {
                replica.Seen.Forget(origin);
                Store(replica, null);
            }

            foreach (Peer peer in _peers.Values)
            {
                foreach (ulong origin in peer.Knows(replica).Origins.Keys.Where(o => !replica.Seen.Lists(o) && IsLongGone(o, now)).ToArray())
                {
                    peer.Forget(replica, origin);
                }
            }
        }
    }

    private bool IsMember(ulong origin) => origin == Self || _peers.ContainsKey(origin);

    private bool IsLongGone(ulong origin, Instant now) => !IsMember(origin) && _absences.IsLongGone(origin, _options.OriginAge, now.Mono);

    private void Compare(Instant now)
    {
        if (now.Mono >= _nextRetirement)
        {
            Retire(now);
            _nextRetirement = now.Mono + (_options.OriginAge / 24);
        }

        Peer[] reachable = [.. _peers.Values.Where(p => p.IsReachable)];
        LookForChanges(reachable.Length);
        if (reachable.Length > 0 && !IsSynced)
        {
            Array.ForEach(reachable, p => SendDigest(p, Reply.IfDifferent, now));
        }
        else if (reachable.Length > 0)
        {
            // What was deleted is forgotten when all are known to have seen that, and others may be calm: they are asked.
            SendDigest(reachable[_turn++ % (uint)reachable.Length], HasTombstones ? Reply.InAnyCase : Reply.IfDifferent, now);
        }

        HashSet<ulong> owners = [.. All().SelectMany(r => r.Owners)];
        foreach (ulong forgotten in _absent.Keys.Where(a => !owners.Contains(a)).ToArray())
        {
            _absent.Remove(forgotten);
        }

        foreach (Replica replica in All())
        {
            foreach (ulong owner in replica.Owners.Where(o => o != Self && !_peers.ContainsKey(o)).ToArray())
            {
                if (!_absent.TryGetValue(owner, out long since))
                {
                    _absent[owner] = now.Mono;
                }
                else if (now.Mono - since >= _options.StrangerAge)
                {
                    EndOwner(replica, owner, now);
                }
            }

            replica.Collect(
                now.Mono,
                _options.TombstoneAge,
                (origin, sequence) => _peers.Values.All(p => p.HasSeen(replica, origin, sequence) || (p.IsReachable && IsLongGone(origin, now))),
                key => Store(replica, key));
        }
    }

    /// <summary>A node says again what others believed to be over.</summary>
    private void Reassert(Replica replica, Entry? old, Instant now)
    {
        if (old is { IsLive: true, IsEphemeral: true } && old.Stamp.Node == Self && replica.Find(old.Key) is not { IsLive: true })
        {
            Write(replica, old.Key, old.Value, old.Flags, old.ExpiresAt > 0 ? Math.Max(1, old.ExpiresAt - now.Mono) : 0, wantsAcknowledgement: false, now);
        }
    }

    private void FollowDirectory(Entry entry)
    {
        if (entry.Value is not { } bytes)
        {
            return;
        }

        ChannelSpec spec = ChannelSpec.Read(bytes);
        if (_channels.TryGetValue(entry.Key, out Replica? there) && (!spec.Exists || there.Spec.Generation != spec.Generation))
        {
            _channels.Remove(entry.Key);
            Removed.Add(there);
            _pulls.Forget(there);
            PendingCount -= _pending.Where(b => ReferenceEquals(b.Replica, there)).Sum(b => b.Entries.Count);
            _pending.RemoveAll(b => ReferenceEquals(b.Replica, there));
            foreach (Peer peer in _peers.Values)
            {
                peer.Forget(there);
            }

            foreach ((Replica Replica, ulong) key in _gaps.Keys.Concat(_owed.Keys).Where(k => ReferenceEquals(k.Replica, there)).ToArray())
            {
                _gaps.Remove(key);
                _owed.Remove(key);
            }
        }

        if (spec.Exists && !_channels.ContainsKey(entry.Key))
        {
            Store(_channels[entry.Key] = new Replica(entry.Key, spec), null);
        }
    }

    private void Await(long time, Instant now)
    {
        IsRestless |= time > 0 && time - now.Mono < _options.DigestInterval;
        _endsSoon |= time > 0 && time - now.Mono < _options.CalmInterval;
    }

    private void EndOwner(ulong owner, Instant now)
    {
        foreach (Replica replica in All())
        {
            EndOwner(replica, owner, now);
        }
    }

    private void EndOwner(Replica replica, ulong owner, Instant now)
    {
        _ended.Clear();
        replica.EndOwner(owner, now.Mono, _ended, Changes);
        KeepAll(replica, _ended);
    }

    private void PayAcknowledgements()
    {
        foreach (((Replica replica, ulong origin) owed, ulong last) in _owed.Count == 0 ? [] : _owed.ToArray())
        {
            ulong upTo = owed.replica.Seen.UpTo(owed.origin);
            if (upTo >= last)
            {
                _owed.Remove(owed);
                WireWriter writer = Messages.Begin(MessageKind.Acknowledge, Self, 64);
                Messages.WriteChannel(writer, owed.replica);
                writer.Varint(upTo);
                Outbox.Add((owed.origin, writer.ToArray()));
            }
        }
    }

    // The names of removed channels are forgotten in the end; what is created later must still win over what comes back then. So the
    // greatest generation that was removed stays, of all names with one hash of 256.
    private static string GenerationKey(string name) =>
        string.Create(CultureInfo.InvariantCulture, $"gloox.generation.{Hash.OfKey(name) % 256}");

    private ulong? Generation(string key) => Directory.Find(key)?.Value is { } bytes ? ChannelSpec.Read(bytes).Generation : null;

    private void SendDigest(Peer peer, Reply wanted, Instant now)
    {
        WireWriter? writer = null;
        foreach (Replica replica in All())
        {
            if (writer is null)
            {
                writer = Messages.Begin(MessageKind.Digest, Self);
                writer.Byte((byte)wanted);
                writer.Varint((ulong)_absences.Since.Count);
                foreach ((ulong origin, long since) in _absences.Since)
                {
                    writer.Word(origin);
                    writer.Varint((ulong)((now.Mono - since) / 1_000));
                }
            }

            Messages.WriteChannel(writer, replica);
            writer.Word(replica.Digest);
            writer.Word(replica.Floor);
            Messages.WriteContext(writer, replica.Seen);
            if (writer.Length >= Messages.FullAt)
            {
                Outbox.Add((peer.Node, writer.ToArray()));
                writer = null;
            }
        }

        if (writer is not null)
        {
            Outbox.Add((peer.Node, writer.ToArray()));
        }
    }

    private void KeepAll(Replica replica, List<Entry> ended)
    {
        foreach (Entry entry in ended)
        {
            Keep(replica, entry.Key);
        }
    }

    private void Keep(Replica replica, string? key)
    {
        (_calm, _nextDigest) = (0, IsCalm ? 0 : _nextDigest); // something has changed: digests are sent each second for a while
        Store(replica, key);
    }

    private void Store(Replica replica, string? key)
    {
        if (replica.Spec.IsDurable)
        {
            Kept.Add((replica, key));
        }
    }

    private IEnumerable<Replica> All() => _channels.Values.Prepend(Directory);
}
