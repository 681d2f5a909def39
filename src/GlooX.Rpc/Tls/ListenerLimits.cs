namespace GlooX.Tls;

/// <summary>What a listener allows.</summary>
/// <param name="Connections">Most connections at once.</param>
/// <param name="ConnectionsPerPeer">Most connections at once for one certificate.</param>
/// <param name="Handshake">How long a handshake may take.</param>
internal sealed record ListenerLimits(int Connections, int ConnectionsPerPeer, TimeSpan Handshake);

/// <summary>Counts the connections that were let in, in all and by certificate. Thread-safe.</summary>
internal sealed class ConnectionLimiter(int total, int perPeer)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, int> _peers = new(StringComparer.Ordinal);
    private int _inside;

    /// <summary>Lets a connection in. Null: it is in, and must <see cref="Leave"/>. Else why not.</summary>
    public string? Enter(string peer)
    {
        lock (_gate)
        {
            if (_inside >= total)
            {
                return $"{total} connections are open, more this process does not take (MaxConnections)";
            }

            int own = _peers.GetValueOrDefault(peer);
            if (own >= perPeer)
            {
                return $"{own} connections are open with this certificate, more this process does not take (MaxConnectionsPerPeer)";
            }

            _inside++;
            _peers[peer] = own + 1;
            return null;
        }
    }

    public void Leave(string peer)
    {
        lock (_gate)
        {
            _inside--;
            int rest = _peers[peer] - 1;
            if (rest > 0)
            {
                _peers[peer] = rest;
            }
            else
            {
                _peers.Remove(peer); // or every certificate ever seen would be kept
            }
        }
    }
}
