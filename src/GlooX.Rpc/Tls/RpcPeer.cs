using System.Net;
using GlooX.Tls;

namespace GlooX;

/// <summary>The verified other side of a connection. Immutable.</summary>
public sealed class RpcPeer
{
    internal RpcPeer(string address, IPAddress? localAddress, Peer peer) => (Address, LocalAddress, Subject, Roles, Node) = (address, localAddress, peer.Subject, peer.Roles, peer.Node);

    /// <summary>Its address, as <c>host:port</c> or <c>unix:/path</c>.</summary>
    public string Address { get; }

    /// <summary>The address of this machine that the connection uses; null for a UNIX-domain socket.</summary>
    public IPAddress? LocalAddress { get; }

    /// <summary>The subject of its certificate, for messages; <c>anonymous</c> for a caller without a trusted certificate.</summary>
    public string Subject { get; }

    /// <summary>The node in its certificate; null: it states none.</summary>
    public string? Node { get; }

    /// <summary>The roles of its certificate; <see cref="RpcRole.None"/> for a caller without a trusted certificate.</summary>
    public RpcRole Roles { get; }
}
