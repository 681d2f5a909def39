using System.Net.Security;

namespace GlooX.Tls;

/// <summary>Who serves the connections of a protocol.</summary>
/// <param name="Protocol">It.</param>
/// <param name="Handler">Owns the connection, and completes when it is done.</param>
/// <param name="Role">Which role a caller must have; null: it is open to all, who are <see cref="Peer.Anonymous"/> without a certificate that is trusted.</param>
internal sealed record TlsRoute(SslApplicationProtocol Protocol, Func<TlsConnection, Task> Handler, RpcRole? Role);
