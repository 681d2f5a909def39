namespace GlooX.Channels.Replication;

/// <summary>
/// Finds what messages have missed (Demers et al., "Epidemic Algorithms for Replicated Database Maintenance", PODC 1987). Nodes send each
/// other digests: what was seen of each channel, and a hash of what lives there. Whoever lacks something waits a little, since it is
/// usually under way, and then pulls it.
/// </summary>
internal sealed class AntiEntropy(Replicator owner, PullSessions pulls, Retirement retirement, ReplicatorOptions options, Random random)
{
    // By how much a timer that should look with each second, in ms, may be early.
    private const long Slack = 50;
    private readonly Dictionary<(Replica Replica, ulong Origin), long> _gaps = [];
    private long _next;
    private ulong _state;
    private int _calm;
    private uint _turn = (uint)random.Next(); // not all begin with the same

    /// <summary>Whether something is suspected to be missing.</summary>
    public bool IsRestless => _gaps.Count > 0 || owner.Peers.Any(static p => p.Suspects.Count > 0);

    /// <summary>Whether nothing has changed for so long that digests are rare.</summary>
    public bool IsCalm => _calm > ReplicatorOptions.StirDigests;

    private bool HasTombstones => owner.All().Any(static r => r.Tombstones > 0);

    /// <summary>Something has changed: digests are sent each second for a while.</summary>
    public void Stir() => (_calm, _next) = (0, owner.IsCalm ? 0 : _next);

    /// <summary>Writes of an origin are missing before one that came.</summary>
    public void NoticeGap(Replica replica, ulong origin, Instant now) => _gaps.TryAdd((replica, origin), now.Mono);

    public void Forget(Replica replica)
    {
        foreach ((Replica, ulong) gap in _gaps.Keys.Where(g => ReferenceEquals(g.Replica, replica)).ToArray())
        {
            _gaps.Remove(gap);
        }
    }

    /// <summary>Pulls what has been missing for long enough.</summary>
    public void PullMissing(Instant now)
    {
        foreach (((Replica replica, ulong origin) gap, long since) in _gaps.ToArray())
        {
            Peer? peer = owner.Peers.FirstOrDefault(p => p.Node == gap.origin);
            if (!gap.replica.Seen.HasGap(gap.origin) || peer is null)
            {
                _gaps.Remove(gap);
            }
            else if (now.Mono - since >= options.Patience)
            {
                pulls.Start(peer, gap.replica, now);
            }
        }

        foreach (Peer peer in owner.Peers)
        {
            foreach ((Replica replica, (Context has, long since)) in peer.Suspects.ToArray())
            {
                if (replica.Seen.Covers(has))
                {
                    peer.Suspects.Remove(replica);
                }
                else if (now.Mono - since >= options.Patience)
                {
                    peer.Suspects.Remove(replica);
                    pulls.Start(peer, replica, now);
                }
            }
        }
    }

    /// <summary>Sends a digest when one is due.</summary>
    /// <returns>Whether one was due.</returns>
    public bool Compare(Instant now)
    {
        if (now.Mono < _next - Slack)
        {
            return false;
        }

        Peer[] reachable = [.. owner.Peers.Where(static p => p.IsReachable)];
        LookForChanges(reachable.Length);
        if (reachable.Length > 0 && !owner.IsSynced)
        {
            Array.ForEach(reachable, p => Send(p, Reply.IfDifferent, now));
        }
        else if (reachable.Length > 0)
        {
            // What was deleted is forgotten when all are known to have seen that, and others may be calm: they are asked.
            Send(reachable[_turn++ % (uint)reachable.Length], HasTombstones ? Reply.InAnyCase : Reply.IfDifferent, now);
        }

        _next = now.Mono + (owner.IsCalm ? options.CalmInterval : options.DigestInterval);
        return true;
    }

    public void Send(Peer peer, Reply wanted, Instant now)
    {
        WireWriter? writer = null;
        foreach (Replica replica in owner.All())
        {
            if (writer is null)
            {
                writer = Messages.Begin(MessageKind.Digest, owner.Self);
                writer.Byte((byte)wanted);
                retirement.Write(writer, now);
            }

            Messages.WriteChannel(writer, replica);
            writer.Word(replica.Digest);
            writer.Word(replica.Floor);
            Messages.WriteContext(writer, replica.Seen);
            if (writer.Length >= Messages.FullAt)
            {
                owner.Outbox.Add((peer.Node, writer.ToArray()));
                writer = null;
            }
        }

        if (writer is not null)
        {
            owner.Outbox.Add((peer.Node, writer.ToArray()));
        }
    }

    public void Receive(ref WireReader reader, Peer peer, Instant now)
    {
        var wants = (Reply)reader.Byte();
        retirement.Read(ref reader, now);
        bool differs = false;
        while (!reader.IsAtEnd)
        {
            Replica? replica = owner.ReadChannel(ref reader);
            ulong digest = reader.Word();
            ulong floor = reader.Word();
            Context has = Messages.ReadContext(ref reader);
            if (replica is null)
            {
                continue;
            }

            retirement.Disregard(replica, has, now);
            replica.RaiseFloor(floor);
            peer.Knows(replica).Union(has);
            owner.AcknowledgementsChanged = true;
            differs |= digest == replica.Digest ? Agree(replica, peer, has) : Disagree(replica, peer, has, now);
        }

        if (wants == Reply.InAnyCase || (wants == Reply.IfDifferent && (differs || !owner.IsSynced)))
        {
            Send(peer, Reply.No, now);
        }
    }

    /// <summary>The same lives in both: what the other has seen is reflected here too.</summary>
    private bool Agree(Replica replica, Peer peer, Context has)
    {
        if (!replica.Seen.Covers(has))
        {
            replica.Seen.Union(has);
            owner.Keep(replica, null);
        }

        replica.IsSynced = true;
        peer.Suspects.Remove(replica);
        return !has.Covers(replica.Seen);
    }

    private bool Disagree(Replica replica, Peer peer, Context has, Instant now)
    {
        bool covers = replica.Seen.Covers(has);
        if (!replica.IsSynced || (covers && has.Covers(replica.Seen)))
        {
            pulls.Start(peer, replica, now);
        }
        else if (!covers)
        {
            peer.Suspects.TryAdd(replica, (has, now.Mono));
        }

        return true;
    }

    private void LookForChanges(int reachable)
    {
        ulong state = owner.All().Aggregate((ulong)reachable, static (sum, r) => (sum * 31) + r.Digest + r.LastSequence);
        _calm = state == _state && !HasTombstones ? _calm + 1 : 0;
        _state = state;
    }
}
