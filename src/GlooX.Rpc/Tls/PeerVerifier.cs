using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GlooX.Tls;

/// <summary>Whom a connection leads to, once that is proven.</summary>
/// <param name="Subject">The certificate's subject, for messages.</param>
/// <param name="Roles">What the other side may do.</param>
/// <param name="Serials">The serial numbers of its certificate and of those between it and the authority.</param>
internal sealed record Peer(string Subject, RpcRole Roles, IReadOnlyList<string> Serials)
{
    /// <summary>One who has proven nothing.</summary>
    public static readonly Peer Anonymous = new("anonymous", RpcRole.None, []);
}

/// <summary>
/// Decides whether the other side of a TLS connection is who it should be: signed by the one authority, valid now, made for this use, not
/// revoked, and carrying the name that was dialled. Pure.
/// </summary>
/// <remarks>
/// A certificate that was signed by an intermediate one with roles of its own (the maker of a node's children's certificates) has at most
/// that one's roles and names: a node can vouch for its children, and for nobody else.
/// </remarks>
internal static class PeerVerifier
{
    /// <summary>Null: the other side is trusted, and <paramref name="peer"/> says who it is. Else why not.</summary>
    /// <param name="certificate">What the other side showed.</param>
    /// <param name="chain">Built by TLS with <see cref="CertificateAuthority.Policy"/>.</param>
    /// <param name="errors">What TLS found; its opinion of the name is not asked.</param>
    /// <param name="authority">The one authority.</param>
    /// <param name="revoked">Refused although valid.</param>
    /// <param name="name">The host, address or node that was dialled; null: the other side is the caller.</param>
    /// <param name="peer">Who it is.</param>
    public static string? Verify(X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors, X509Certificate2 authority, RevokedSerials revoked, string? name, out Peer? peer)
    {
        peer = null;
        if (certificate is not X509Certificate2 shown || chain is null)
        {
            return name is null
                ? $"no client certificate was shown; this side accepts those of {CertificateAuthority.Describe(authority)}"
                : "it showed no certificate";
        }

        if (errors.HasFlag(SslPolicyErrors.RemoteCertificateChainErrors))
        {
            return CertificateAuthority.Refusal(shown, authority, chain);
        }

        // The last one is the authority, unless a self-signed certificate is its own.
        X509Certificate2[] line = [.. chain.ChainElements.Select(e => e.Certificate).Take(Math.Max(1, chain.ChainElements.Count - 1))];
        try
        {
            RpcRole roles = RpcRole.Any;
            foreach (X509Certificate2 one in line)
            {
                RpcRole? own = CertificateNames.Roles(one);
                roles &= own ?? RpcRole.Any;
                if (name is not null && (one == line[0] || own is not null) && !CertificateNames.Carries(one, name))
                {
                    return $"the certificate '{one.Subject}' is made for {string.Join(", ", CertificateNames.Hosts(one))}, not for {name}. If the process is the right one, "
                        + "give its certificate that name (gloox agent --name), or say which name to expect (RpcClientOptions.ServerName)";
                }
            }

            peer = new Peer(shown.Subject, roles, [.. line.Select(c => RevokedSerials.Normal(c.SerialNumber))]);
        }
        catch (CryptographicException e)
        {
            return $"the certificate '{shown.Subject}' is not accepted: {e.Message}";
        }

        return revoked.Refusal(peer);
    }
}
