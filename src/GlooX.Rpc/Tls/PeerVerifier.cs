using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GlooX.Protocol;

namespace GlooX.Tls;

/// <summary>The other side of a connection, as its certificate proves it.</summary>
/// <param name="Subject">The certificate's subject, for messages.</param>
/// <param name="Roles">The roles of the other side.</param>
/// <param name="Serials">The serial numbers of its certificate and of the intermediate ones.</param>
/// <param name="Node">The node that it speaks for; null: its certificates state none, or not the same.</param>
/// <param name="Targets">What a revocation must name to refuse it.</param>
internal sealed record Peer(string Subject, RpcRole Roles, IReadOnlyList<string> Serials, string? Node, IReadOnlyList<string> Targets)
{
    /// <summary>The host names and addresses in its certificate.</summary>
    public IReadOnlyList<string> Hosts { get; init; } = [];

    /// <summary>A caller without a trusted certificate.</summary>
    public static readonly Peer Anonymous = new("anonymous", RpcRole.None, [], null, []);
}

/// <summary>
/// Decides whether to trust the other side of a TLS connection: its certificate must be signed by the one authority, valid now, made for this
/// use, not revoked, and carry the dialled name. Pure.
/// </summary>
/// <remarks>
/// A certificate signed by an intermediate one that states roles (the issuer of a node's children) has at most the roles and names of the
/// intermediate one: a node can vouch for its own children only.
/// </remarks>
internal static class PeerVerifier
{
    /// <summary>Verifies the other side. Null: it is trusted, and <paramref name="peer"/> describes it; otherwise the reason.</summary>
    /// <param name="certificate">The certificate that the other side showed.</param>
    /// <param name="chain">Built by TLS with <see cref="CertificateAuthority.Policy"/>.</param>
    /// <param name="errors">The findings of TLS; its check of the name is ignored.</param>
    /// <param name="authority">The one trusted authority.</param>
    /// <param name="revoked">Refused although valid.</param>
    /// <param name="name">The dialled host, address or node; null: the other side is the caller.</param>
    /// <param name="peer">The other side.</param>
    public static string? Verify(X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors, X509Certificate2 authority, RevocationList revoked, string? name, out Peer? peer)
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
                if (name is not null && (one == line[0] || own is not null) && !CertificateNames.Carries(one, one == line[0] ? name : CertificateNames.OfIssuer(name)))
                {
                    return name.StartsWith(CertificateNames.ProcessPrefix, StringComparison.Ordinal)
                        ? $"another process answers there: '{ForeignText.Of(one.Subject)}' of node {ForeignText.Of(CertificateNames.Node(one) ?? "")}, not the spawned process {name}. An address such as 127.0.0.1 means another machine for each caller: "
                            + "leave the spawn's URL out, and the process listens where its node is reached"
                        : $"the certificate '{ForeignText.Of(one.Subject)}' is made for {ForeignText.Of(string.Join(", ", CertificateNames.Hosts(one)))}, not for {name}. If the process is the right one, "
                        + "give its certificate that name (gloox agent --name), or say which name to expect (RpcClientOptions.ServerName)";
                }
            }

            string? node = CertificateNames.Node(line[0]);
            bool isNode = line.All(c => (c != line[0] && CertificateNames.Roles(c) is null) || CertificateNames.Node(c) == node);
            string[] targets = [.. line.SelectMany(CertificateNames.Nodes).Select(Revocation.OfNode), .. Issued(line).Select(Serial)];
            peer = new Peer(ForeignText.Of(shown.Subject), roles, [.. line.Select(Serial)], isNode ? node : null, targets) { Hosts = CertificateNames.Hosts(shown) };
        }
        catch (CryptographicException e)
        {
            return $"the certificate '{ForeignText.Of(shown.Subject)}' is not accepted: {e.Message}";
        }

        return revoked.Refusal(peer);
    }

    private static string Serial(X509Certificate2 certificate) => Revocation.SerialOf(certificate.SerialNumber);

    // A node chooses the serial numbers of what it issues to its processes, so that they name nobody: it may choose those of others.
    private static IEnumerable<X509Certificate2> Issued(X509Certificate2[] line) =>
        line.Where((_, i) => i + 1 == line.Length || CertificateNames.Roles(line[i + 1]) is null);
}
