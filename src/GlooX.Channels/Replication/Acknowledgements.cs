namespace GlooX.Channels.Replication;

/// <summary>How many members have applied a write: asked of others with the write, and paid to them.</summary>
internal sealed class Acknowledgements(Replicator owner)
{
    private readonly Dictionary<(Replica Replica, ulong Origin), ulong> _owed = [];

    public bool IsAcknowledged(Replica replica, ulong sequence, AckLevel level)
    {
        int have = 1;
        bool all = true;
        foreach (Peer peer in owner.Peers)
        {
            bool has = peer.HasSeen(replica, owner.Self, sequence);
            have += has ? 1 : 0;
            all &= has || !peer.IsReachable;
        }

        return level switch
        {
            AckLevel.Local => true,
            AckLevel.One => have > 1,
            AckLevel.Majority => have > (owner.Peers.Count + 1) / 2,
            _ => all,
        };
    }

    /// <summary>An origin wants to be told when its writes up to a number are here.</summary>
    public void Owe(Replica replica, ulong origin, ulong last) =>
        _owed[(replica, origin)] = Math.Max(last, _owed.GetValueOrDefault((replica, origin)));

    /// <summary>Tells those whose writes are here by now.</summary>
    public void Pay()
    {
        foreach (((Replica replica, ulong origin) owed, ulong last) in _owed.Count == 0 ? [] : _owed.ToArray())
        {
            ulong upTo = owed.replica.Seen.UpTo(owed.origin);
            if (upTo >= last)
            {
                _owed.Remove(owed);
                WireWriter writer = Messages.Begin(MessageKind.Acknowledge, owner.Self, 64);
                Messages.WriteChannel(writer, owed.replica);
                writer.Varint(upTo);
                owner.Outbox.Add((owed.origin, writer.ToArray()));
            }
        }
    }

    public void Forget(Replica replica) => Forget(o => ReferenceEquals(o.Replica, replica));

    public void Forget(ulong origin) => Forget(o => o.Origin == origin);

    private void Forget(Func<(Replica Replica, ulong Origin), bool> which)
    {
        foreach ((Replica, ulong) owed in _owed.Keys.Where(which).ToArray())
        {
            _owed.Remove(owed);
        }
    }
}
