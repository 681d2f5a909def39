using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GlooX.Tls.Join;

/// <summary>
/// Makes certificates for a machine that may have them. The permission decides the roles, the authority the node; of the request only the
/// keys and the names count, and a name that is in another node's certificate is withheld: a node never gets what another is reached by.
/// </summary>
internal static class JoinIssuer
{
    private const int MaxHosts = 64;

    /// <exception cref="JoinException"><see cref="JoinFailure.Refused"/> or <see cref="JoinFailure.Protocol"/>.</exception>
    public static JoinReply Issue(X509Certificate2 authority, IReadOnlyList<string> ownHosts, IssuedCertificates issued, RevokedSerials revoked, string node, JoinGrant grant, byte[][] requests, DateTimeOffset now)
    {
        CertificateRequest[] asked = [.. requests.Select(Read)];
        string[] wanted = [.. Hosts(asked[0]).Union(grant.Names.Select(CertificateNames.Normal), StringComparer.Ordinal)];
        if (wanted.Length > MaxHosts)
        {
            throw new JoinException(JoinFailure.Refused, $"certificates for {wanted.Length} names were asked for; {MaxHosts} are given");
        }

        HashSet<string> taken = [.. issued.TakenFrom(node, revoked).Union(ownHosts, StringComparer.Ordinal).Where(h => !IsEveryones(h))];
        string[] hosts = [.. wanted.Where(h => !taken.Contains(h))];
        bool agent = grant.Role == RpcRole.Agent;
        string name = hosts.FirstOrDefault(h => !IsEveryones(h)) ?? node;
        (string Kind, RpcRole Roles, CertificateUse Use, string[] Hosts)?[] kinds =
        [
            ("server", grant.Role, CertificateUse.Server | CertificateUse.Client, hosts),
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
            made.Add(new IssuedCertificate(RevokedSerials.Normal(certificate.SerialNumber), node, k.Kind, grant.Role, DateOnly.FromDateTime(certificate.NotAfter.ToUniversalTime()), k.Hosts));
            return certificate.RawData;
        })];
        issued.Add(made); // before anybody has them: a certificate that is not recorded cannot be revoked by its node's name
        return new JoinReply(JoinFailure.None, "", certificates, [.. wanted.Where(taken.Contains)]);
    }

    /// <summary>Names by which every machine reaches itself, so that they single out nobody.</summary>
    private static bool IsEveryones(string host) => host == "localhost" || (IPAddress.TryParse(host, out IPAddress? address) && IPAddress.IsLoopback(address));

    // Loading verifies that the asker holds the key.
    private static CertificateRequest Read(byte[] der)
    {
        try
        {
            CertificateRequest request = CertificateRequest.LoadSigningRequest(der, HashAlgorithmName.SHA256, CertificateRequestLoadOptions.UnsafeLoadCertificateExtensions, RSASignaturePadding.Pkcs1);
            using ECDsa? ecdsa = request.PublicKey.GetECDsaPublicKey();
            using RSA? rsa = request.PublicKey.GetRSAPublicKey();
            return ecdsa is { KeySize: >= 256 } || rsa is { KeySize: >= 2048 }
                ? request
                : throw new JoinException(JoinFailure.Refused, "the key in the request is too weak, or of a kind that is not supported: use ECDSA from P-256 up, or RSA from 2048 bits up");
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
