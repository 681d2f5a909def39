using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GlooX.Tls;

/// <summary>
/// The seven variables of the Ruby family: paths of PEM files. If any is set, all but the two public keys are needed; a public key
/// that is given must be its certificate's. Each inconsistency is named with its variable.
/// </summary>
internal static class RaktrVariables
{
    public const string Ca = "RAKTR_TLS_CA";
    public const string ServerCertificate = "RAKTR_TLS_SERVER_CERTIFICATE";
    public const string ServerPrivateKey = "RAKTR_TLS_SERVER_PRIVATE_KEY";
    public const string ServerPublicKey = "RAKTR_TLS_SERVER_PUBLIC_KEY";
    public const string ClientCertificate = "RAKTR_TLS_CLIENT_CERTIFICATE";
    public const string ClientPrivateKey = "RAKTR_TLS_CLIENT_PRIVATE_KEY";
    public const string ClientPublicKey = "RAKTR_TLS_CLIENT_PUBLIC_KEY";

    private static readonly string[] s_needed = [Ca, ServerCertificate, ServerPrivateKey, ClientCertificate, ClientPrivateKey];
    private static readonly string[] s_all = [.. s_needed, ServerPublicKey, ClientPublicKey];

    /// <summary>The identity that the variables describe; null if none of them is set.</summary>
    /// <exception cref="IdentityException">A variable is missing beside the others, or what it names is unusable.</exception>
    public static Identity? Load() => Load(Environment.GetEnvironmentVariable);

    public static Identity? Load(Func<string, string?> variable)
    {
        if (s_all.All(v => string.IsNullOrEmpty(variable(v))))
        {
            return null;
        }

        string[] missing = [.. s_needed.Where(v => string.IsNullOrEmpty(variable(v)))];
        if (missing.Length > 0)
        {
            throw new IdentityException(missing[0], $"not set, while others of the RAKTR_TLS_* variables are (missing: {string.Join(", ", missing)}). Set it to the path of a PEM file, or unset them all");
        }

        X509Certificate2 authority = Certificate(Ca, variable(Ca)!);
        X509Certificate2 server = Pair(variable, ServerCertificate, ServerPrivateKey, ServerPublicKey);
        X509Certificate2 client = Pair(variable, ClientCertificate, ClientPrivateKey, ClientPublicKey);
        return new Identity(authority, server, client, ServerCertificate, ClientCertificate);
    }

    private static X509Certificate2 Pair(Func<string, string?> variable, string certificateVariable, string keyVariable, string publicVariable)
    {
        using X509Certificate2 certificate = Certificate(certificateVariable, variable(certificateVariable)!);
        string keyPem = Read(keyVariable, variable(keyVariable)!);
        X509Certificate2 pair;
        try
        {
            pair = certificate.GetKeyAlgorithm() == "1.2.840.113549.1.1.1"
                ? WithKey(RSA.Create(), keyPem, (c, k) => c.CopyWithPrivateKey(k), certificate)
                : WithKey(ECDsa.Create(), keyPem, (c, k) => c.CopyWithPrivateKey(k), certificate);
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new IdentityException(keyVariable, $"the private key in {variable(keyVariable)} is unreadable or does not belong to the certificate of {certificateVariable}: {e.Message}", e);
        }

        if (variable(publicVariable) is { Length: > 0 } publicPath)
        {
            try
            {
                PublicKey given = Public(Read(publicVariable, publicPath));
                if (!given.ExportSubjectPublicKeyInfo().AsSpan().SequenceEqual(pair.PublicKey.ExportSubjectPublicKeyInfo()))
                {
                    throw new IdentityException(publicVariable, $"the public key in {publicPath} is not that of the certificate of {certificateVariable}");
                }
            }
            catch (Exception e) when (e is CryptographicException or ArgumentException)
            {
                throw new IdentityException(publicVariable, $"no public key can be read from {publicPath}: {e.Message}", e);
            }
        }

        return pair;
    }

    private static X509Certificate2 WithKey<TKey>(TKey key, string pem, Func<X509Certificate2, TKey, X509Certificate2> join, X509Certificate2 certificate)
        where TKey : AsymmetricAlgorithm
    {
        using (key)
        {
            key.ImportFromPem(pem);
            return join(certificate, key);
        }
    }

    private static PublicKey Public(string pem)
    {
        PemFields fields = PemEncoding.Find(pem);
        byte[] der = Convert.FromBase64String(pem[fields.Base64Data]);
        if (pem[fields.Label] is "CERTIFICATE")
        {
            using X509Certificate2 certificate = X509CertificateLoader.LoadCertificate(der);
            return certificate.PublicKey;
        }

        return PublicKey.CreateFromSubjectPublicKeyInfo(der, out _);
    }

    private static X509Certificate2 Certificate(string variable, string path)
    {
        try
        {
            return X509Certificate2.CreateFromPem(Read(variable, path));
        }
        catch (CryptographicException e)
        {
            throw new IdentityException(variable, $"no certificate can be read from {path}: {e.Message}", e);
        }
    }

    private static string Read(string variable, string path)
    {
        try
        {
            return File.ReadAllText(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IdentityException(variable, $"cannot read {path}: {e.Message}", e);
        }
    }
}
