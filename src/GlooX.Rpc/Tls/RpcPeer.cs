using System.Net;
using GlooX.Tls;

namespace GlooX;

/// <summary>The verified other side of a connection. Immutable.</summary>
public sealed class RpcPeer
{
    private readonly Peer _peer;

    internal RpcPeer(string address, IPAddress? localAddress, Peer peer) => (Address, LocalAddress, Subject, Roles, _peer) = (address, localAddress, peer.Subject, peer.Roles, peer);

    /// <summary>Its address, as <c>host:port</c> or <c>unix:/path</c>.</summary>
    public string Address { get; }

    /// <summary>The address of this machine that the connection uses; null for a UNIX-domain socket.</summary>
    public IPAddress? LocalAddress { get; }

    /// <summary>The subject of its certificate, for messages; <c>anonymous</c> for a caller without a trusted certificate.</summary>
    public string Subject { get; }

    /// <summary>The roles of its certificate; <see cref="RpcRole.None"/> for a caller without a trusted certificate.</summary>
    public RpcRole Roles { get; }

    /// <summary>The node that its certificate names (<c>gloox://node/ID</c>); null: it names none.</summary>
    public string? Node => _peer.Node;

    /// <summary>
    /// Whether its certificate is made for a host or an address. A certificate that names no node, as those of your own authority may, is taken to be
    /// made for any, since one for calling need not name hosts.
    /// </summary>
    /// <param name="host">The host name or address.</param>
    /// <returns>Whether it is.</returns>
    public bool IsMadeFor(string host) => _peer.Node is null || _peer.Hosts.Contains(CertificateNames.Normal(host), StringComparer.Ordinal);
}
