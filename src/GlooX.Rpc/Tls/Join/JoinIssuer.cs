using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GlooX.Tls.Join;

/// <summary>A certificate that is shown to get new ones.</summary>
/// <param name="Shown">The shown certificate, as its authority recorded it.</param>
/// <param name="From">The address that the connection comes from; null: none.</param>
internal sealed record Renewal(IssuedCertificate Shown, string? From)
{
    /// <summary>The names that the new certificates may carry.</summary>
    public bool Allows(string host) => host == From || Shown.Hosts.Contains(host, StringComparer.Ordinal);
}

/// <summary>
/// Issues certificates for a machine that may join. The grant decides the roles and the authority the node; from the request come only the keys
/// and the names. A name in a valid certificate of another node is withheld: a node never receives another node's name. A renewal adds no name
/// but the address that the machine connects from.
/// </summary>
internal static class JoinIssuer
{
    private const int MaxHosts = 64;

    /// <exception cref="JoinException"><see cref="JoinFailure.Refused"/> or <see cref="JoinFailure.Protocol"/>.</exception>
    public static JoinReply Issue(X509Certificate2 authority, IReadOnlyList<string> ownHosts, IssuedCertificates issued, RevokedSerials revoked, string node, JoinGrant grant, byte[][] requests, DateTimeOffset now, Renewal? renewal)
    {
        CertificateRequest[] asked = [.. requests.Select(Read)];
        string[] wanted = [.. Hosts(asked[0]).Union(grant.Names.Select(CertificateNames.Normal), StringComparer.Ordinal)];
        if (wanted.Length > MaxHosts)
        {
            throw new JoinException(JoinFailure.Refused, $"certificates for {wanted.Length} names were requested; the limit is {MaxHosts}");
        }

        bool answers = grant.Role is RpcRole.Agent or RpcRole.Client;
        HashSet<string> taken = [.. issued.TakenFrom(node, revoked).Union(ownHosts, StringComparer.Ordinal).Where(h => !IsEveryones(h))];
        string[] hosts = [.. wanted.Where(h => answers && !taken.Contains(h) && renewal?.Allows(h) is not false)];
        if (renewal is { Shown: var shown } && shown.Until.ToDateTime(TimeOnly.MinValue, DateTimeKind.Utc) - now.UtcDateTime > IdentityStore.RenewBefore && hosts.All(h => shown.Hosts.Contains(h, StringComparer.Ordinal)))
        {
            return new JoinReply(JoinFailure.Refused, $"the certificates are valid until {shown.Until:yyyy-MM-dd}; they are renewed in their last {IdentityStore.RenewBefore.TotalDays:0} days, or when the address of the machine changes", [], [.. wanted.Except(hosts, StringComparer.Ordinal)]);
        }

        bool agent = grant.Role == RpcRole.Agent;
        string name = hosts.FirstOrDefault(h => !IsEveryones(h)) ?? node;
        (string Kind, RpcRole Roles, CertificateUse Use, string[] Hosts)?[] kinds =
        [
            answers ? ("server", grant.Role, CertificateUse.Server | CertificateUse.Client, hosts) : null,
            ("client", agent ? RpcRole.Client : grant.Role, CertificateUse.Client, []),
            agent ? ("children", RpcRole.Child | RpcRole.Client, CertificateUse.Children, hosts) : null,
        ];
        var made = new List<IssuedCertificate>();
        byte[][] certificates = [.. kinds.Zip(asked, (kind, request) =>
        {
            if (kind is not { } k)
            {
                return [];
            }

            using X509Certificate2 certificate = CertificateAuthority.Issue(authority, new CertificateOrder($"gloox {k.Kind} of {name}", node, k.Hosts, k.Roles, k.Use), request.PublicKey, now);

            // As whoever verifies it will read it, whatever spelling was compared above.
            if (k.Hosts.Length > 0 && taken.FirstOrDefault(t => CertificateNames.Carries(certificate, t)) is { } others)
            {
                throw new JoinException(JoinFailure.Refused, $"a requested name is accepted as {others}, which is another node's");
            }

            made.Add(new IssuedCertificate(RevokedSerials.Normal(certificate.SerialNumber), node, k.Kind, grant.Role, DateOnly.FromDateTime(certificate.NotAfter.ToUniversalTime()), k.Hosts));
            return certificate.RawData;
        })];
        issued.Add(made); // before they are sent: a certificate that is not recorded cannot be revoked by its node's name
        return new JoinReply(JoinFailure.None, "", certificates, answers ? [.. wanted.Except(hosts, StringComparer.Ordinal)] : []);
    }

    /// <summary>Names by which every machine reaches itself; they identify no machine.</summary>
    private static bool IsEveryones(string host) => host == "localhost" || (IPAddress.TryParse(host, out IPAddress? address) && IPAddress.IsLoopback(address));

    // Loading verifies that the requester holds the key.
    private static CertificateRequest Read(byte[] der)
    {
        try
        {
            CertificateRequest request = CertificateRequest.LoadSigningRequest(der, HashAlgorithmName.SHA256, CertificateRequestLoadOptions.UnsafeLoadCertificateExtensions, RSASignaturePadding.Pkcs1);
            using ECDsa? ecdsa = request.PublicKey.GetECDsaPublicKey();
            using RSA? rsa = request.PublicKey.GetRSAPublicKey();
            return ecdsa is { KeySize: >= 256 } || rsa is { KeySize: >= 2048 }
                ? request
                : throw new JoinException(JoinFailure.Refused, "the key in the request is too weak or not supported: use ECDSA with P-256 or more, or RSA with 2048 bits or more");
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new JoinException(JoinFailure.Protocol, $"a certificate request is malformed: {e.Message}", e);
        }
    }

    private static IReadOnlyList<string> Hosts(CertificateRequest request)
    {
        try
        {
            IReadOnlyList<string> hosts = CertificateNames.Hosts(request.CertificateExtensions);
            return hosts.FirstOrDefault(h => !CertificateNames.IsHost(h)) is { } bad
                ? throw new JoinException(JoinFailure.Refused, $"'{bad}' is no host name or address")
                : hosts;
        }
        catch (CryptographicException e)
        {
            throw new JoinException(JoinFailure.Protocol, $"a certificate request is malformed: {e.Message}", e);
        }
    }
}
