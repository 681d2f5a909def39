using System.Collections.Frozen;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GlooX.Tls;

/// <summary>The certificates of an identity at one moment. Immutable: a renewal creates a new instance, and connections keep the one they started with.</summary>
internal sealed class IdentityParts
{
    private readonly Lazy<SslStreamCertificateContext> _serverContext;
    private readonly Lazy<SslStreamCertificateContext> _clientContext;
    private readonly Lazy<IdentityParts> _asAgent;

    /// <summary>Creates the parts, unverified.</summary>
    /// <param name="authority">The one trusted authority.</param>
    /// <param name="server">For answering, with its key.</param>
    /// <param name="client">For calling, with its key.</param>
    /// <param name="intermediates">The certificates between these and the authority.</param>
    /// <param name="children">Signs the certificates of spawned processes, with its key; null: none.</param>
    /// <param name="revoked">Refused although valid.</param>
    public IdentityParts(X509Certificate2 authority, X509Certificate2 server, X509Certificate2 client, IReadOnlyList<X509Certificate2> intermediates, X509Certificate2? children, RevocationList revoked)
    {
        (Authority, Server, Client, Intermediates, Children, Revocations) = (authority, server, client, intermediates, children, revoked);
        _serverContext = new(() => Context(Server));
        _clientContext = new(() => Context(Client));
        _asAgent = new(() => CertificateAuthority.IsForCalling(Server) ? new(Authority, Server, Server, Intermediates, Children, Revocations) : this);
        Hosts = CertificateNames.Hosts(server).ToFrozenSet(StringComparer.Ordinal);
    }

    public X509Certificate2 Authority { get; }

    public X509Certificate2 Server { get; }

    public X509Certificate2 Client { get; }

    public IReadOnlyList<X509Certificate2> Intermediates { get; }

    public X509Certificate2? Children { get; }

    public RevocationList Revocations { get; }

    /// <summary>The hosts and addresses of the server certificate.</summary>
    public FrozenSet<string> Hosts { get; }

    public SslStreamCertificateContext ServerContext => _serverContext.Value;

    public SslStreamCertificateContext ClientContext => _clientContext.Value;

    /// <summary>Verifies that the certificates can be used together.</summary>
    /// <exception cref="IdentityException">Names the source at fault.</exception>
    public IdentityParts Checked(string serverSource, string clientSource)
    {
        Check(Server, server: true, serverSource);
        Check(Client, server: false, clientSource);
        return this;
    }

    /// <summary>The parts for calls between agents: they call with the server certificate, if that is made for calling too.</summary>
    public IdentityParts AsAgent => _asAgent.Value;

    /// <summary>Parts for a spawned process: a certificate and key issued for it alone.</summary>
    /// <param name="roles">The child's roles.</param>
    /// <param name="process">The child's process id in the grid.</param>
    /// <param name="now">The current time.</param>
    public IdentityParts ForChild(RpcRole roles, string process, DateTimeOffset now)
    {
        X509Certificate2 own = CertificateAuthority.Issue(
            Children!,
            new CertificateOrder("gloox child", CertificateNames.Node(Server) ?? "unknown", Hosts, roles, CertificateUse.Server | CertificateUse.Client) { Process = process },
            now);
        return new IdentityParts(Authority, own, own, [X509CertificateLoader.LoadCertificate(Children!.RawData)], null, Revocations);
    }

    /// <summary>DER of authority, certificates and intermediates; PKCS#8 of the keys.</summary>
    public byte[][] Export() =>
        [Authority.RawData, Server.RawData, Key(Server), Client.RawData, Key(Client), .. Intermediates.Select(i => i.RawData)];

    /// <summary>The parts that <see cref="Export"/> returned; not verified, because the exporting process did.</summary>
    public static IdentityParts Import(byte[][] parts)
    {
        X509Certificate2 server = WithKey(parts[1], parts[2]);
        return new(
            X509CertificateLoader.LoadCertificate(parts[0]),
            server,
            parts[1].AsSpan().SequenceEqual(parts[3]) ? server : WithKey(parts[3], parts[4]),
            [.. parts[5..].Select(p => X509CertificateLoader.LoadCertificate(p))],
            null,
            new RevocationList());
    }

    private static byte[] Key(X509Certificate2 certificate)
    {
        using AsymmetricAlgorithm key = (AsymmetricAlgorithm?)certificate.GetECDsaPrivateKey() ?? certificate.GetRSAPrivateKey()!;
        return key.ExportPkcs8PrivateKey();
    }

    private static X509Certificate2 WithKey(byte[] certificate, byte[] key)
    {
        using X509Certificate2 bare = X509CertificateLoader.LoadCertificate(certificate);
        if (bare.GetKeyAlgorithm() == "1.2.840.113549.1.1.1")
        {
            using RSA rsa = RSA.Create();
            rsa.ImportPkcs8PrivateKey(key, out _);
            return bare.CopyWithPrivateKey(rsa);
        }

        using ECDsa ec = ECDsa.Create();
        ec.ImportPkcs8PrivateKey(key, out _);
        return bare.CopyWithPrivateKey(ec);
    }

    private void Check(X509Certificate2 certificate, bool server, string source)
    {
        if (!certificate.HasPrivateKey)
        {
            throw new IdentityException(source, "the private key is missing");
        }

        if (CertificateAuthority.Refusal(certificate, Authority, server, Intermediates) is { } why)
        {
            throw new IdentityException(source, why);
        }
    }

    // With a trust of our own, the context is built without loading the system's roots (60–150 ms).
    private SslStreamCertificateContext Context(X509Certificate2 certificate) =>
        SslStreamCertificateContext.Create(
            certificate, [.. Intermediates], offline: true, SslCertificateTrust.CreateForX509Collection([Authority]));
}
