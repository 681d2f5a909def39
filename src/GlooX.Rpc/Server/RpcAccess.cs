using System.Security.Cryptography;
using System.Text;
using GlooX.Tls;
using GlooX.Tls.Join;

namespace GlooX
{
    /// <summary>Who may call a service. Checked when a caller first names a method, before any argument is read. Immutable.</summary>
    public sealed record RpcAccess
    {
        /// <summary>The roles that may call; a caller needs one of them. Default: agent, client and child.</summary>
        public RpcRole Roles { get; init; } = RpcRole.Agent | RpcRole.Client | RpcRole.Child;

        /// <summary>Roles for single methods, by name on the wire, in place of <see cref="Roles"/>. Default empty.</summary>
        public IReadOnlyDictionary<string, RpcRole> Methods { get; init; } = new Dictionary<string, RpcRole>(StringComparer.Ordinal);

        /// <summary>
        /// A secret that callers must send in addition to their certificate, in <see cref="RpcClientOptions.Tokens"/>. Null (default): none. Its hash is
        /// compared in constant time.
        /// </summary>
        public string? Token { get; init; }

        /// <summary>
        /// In place of <see cref="Token"/>, for a process that checks a token without knowing it: <see cref="HashOf"/> of the token. Null
        /// (default): none.
        /// </summary>
        public string? TokenHash { get; init; }

        /// <summary>The SHA-256 of a token, as hexadecimal digits. A token that others could guess can be found from it: use a long random one.</summary>
        /// <param name="token">The token.</param>
        /// <returns>For <see cref="TokenHash"/>.</returns>
        public static string HashOf(string token) => Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(token)));

        internal string? NeededHash => TokenHash ?? (Token is null ? null : HashOf(Token));

        internal RpcRole RolesOf(string method) => Methods.TryGetValue(method, out RpcRole roles) ? roles : Roles;
    }
}

namespace GlooX.Server
{
    /// <summary>The caller of a connection: the identity in its certificate, and the tokens it sent for services.</summary>
    internal sealed record Caller(Peer Peer, IReadOnlyDictionary<string, string> Tokens)
    {
        /// <summary>Whether it is told which services and methods there are: an observer only looks at what it knows.</summary>
        public bool MaySeeNames => (Peer.Roles & ~RpcRole.Observer) != RpcRole.None;

        /// <summary>Why the caller may not call the service for want of its token; null: it may.</summary>
        /// <param name="service">The service.</param>
        /// <param name="access">Who may call it.</param>
        /// <param name="attempts">Bounds the wrong tokens that come with one certificate.</param>
        public string? TokenRefusal(string service, RpcAccess access, AttemptLimiter attempts)
        {
            if (access.NeededHash is not { } needed)
            {
                return null;
            }

            if (!Tokens.TryGetValue(service, out string? token))
            {
                return $"{Name(service)} needs a token, and none was given (RpcClientOptions.Tokens)";
            }

            string who = $"{service} {(Peer.Serials is [var leaf, ..] ? leaf : "")}";
            if (!attempts.MayTry(who, isKnown: true))
            {
                return $"{Name(service)} needs a token, and too many wrong ones came with this certificate; wait {AttemptLimiter.Refill.TotalSeconds:0} seconds";
            }

            // Hashed first, so that not even the length can be learned from the time it takes.
            if (CryptographicOperations.FixedTimeEquals(Encoding.ASCII.GetBytes(RpcAccess.HashOf(token)), Encoding.ASCII.GetBytes(needed)))
            {
                return null;
            }

            attempts.Failed(who, isKnown: true);
            return $"{Name(service)} needs a token, and the one given is wrong";
        }

        /// <summary>Why the caller's roles do not allow the method; null: they do.</summary>
        public string? RoleRefusal(string service, string method, RpcAccess access)
        {
            RpcRole allowed = access.RolesOf(method);
            return (Peer.Roles & allowed) != RpcRole.None
                ? null
                : $"{(service.Length == 0 ? method : $"{service}/{method}")} may be called by the roles {CertificateNames.Describe(allowed)}; the certificate '{Peer.Subject}' has {CertificateNames.Describe(Peer.Roles)}";
        }

        private static string Name(string service) => service.Length == 0 ? "the service without a name" : $"the service '{service}'";
    }
}
