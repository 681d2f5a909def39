using System.Security.Cryptography;
using System.Text;
using GlooX.Tls;

namespace GlooX
{
    /// <summary>Who may call a service. Decided when a caller first names a method, before an argument of it is read. Immutable.</summary>
    public sealed record RpcAccess
    {
        /// <summary>The roles that may call; one of them is enough. Default: agent, client and child.</summary>
        public RpcRole Roles { get; init; } = RpcRole.Agent | RpcRole.Client | RpcRole.Child;

        /// <summary>What differs for single methods, by their names on the wire.</summary>
        public IReadOnlyDictionary<string, RpcRole> Methods { get; init; } = new Dictionary<string, RpcRole>(StringComparer.Ordinal);

        /// <summary>
        /// A secret that callers must give beside their certificate, in <see cref="RpcClientOptions.Tokens"/>. Null (default): none. Compared
        /// in constant time.
        /// </summary>
        public string? Token { get; init; }

        internal RpcRole RolesOf(string method) => Methods.TryGetValue(method, out RpcRole roles) ? roles : Roles;
    }
}

namespace GlooX.Server
{
    /// <summary>Who calls on a connection: whom the certificate names, and the tokens given for services.</summary>
    internal sealed record Caller(Peer Peer, IReadOnlyDictionary<string, string> Tokens)
    {
        /// <summary>Null: the caller gave the service's token, or it needs none.</summary>
        public string? TokenRefusal(string service, RpcAccess access)
        {
            if (access.Token is not { } needed)
            {
                return null;
            }

            // Hashed first, so that not even the length can be learned from the time it takes.
            bool given = Tokens.TryGetValue(service, out string? token);
            bool right = CryptographicOperations.FixedTimeEquals(Hash(token ?? ""), Hash(needed));
            return given && right ? null : $"{Name(service)} needs a token, and {(given ? "the one given is wrong" : "none was given (RpcClientOptions.Tokens)")}";
        }

        /// <summary>Null: the caller has a role that may call the method.</summary>
        public string? RoleRefusal(string service, string method, RpcAccess access)
        {
            RpcRole allowed = access.RolesOf(method);
            return (Peer.Roles & allowed) != RpcRole.None
                ? null
                : $"{(service.Length == 0 ? method : $"{service}/{method}")} may be called by the roles {CertificateNames.Describe(allowed)}; the certificate '{Peer.Subject}' has {CertificateNames.Describe(Peer.Roles)}";
        }

        private static byte[] Hash(string token) => SHA256.HashData(Encoding.UTF8.GetBytes(token));

        private static string Name(string service) => service.Length == 0 ? "the service without a name" : $"the service '{service}'";
    }
}
