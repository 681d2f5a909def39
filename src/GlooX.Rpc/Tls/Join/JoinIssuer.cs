using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GlooX.Tls.Join;

/// <summary>
/// Issues certificates for a machine that may join. The grant decides the roles and the authority the node; from the request come only the keys
/// and the names. A name in a valid certificate of another node is withheld: a node never receives another node's name.
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
            throw new JoinException(JoinFailure.Refused, $"certificates for {wanted.Length} names were requested; the limit is {MaxHosts}");
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
        issued.Add(made); // before they are sent: a certificate that is not recorded cannot be revoked by its node's name
        return new JoinReply(JoinFailure.None, "", certificates, [.. wanted.Where(taken.Contains)]);
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
