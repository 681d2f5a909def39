namespace GlooX.Tls;

/// <summary>The limits of a listener.</summary>
/// <param name="Connections">The largest number of connections.</param>
/// <param name="ConnectionsPerPeer">The largest number of connections with one certificate.</param>
/// <param name="Handshake">How long a handshake may take.</param>
internal sealed record ListenerLimits(int Connections, int ConnectionsPerPeer, TimeSpan Handshake);

/// <summary>The limits of an <see cref="AdmissionQueue"/>.</summary>
/// <param name="Waiting">The largest number of connections that wait, for their first bytes or to be served.</param>
/// <param name="Active">The largest number of connections that are served at once.</param>
/// <param name="ActivePerSource">The largest number of those of one source.</param>
/// <param name="FairTime">How long each may be served when others wait, unless its source holds more than theirs.</param>
internal sealed record AdmissionLimits(int Waiting, int Active, int ActivePerSource, TimeSpan FairTime);

/// <summary>Counts open connections, in total and by certificate. Thread-safe.</summary>
internal sealed class ConnectionLimiter(int total, int perPeer)
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, int> _peers = new(StringComparer.Ordinal);
    private int _inside;

    /// <summary>Admits a connection. Null: it is admitted, and must <see cref="Leave"/>; otherwise the reason for the refusal.</summary>
    public string? Enter(string peer)
    {
        lock (_gate)
        {
            if (_inside >= total)
            {
                return $"{total} connections are open, the limit of this process (MaxConnections)";
            }

            int own = _peers.GetValueOrDefault(peer);
            if (own >= perPeer)
            {
                return $"{own} connections are open with this certificate, the limit of this process (MaxConnectionsPerPeer)";
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
                _peers.Remove(peer); // else the table would grow with every certificate ever seen
            }
        }
    }
}
