namespace GlooX.Channels.Replication;

/// <summary>Ends the ephemeral entries of nodes that are gone. Each node does so by itself, and to the same effect.</summary>
internal sealed class EphemeralOwners(Replicator owner, ReplicatorOptions options)
{
    private readonly Dictionary<ulong, long> _absent = [];

    public void Present(ulong node) => _absent.Remove(node);

    /// <summary>A member has left, or died, or was silent for too long.</summary>
    public void Gone(ulong node, Instant now)
    {
        _absent[node] = now.Mono;
        End(node, now);
    }

    /// <summary>Ends those whose owners have not been members for a while, and may never have been.</summary>
    public void EndStrangers(Instant now)
    {
        HashSet<ulong> nodes = [.. owner.All().SelectMany(static r => r.Owners)];
        foreach (ulong forgotten in _absent.Keys.Where(a => !nodes.Contains(a)).ToArray())
        {
            _absent.Remove(forgotten);
        }

        foreach (ulong node in nodes.Where(n => !owner.IsMember(n)))
        {
            if (!_absent.TryGetValue(node, out long since))
            {
                _absent[node] = now.Mono;
            }
            else if (now.Mono - since >= options.StrangerAge)
            {
                End(node, now);
            }
        }
    }

    /// <summary>This node says again what others believed to be over.</summary>
    public void Reassert(Replica replica, Entry? old, Instant now)
    {
        if (old is { IsLive: true, IsEphemeral: true } && old.Stamp.Node == owner.Self && replica.Find(old.Key) is not { IsLive: true })
        {
            long left = old.ExpiresAt > 0 ? Math.Max(1, old.ExpiresAt - now.Mono) : 0;
            owner.Write(replica, old.Key, old.Value, old.Flags, left, wantsAcknowledgement: false, now);
        }
    }

    private void End(ulong node, Instant now)
    {
        foreach (Replica replica in owner.All())
        {
            List<Entry> ended = [];
            replica.EndOwner(node, now.Mono, ended, owner.Changes);
            owner.KeepAll(replica, ended);
        }
    }
}
