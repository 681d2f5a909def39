namespace GlooX.Channels.Replication;

/// <summary>
/// Brings a replica what another has seen and it has not, and takes from it what the other saw deleted. Who pulls tells what it has seen
/// and a hash for each bucket of keys. Of the buckets that differ it is sent, in chunks and a few at a time, every entry that it
/// has not seen, and a hash of each that it has. Once all chunks are there, it has seen what the other had when it began; what the
/// other had seen by then and did not name, was deleted. A lost chunk means that it begins anew, and of a request that came twice only
/// one answer is taken, since chunks of two tell of no one moment; nothing wrong is ever concluded.
/// </summary>
internal sealed class PullSessions(Replicator owner, ReplicatorOptions options)
{
    private const int Window = 4;
    private readonly Dictionary<Replica, Pulling> _pullings = [];
    private readonly HashSet<Peer> _serving = [];
    private ulong _sessions;
    private ulong _servings;

    /// <summary>Whether anything is being pulled or served.</summary>
    public bool IsBusy => _pullings.Count > 0 || _serving.Count > 0;

    /// <summary>Pulls, unless the replica is being pulled already.</summary>
    public void Start(Peer source, Replica replica, Instant now)
    {
        if (_pullings.ContainsKey(replica))
        {
            return;
        }

        var pulling = new Pulling(source.Node, ++_sessions, now.Mono);
        _pullings[replica] = pulling;
        WireWriter writer = Messages.Begin(MessageKind.Pull, owner.Self, 128 + (Replica.BucketCount * sizeof(ulong)));
        Messages.WriteChannel(writer, replica);
        writer.Varint(pulling.Session);
        foreach (ulong bucket in replica.Buckets)
        {
            writer.Word(bucket);
        }

        Messages.WriteContext(writer, replica.Seen);
        owner.Outbox.Add((source.Node, writer.ToArray()));
    }

    public void Receive(MessageKind kind, ref WireReader reader, Peer peer, Instant now)
    {
        if (owner.ReadChannel(ref reader) is not { } replica)
        {
            return;
        }

        ulong session = reader.Varint();
        switch (kind)
        {
            case MessageKind.Pull:
                OnPull(ref reader, peer, replica, session, now);
                break;
            case MessageKind.Chunk:
                OnChunk(ref reader, peer, replica, session, now);
                break;
            default:
                if (peer.Servings.TryGetValue(replica, out Serving? serving) && serving.Session == session && serving.UnderWay > 0)
                {
                    serving.UnderWay--;
                    Serve(peer, replica, serving, now);
                }

                break;
        }
    }

    /// <summary>Gives up what makes no progress.</summary>
    public void Tick(Instant now)
    {
        foreach ((Replica replica, Pulling pulling) in _pullings.ToArray())
        {
            if (now.Mono - pulling.Progress >= options.PullTimeout)
            {
                _pullings.Remove(replica);
            }
        }

        foreach (Peer peer in _serving.ToArray())
        {
            foreach ((Replica replica, Serving serving) in peer.Servings.ToArray())
            {
                if (serving.IsDone || now.Mono - serving.Progress >= 2 * options.PullTimeout)
                {
                    peer.Servings.Remove(replica);
                }
            }

            if (peer.Servings.Count == 0)
            {
                _serving.Remove(peer);
            }
        }
    }

    public void Forget(ulong node)
    {
        foreach ((Replica replica, _) in _pullings.Where(p => p.Value.Source == node).ToArray())
        {
            _pullings.Remove(replica);
        }

        _serving.RemoveWhere(p => p.Node == node);
    }

    public void Forget(Replica replica) => _pullings.Remove(replica);

    private void OnPull(ref WireReader reader, Peer peer, Replica replica, ulong session, Instant now)
    {
        var wanted = new ulong[BucketBits.Words];
        bool differs = false;
        for (int i = 0; i < Replica.BucketCount; i++)
        {
            if (reader.Word() != replica.Buckets[i])
            {
                BucketBits.Add(wanted, i);
                differs = true;
            }
        }

        Context has = Messages.ReadContext(ref reader);
        List<string> keys = [];
        foreach (Entry entry in replica.Entries)
        {
            // A tombstone that the other has not seen may lie in a bucket in which both agree.
            if ((differs && BucketBits.Has(wanted, Replica.BucketOf(Hash.OfKey(entry.Key)))) || (!entry.IsLive && !has.Contains(entry.Stamp.Node, entry.Sequence)))
            {
                keys.Add(entry.Key);
            }
        }

        peer.Knows(replica).Union(has);
        var serving = new Serving(session, ++_servings, has, replica.Seen.Copy(), wanted, keys, now.Mono);
        peer.Servings[replica] = serving;
        _serving.Add(peer);
        Serve(peer, replica, serving, now);
    }

    private void Serve(Peer peer, Replica replica, Serving serving, Instant now)
    {
        serving.Progress = now.Mono;
        while (!serving.IsDone && serving.UnderWay < Window)
        {
            // In a chunk's middle: an entry, or a hash for one that the other has.
            WireWriter writer = Messages.Begin(MessageKind.Chunk, owner.Self, 4096);
            Messages.WriteChannel(writer, replica);
            writer.Varint(serving.Session);
            writer.Varint(serving.Number);
            writer.Varint(serving.NextChunk);
            int head = writer.Length;
            writer.Byte(0);
            foreach (ulong word in serving.Wanted)
            {
                writer.Word(word);
            }

            Messages.WriteContext(writer, serving.Start);
            writer.Word(replica.Floor);

            while (serving.Position < serving.Keys.Count && writer.Length < Messages.FullAt)
            {
                if (replica.Find(serving.Keys[serving.Position++]) is not { } entry)
                {
                    continue;
                }

                if (!serving.Has.Contains(entry.Stamp.Node, entry.Sequence))
                {
                    writer.Byte(1);
                    Messages.WriteEntry(writer, entry, now.Mono);
                }
                else if (entry.IsLive)
                {
                    writer.Byte(2);
                    writer.Word(Hash.OfEntry(Hash.OfKey(entry.Key), entry.Stamp));
                }
            }

            serving.IsDone = serving.Position == serving.Keys.Count;
            byte[] message = writer.ToArray();
            message[head] = serving.IsDone ? (byte)1 : (byte)0;
            owner.Outbox.Add((peer.Node, message));
            serving.NextChunk++;
            serving.UnderWay++;
        }
    }

    private void OnChunk(ref WireReader reader, Peer peer, Replica replica, ulong session, Instant now)
    {
        if (!_pullings.TryGetValue(replica, out Pulling? pulling) || pulling.Session != session || pulling.Source != peer.Node)
        {
            return;
        }

        ulong serving = reader.Varint();
        pulling.Serving ??= serving;
        if (pulling.Serving != serving)
        {
            return;
        }

        ulong chunk = reader.Varint();
        bool isLast = reader.Byte() != 0;
        var wanted = new ulong[BucketBits.Words];
        for (int i = 0; i < wanted.Length; i++)
        {
            wanted[i] = reader.Word();
        }

        Context start = Messages.ReadContext(ref reader);
        replica.RaiseFloor(reader.Word());

        while (!reader.IsAtEnd)
        {
            if (reader.Byte() == 1)
            {
                Entry entry = Messages.ReadEntry(ref reader, now.Mono);
                pulling.Listed.Add(Hash.OfEntry(Hash.OfKey(entry.Key), entry.Stamp));
                owner.Take(replica, entry, now, start);
            }
            else
            {
                pulling.Listed.Add(reader.Word());
            }
        }

        pulling.Progress = now.Mono;
        if (pulling.Take(chunk, isLast) && !pulling.IsComplete)
        {
            WireWriter writer = Messages.Begin(MessageKind.ChunkTaken, owner.Self, 64);
            Messages.WriteChannel(writer, replica);
            writer.Varint(session);
            owner.Outbox.Add((peer.Node, writer.ToArray()));
        }

        if (pulling.IsComplete)
        {
            _pullings.Remove(replica);
            Complete(peer, replica, pulling, start, wanted, now);
        }
    }

    private void Complete(Peer source, Replica replica, Pulling pulling, Context start, ulong[] wanted, Instant now)
    {
        replica.Seen.Union(start);
        source.Knows(replica).Union(start);
        if (wanted.AsSpan().ContainsAnyExcept(0UL))
        {
            Entry[] gone = [.. replica.Entries.Where(e =>
                e.IsLive && start.Contains(e.Stamp.Node, e.Sequence) && Hash.OfKey(e.Key) is var hash && BucketBits.Has(wanted, Replica.BucketOf(hash)) && !pulling.Listed.Contains(Hash.OfEntry(hash, e.Stamp)))];
            foreach (Entry entry in gone)
            {
                owner.Drop(replica, entry, now);
            }
        }

        owner.Pulled(replica, source, now);
    }
}
