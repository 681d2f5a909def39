using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GlooX;

/// <summary>
/// Who this process is to others and whom it trusts: one authority, a certificate for answering, one for calling.
/// Immutable and safe for concurrent use; share one for the life of the process.
/// </summary>
/// <remarks>
/// Without explicit certificates they come from the seven variables <c>RAKTR_TLS_*</c> if any of them is set, else from the user's
/// own store in <c>$GLOOX_HOME</c> (default <c>~/.gloox</c>), which is made on first use with a private authority.
/// </remarks>
public sealed class Identity
{
    private readonly Lazy<SslStreamCertificateContext> _serverContext;
    private readonly Lazy<SslStreamCertificateContext> _clientContext;

    /// <summary>An identity from certificates at hand; both must hold their private keys.</summary>
    /// <param name="authority">The one authority that this process trusts.</param>
    /// <param name="server">Shown to those who connect to this process.</param>
    /// <param name="client">Shown to those that this process connects to.</param>
    /// <exception cref="IdentityException">A private key is missing, or a certificate is not signed by the authority or not valid now.</exception>
    public Identity(X509Certificate2 authority, X509Certificate2 server, X509Certificate2 client)
        : this(authority, server, client, "server certificate", "client certificate")
    {
    }

    internal Identity(X509Certificate2 authority, X509Certificate2 server, X509Certificate2 client, string serverSource, string clientSource)
        : this((authority, server, client))
    {
        Check(server, true, serverSource);
        Check(client, false, clientSource);
    }

    // Unchecked: for what another process of this user has checked.
    private Identity((X509Certificate2 Authority, X509Certificate2 Server, X509Certificate2 Client) parts)
    {
        (Authority, Server, Client) = parts;
        _serverContext = new(() => Context(Server));
        _clientContext = new(() => Context(Client));
    }

    /// <summary>The authority that this process trusts.</summary>
    public X509Certificate2 Authority { get; }

    /// <summary>Shown to those who connect to this process.</summary>
    public X509Certificate2 Server { get; }

    /// <summary>Shown to those that this process connects to.</summary>
    public X509Certificate2 Client { get; }

    internal SslStreamCertificateContext ServerContext => _serverContext.Value;

    internal SslStreamCertificateContext ClientContext => _clientContext.Value;

    /// <summary>The identity of this user: from the seven variables, else from the store, which is made on first use.</summary>
    /// <returns>The identity.</returns>
    /// <exception cref="IdentityException">A variable or file is unusable; the message names it and the cure.</exception>
    public static Identity Load() => Tls.RaktrVariables.Load() ?? Tls.IdentityStore.Open().Load();

    /// <summary>An identity that nobody else has: its own authority, gone with the process. For tests and for warming up.</summary>
    internal static Identity Ephemeral(string name)
    {
        X509Certificate2 authority = Tls.CertificateAuthority.Create(name, DateTimeOffset.UtcNow);
        return new Identity(
            authority,
            Tls.CertificateAuthority.Issue(authority, name + " server", true, DateTimeOffset.UtcNow),
            Tls.CertificateAuthority.Issue(authority, name + " client", false, DateTimeOffset.UtcNow));
    }

    /// <summary>For handing to a child over its private pipe: DER of authority and certificates, PKCS#8 of the keys.</summary>
    internal byte[][] Export() =>
        [Authority.RawData, Server.RawData, Key(Server), Client.RawData, Key(Client)];

    /// <summary>What <see cref="Export"/> gave; not checked again, since it comes from a process that checked it.</summary>
    internal static Identity Import(byte[][] parts) =>
        new((X509CertificateLoader.LoadCertificate(parts[0]), WithKey(parts[1], parts[2]), WithKey(parts[3], parts[4])));

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

        if (Tls.CertificateAuthority.Refusal(certificate, Authority, server) is { } why)
        {
            throw new IdentityException(source, why);
        }
    }

    // With a trust of our own, the context is built without loading the system's roots (60–150 ms).
    private SslStreamCertificateContext Context(X509Certificate2 certificate) =>
        SslStreamCertificateContext.Create(
            certificate, null, offline: true, SslCertificateTrust.CreateForX509Collection([Authority]));
}
