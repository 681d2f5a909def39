using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GlooX.Tls;

/// <summary>Makes certificates: a private authority, and what it signs. ECDSA on P-256, SHA-256 throughout.</summary>
internal static class CertificateAuthority
{
    private const string ServerAuth = "1.3.6.1.5.5.7.3.1";
    private const string ClientAuth = "1.3.6.1.5.5.7.3.2";

    // Clocks of two machines differ: a certificate is valid from an hour before it is made.
    private static readonly TimeSpan s_clockSkew = TimeSpan.FromHours(1);

    /// <summary>A new authority, valid for ten years. The caller owns the certificate, which holds its private key.</summary>
    public static X509Certificate2 Create(string name, DateTimeOffset now)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, true, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
        return request.CreateSelfSigned(now - s_clockSkew, now.AddYears(10));
    }

    /// <summary>A certificate for a server (it may answer) or a client (it may call), valid for one year.</summary>
    public static X509Certificate2 Issue(X509Certificate2 authority, string name, bool server, DateTimeOffset now)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(server ? ServerAuth : ClientAuth)], true));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(authority, true, false));
        if (server)
        {
            request.CertificateExtensions.Add(Names());
        }

        DateTimeOffset until = now.AddYears(1);
        DateTimeOffset authorityUntil = new DateTimeOffset(authority.NotAfter.ToUniversalTime(), TimeSpan.Zero);
        DateTimeOffset from = now - s_clockSkew;
        DateTimeOffset authorityFrom = new DateTimeOffset(authority.NotBefore.ToUniversalTime(), TimeSpan.Zero);
        using X509Certificate2 bare = request.Create(
            authority, from < authorityFrom ? authorityFrom : from, until > authorityUntil ? authorityUntil : until, RandomNumberGenerator.GetBytes(16));
        return bare.CopyWithPrivateKey(key);
    }

    /// <summary>Whether <paramref name="certificate"/> is valid now, signed by <paramref name="authority"/> and made for this use. Null: it is; else why not.</summary>
    public static string? Refusal(X509Certificate2 certificate, X509Certificate2 authority, bool server)
    {
        using var chain = new X509Chain { ChainPolicy = Policy(authority, server) };
        if (chain.Build(certificate))
        {
            return null;
        }

        bool foreign = chain.ChainStatus.Any(s => s.Status is X509ChainStatusFlags.PartialChain or X509ChainStatusFlags.UntrustedRoot);
        string why = foreign
            ? $"it was issued by '{certificate.IssuerName.Name}', not by the authority trusted here"
            : string.Join("; ", chain.ChainStatus.Select(s => s.StatusInformation.Trim()));
        return $"the certificate '{certificate.Subject}' is not accepted: {why} (this side trusts {Describe(authority)})";
    }

    /// <summary>Exactly one trusted authority; no system roots, no downloads, no revocation servers.</summary>
    public static X509ChainPolicy Policy(X509Certificate2 authority, bool server)
    {
        var policy = new X509ChainPolicy
        {
            TrustMode = X509ChainTrustMode.CustomRootTrust,
            RevocationMode = X509RevocationMode.NoCheck,
            DisableCertificateDownloads = true,
        };
        policy.CustomTrustStore.Add(authority);
        policy.ApplicationPolicy.Add(new Oid(server ? ServerAuth : ClientAuth));
        return policy;
    }

    public static string Describe(X509Certificate2 certificate) =>
        $"'{certificate.Subject}', fingerprint {certificate.GetCertHashString(HashAlgorithmName.SHA256)[..16]}";

    private static X509Extension Names()
    {
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        names.AddDnsName(Environment.MachineName);
        names.AddIpAddress(IPAddress.Loopback);
        names.AddIpAddress(IPAddress.IPv6Loopback);
        foreach (IPAddress address in NetworkInterface.GetAllNetworkInterfaces()
                     .Where(i => i.NetworkInterfaceType != NetworkInterfaceType.Loopback)
                     .SelectMany(i => i.GetIPProperties().UnicastAddresses)
                     .Select(a => a.Address)
                     .Where(a => a.AddressFamily is AddressFamily.InterNetwork or AddressFamily.InterNetworkV6 && !a.IsIPv6LinkLocal))
        {
            names.AddIpAddress(address);
        }

        return names.Build();
    }
}
