using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GlooX.Protocol;

namespace GlooX.Tls;

/// <summary>The contents of a certificate to be issued.</summary>
/// <param name="Name">The common name, for people.</param>
/// <param name="Node">The node's identity.</param>
/// <param name="Hosts">Host names and addresses of the holder.</param>
/// <param name="Roles">The roles of the holder.</param>
/// <param name="Use">What the certificate may be used for.</param>
internal sealed record CertificateOrder(string Name, string Node, IReadOnlyCollection<string> Hosts, RpcRole Roles, CertificateUse Use)
{
    /// <summary>The id of the spawned process that the certificate is for; null: for none.</summary>
    public string? Process { get; init; }
}

[Flags]
internal enum CertificateUse
{
    /// <summary>The holder answers calls.</summary>
    Server = 1,

    /// <summary>The holder makes calls.</summary>
    Client = 2,

    /// <summary>The holder issues certificates for its child processes, within its own names and roles.</summary>
    Children = 4,
}

/// <summary>A private authority, and the certificates it issues: ECDSA on P-256 with SHA-256.</summary>
internal static class CertificateAuthority
{
    private const string ServerAuth = "1.3.6.1.5.5.7.3.1";
    private const string ClientAuth = "1.3.6.1.5.5.7.3.2";

    // Clocks of two machines differ: a certificate is valid from an hour before it is made.
    private static readonly TimeSpan s_clockSkew = TimeSpan.FromHours(1);

    /// <summary>Creates an authority, valid for ten years. The result includes the private key; the caller disposes it.</summary>
    public static X509Certificate2 Create(string name, DateTimeOffset now)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, true, 1, true)); // one level below: issuers of children's certificates
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        return request.CreateSelfSigned(now - s_clockSkew, now.AddYears(10));
    }

    /// <summary>Issues a certificate with a new key, valid for one year, or until the authority ends.</summary>
    public static X509Certificate2 Issue(X509Certificate2 authority, CertificateOrder order, DateTimeOffset now)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 bare = Issue(authority, order, new PublicKey(key), now);
        return bare.CopyWithPrivateKey(key);
    }

    /// <summary>Issues a certificate for a given public key.</summary>
    public static X509Certificate2 Issue(X509Certificate2 authority, CertificateOrder order, PublicKey key, DateTimeOffset now)
    {
        bool signs = order.Use.HasFlag(CertificateUse.Children);
        var request = new CertificateRequest(new X500DistinguishedName($"CN={Escaped(order.Name)}"), key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(signs, signs, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(signs ? X509KeyUsageFlags.KeyCertSign : X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(authority, true, false));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(key, false));
        if (!signs)
        {
            var uses = new OidCollection();
            if (order.Use.HasFlag(CertificateUse.Server))
            {
                uses.Add(new Oid(ServerAuth));
            }

            if (order.Use.HasFlag(CertificateUse.Client))
            {
                uses.Add(new Oid(ClientAuth));
            }

            request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension(uses, true));
        }

        request.CertificateExtensions.Add(CertificateNames.Extension(order.Hosts, order.Node, order.Roles, order.Process));
        DateTimeOffset until = now.AddYears(1);
        DateTimeOffset authorityUntil = new DateTimeOffset(authority.NotAfter.ToUniversalTime(), TimeSpan.Zero);
        DateTimeOffset from = now - s_clockSkew;
        DateTimeOffset authorityFrom = new DateTimeOffset(authority.NotBefore.ToUniversalTime(), TimeSpan.Zero);
        using ECDsa? ecdsa = authority.GetECDsaPrivateKey();
        using RSA? rsa = authority.GetRSAPrivateKey();
        X509SignatureGenerator signer = ecdsa is not null ? X509SignatureGenerator.CreateForECDsa(ecdsa)
            : X509SignatureGenerator.CreateForRSA(rsa ?? throw new CryptographicException("the authority's private key is missing"), RSASignaturePadding.Pkcs1);
        return request.Create(
            authority.SubjectName,
            signer,
            from < authorityFrom ? authorityFrom : from,
            until > authorityUntil ? authorityUntil : until,
            SerialNumber());
    }

    /// <summary>Why the certificate is not acceptable: not valid now, not signed by the authority, or not made for this use. Null: it is acceptable.</summary>
    public static string? Refusal(X509Certificate2 certificate, X509Certificate2 authority, bool server, IEnumerable<X509Certificate2>? intermediates = null)
    {
        using var chain = new X509Chain { ChainPolicy = Policy(authority, server) };
        foreach (X509Certificate2 intermediate in intermediates ?? [])
        {
            chain.ChainPolicy.ExtraStore.Add(intermediate);
        }

        return chain.Build(certificate) ? null : Refusal(certificate, authority, chain);
    }

    /// <summary>Whether a certificate is valid now and signed by the authority, for any use.</summary>
    public static bool IsSignedBy(X509Certificate2 certificate, X509Certificate2 authority)
    {
        using var chain = new X509Chain { ChainPolicy = Policy(authority, null) };
        return chain.Build(certificate);
    }

    /// <summary>Why a chain was not accepted.</summary>
    public static string Refusal(X509Certificate2 certificate, X509Certificate2 authority, X509Chain chain)
    {
        bool foreign = chain.ChainStatus.Any(s => s.Status is X509ChainStatusFlags.PartialChain or X509ChainStatusFlags.UntrustedRoot);
        string why = foreign
            ? $"it was issued by '{ForeignText.Of(certificate.IssuerName.Name)}', not by the authority trusted here"
            : string.Join("; ", chain.ChainStatus.Select(s => Meaning(s, certificate)).Distinct(StringComparer.Ordinal));
        return $"the certificate '{ForeignText.Of(certificate.Subject)}' is not accepted: {why} (this side trusts {Describe(authority)})";
    }

    /// <summary>Trusts exactly one authority: no system roots, no downloads, no revocation servers.</summary>
    /// <param name="authority">The authority.</param>
    /// <param name="server">True: for answering; false: for calling; null: for any use.</param>
    public static X509ChainPolicy Policy(X509Certificate2 authority, bool? server)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.Add(authority);
        if (server is { } answering)
        {
            policy.ApplicationPolicy.Add(new Oid(answering ? ServerAuth : ClientAuth));
        }

        return policy;
    }

    /// <summary>Whether a certificate may be used for calling.</summary>
    public static bool IsForCalling(X509Certificate2 certificate) => IsFor(certificate, ClientAuth);

    /// <summary>Whether a certificate may be used for answering.</summary>
    public static bool IsForAnswering(X509Certificate2 certificate) => IsFor(certificate, ServerAuth);

    private static bool IsFor(X509Certificate2 certificate, string use) =>
        certificate.Extensions.OfType<X509EnhancedKeyUsageExtension>().FirstOrDefault() is not { } uses
        || uses.EnhancedKeyUsages.Cast<Oid>().Any(o => o.Value == use);

    public static string Describe(X509Certificate2 certificate) =>
        $"'{ForeignText.Of(certificate.Subject)}', fingerprint {certificate.GetCertHashString(HashAlgorithmName.SHA256)[..16]}";

    private static string Meaning(X509ChainStatus status, X509Certificate2 certificate) => status.Status switch
    {
        X509ChainStatusFlags.NotTimeValid when certificate.NotAfter < DateTime.Now => $"it (or one above it) has expired; it was valid until {certificate.NotAfter.ToUniversalTime():yyyy-MM-dd HH:mm} UTC",
        X509ChainStatusFlags.NotTimeValid => $"it (or one above it) is not valid now, but from {certificate.NotBefore.ToUniversalTime():yyyy-MM-dd HH:mm} to {certificate.NotAfter.ToUniversalTime():yyyy-MM-dd HH:mm} UTC; are the clocks right?",
        X509ChainStatusFlags.NotValidForUsage => "it was not made for this use (see its extended key usage)",
        _ => status.StatusInformation.Trim(),
    };

    // Positive and without a leading zero, so that it has one spelling in hexadecimal (RFC 5280, 4.1.2.2).
    private static byte[] SerialNumber()
    {
        byte[] serial = RandomNumberGenerator.GetBytes(16);
        serial[0] = (byte)((serial[0] & 0x7F) | 0x40);
        return serial;
    }

    // Quoted, because the name of a user or machine may contain characters with a meaning in a distinguished name.
    private static string Escaped(string name) => $"\"{name.Replace("\"", "'", StringComparison.Ordinal)}\"";
}
