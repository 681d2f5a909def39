using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GlooX.Bench.Peers;

/// <summary>Mutual TLS for the peers that are not GlooX: exactly one trusted authority, as GlooX has it.</summary>
internal static class PeerTrust
{
    private const string ServerAuth = "1.3.6.1.5.5.7.3.1";
    private const string ClientAuth = "1.3.6.1.5.5.7.3.2";

    public static SslStreamCertificateContext ClientContext(Identity identity) =>
        SslStreamCertificateContext.Create(identity.Client, null, offline: true, SslCertificateTrust.CreateForX509Collection([identity.Authority]));

    public static X509ChainPolicy Policy(Identity identity, bool server) => new()
    {
        TrustMode = X509ChainTrustMode.CustomRootTrust,
        CustomTrustStore = { identity.Authority },
        RevocationMode = X509RevocationMode.NoCheck,
        DisableCertificateDownloads = true,
        ApplicationPolicy = { new Oid(server ? ServerAuth : ClientAuth) },
    };

    /// <summary>Whether the certificate of a server, or of a client, is valid and signed by the authority.</summary>
    public static bool Accepts(X509Certificate? certificate, Identity identity, bool server)
    {
        using var chain = new X509Chain { ChainPolicy = Policy(identity, server) };
        return certificate is X509Certificate2 shown && chain.Build(shown);
    }
}
