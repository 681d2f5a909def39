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
    /// <summary>The channel that is always there.</summary>
    public const string BuiltIn = "channel";

    private readonly ReplicatorOptions _options;
    private readonly HybridClock _clock;
    private readonly SortedDictionary<ulong, Peer> _peers = [];
    private readonly EphemeralOwners _owners;
    private readonly Retirement _retirement;
    private readonly PullSessions _pulls;
    private readonly AntiEntropy _antiEntropy;
    private readonly Acknowledgements _acknowledgements;
    private readonly ChannelDirectory _directory;
    private List<PendingBatch> _pending = [];
    private bool _endsSoon;

    public Replicator(ulong self, ReplicatorOptions options, Random random)
    {
        Self = self;
        _options = options;
        _clock = new HybridClock(options.MaxDrift);
        _directory = new ChannelDirectory(this, options);
        _acknowledgements = new Acknowledgements(this);
        _pulls = new PullSessions(this, options);
        _owners = new EphemeralOwners(this, options);
        _retirement = new Retirement(this, options);
        _antiEntropy = new AntiEntropy(this, _pulls, _retirement, options, random);
    }

    /// <summary>How many writes wait to be taken; may be read without the caller's lock.</summary>
    public int PendingCount;

    public ulong Self { get; }

    /// <summary>Which channels there are; see <see cref="ChannelDirectory"/>.</summary>
    public Replica Directory => _directory.Replica;

    public IReadOnlyDictionary<string, Replica> Channels => _directory.Channels;

    /// <summary>Origins that are not members, and since when.</summary>
    public IReadOnlyDictionary<ulong, long> AbsentSince => _retirement.AbsentSince;

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
    public bool IsCalm => _antiEntropy.IsCalm && !_endsSoon;

    /// <summary>Whether every replica has been compared with another node's.</summary>
    public bool IsSynced => Directory.IsSynced && Channels.Values.All(static c => c.IsSynced);

    /// <summary>What is known of the other members.</summary>
    internal IReadOnlyCollection<Peer> Peers => _peers.Values;

    /// <summary>Whether this node is the first of the members, and all others are reachable: what one alone should do is its task.</summary>
    internal bool IsFirst => _peers.Values.All(p => p.IsReachable && p.Node > Self);

    internal bool IsMember(ulong origin) => origin == Self || _peers.ContainsKey(origin);

    public Replica? Find(string name) => _directory.Find(name);

    /// <inheritdoc cref="ChannelDirectory.Create"/>
    public Entry Create(string name, ChannelSpec spec, Instant now) => _directory.Create(name, spec, now);

    /// <inheritdoc cref="ChannelDirectory.Remove"/>
    public Entry Remove(string name, Instant now) => _directory.Remove(name, now);

    /// <summary>Whether as many members as the level says have applied a write of this node.</summary>
    public bool IsAcknowledged(Replica replica, ulong sequence, AckLevel level) => _acknowledgements.IsAcknowledged(replica, sequence, level);

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
            _retirement.Absent(origin, now.Mono - time);
        }

        List<Change> untold = [];
        foreach (Entry entry in entries)
        {
            _clock.Observe(entry.Stamp.Time, now.Wall);
            replica.Restore(entry, now.Mono, untold);
            if (ReferenceEquals(replica, Directory))
            {
                _directory.Follow(entry.Key);
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

    /// <summary>Who the other members are.</summary>
    public void SetMembers(IReadOnlyCollection<(ulong Node, bool IsReachable)> members, Instant now)
    {
        HashSet<ulong> present = [.. members.Select(m => m.Node)];
        foreach (Peer gone in _peers.Values.Where(p => !present.Contains(p.Node)).ToArray())
        {
            _peers.Remove(gone.Node);
            _retirement.Absent(gone.Node, now.Mono);
            _acknowledgements.Forget(gone.Node);
            _pulls.Forget(gone.Node);
            _owners.Gone(gone.Node, now);
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
                _owners.Present(node);
                _retirement.Present(node);
            }

            bool returns = isReachable && (isNew || !peer!.IsReachable);
            AcknowledgementsChanged |= isNew || peer!.IsReachable != isReachable;
            peer!.IsReachable = isReachable;
            if (returns)
            {
                _antiEntropy.Send(peer, Reply.IfDifferent, now);
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
            List<Entry> ended = [];
            replica.Expire(now.Mono, ended, Changes);
            KeepAll(replica, ended);
            Await(replica.NextExpiry, now);
        }

        _antiEntropy.PullMissing(now);
        _pulls.Tick(now);
        IsRestless |= _antiEntropy.IsRestless || _pulls.IsBusy;
        if (_antiEntropy.Compare(now))
        {
            _retirement.Tick(now);
            _owners.EndStrangers(now);
            CollectTombstones(now);
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
                    _antiEntropy.Receive(ref reader, peer, now);
                    IsRestless |= _antiEntropy.IsRestless || _pulls.IsBusy;
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

        _acknowledgements.Pay();
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
            _directory.Follow(entry.Key);
        }

        if (entry.Stamp.IsDerived)
        {
            _owners.Reassert(replica, old, now);
        }
    }

    /// <summary>What another had seen and has no more.</summary>
    internal void Drop(Replica replica, Entry entry, Instant now)
    {
        replica.Drop(entry, Changes);
        Keep(replica, entry.Key);
        if (ReferenceEquals(replica, Directory))
        {
            _directory.Follow(entry.Key);
        }

        _owners.Reassert(replica, entry, now);
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
                _antiEntropy.Send(source, Reply.IfDifferent, now); // of the channels that it has brought
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
                _antiEntropy.NoticeGap(replica, sender, now);
                IsRestless = true;
            }

            if (wantsAcknowledgement)
            {
                _acknowledgements.Owe(replica, sender, last);
            }
        }
    }

    private void CollectTombstones(Instant now)
    {
        foreach (Replica replica in All())
        {
            replica.Collect(
                now.Mono,
                _options.TombstoneAge,
                (origin, sequence) => _peers.Values.All(p => p.HasSeen(replica, origin, sequence) || (p.IsReachable && _retirement.IsLongGone(origin, now))),
                key => Store(replica, key));
        }
    }

    /// <summary>A channel is gone.</summary>
    internal void Forget(Replica replica)
    {
        Removed.Add(replica);
        _pulls.Forget(replica);
        _antiEntropy.Forget(replica);
        _acknowledgements.Forget(replica);
        PendingCount -= _pending.Where(b => ReferenceEquals(b.Replica, replica)).Sum(static b => b.Entries.Count);
        _pending.RemoveAll(b => ReferenceEquals(b.Replica, replica));
        foreach (Peer peer in _peers.Values)
        {
            peer.Forget(replica);
        }
    }

    private void Await(long time, Instant now)
    {
        IsRestless |= time > 0 && time - now.Mono < _options.DigestInterval;
        _endsSoon |= time > 0 && time - now.Mono < _options.CalmInterval;
    }

    internal void KeepAll(Replica replica, List<Entry> ended)
    {
        foreach (Entry entry in ended)
        {
            Keep(replica, entry.Key);
        }
    }

    /// <summary>A key has changed or, without one, more was seen.</summary>
    internal void Keep(Replica replica, string? key)
    {
        _antiEntropy.Stir();
        Store(replica, key);
    }

    internal void Store(Replica replica, string? key)
    {
        if (replica.Spec.IsDurable)
        {
            Kept.Add((replica, key));
        }
    }

    internal IEnumerable<Replica> All() => Channels.Values.Prepend(Directory);
}
