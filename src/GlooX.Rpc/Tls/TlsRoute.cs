using System.Net.Security;

namespace GlooX.Tls;

/// <summary>The handler of one protocol's connections.</summary>
/// <param name="Protocol">The protocol's name in ALPN.</param>
/// <param name="Handler">Owns the connection, and completes when the connection has ended.</param>
/// <param name="Role">
/// The role that a caller must have. Null: open to all; a caller without a trusted certificate is <see cref="Peer.Anonymous"/>.
/// </param>
internal sealed record TlsRoute(SslApplicationProtocol Protocol, Func<TlsConnection, Task> Handler, RpcRole? Role);
