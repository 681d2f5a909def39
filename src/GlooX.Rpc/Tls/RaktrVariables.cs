using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GlooX.Tls;

/// <summary>
/// The seven variables of the Ruby family: paths of PEM or PKCS#12 files, keys of RSA or ECDSA. If any is set, the authority and both
/// certificates are needed, and a private key for each unless its certificate's file is a PKCS#12 that holds it; a public key that is given
/// must be its certificate's. Encrypted keys and PKCS#12 files are opened with the variable of the private key and <c>_PASSWORD</c>. Each
/// inconsistency is named with its variable.
/// </summary>
internal sealed class RaktrVariables : IIdentitySource
{
    public const string Ca = "RAKTR_TLS_CA";
    public const string ServerCertificate = "RAKTR_TLS_SERVER_CERTIFICATE";
    public const string ServerPrivateKey = "RAKTR_TLS_SERVER_PRIVATE_KEY";
    public const string ServerPublicKey = "RAKTR_TLS_SERVER_PUBLIC_KEY";
    public const string ClientCertificate = "RAKTR_TLS_CLIENT_CERTIFICATE";
    public const string ClientPrivateKey = "RAKTR_TLS_CLIENT_PRIVATE_KEY";
    public const string ClientPublicKey = "RAKTR_TLS_CLIENT_PUBLIC_KEY";
    public const string PasswordSuffix = "_PASSWORD";

    // Beyond the seven: what makes the certificates of spawned processes.
    public const string ChildrenCertificate = "GLOOX_TLS_CHILDREN_CERTIFICATE";
    public const string ChildrenPrivateKey = "GLOOX_TLS_CHILDREN_PRIVATE_KEY";

    private static readonly string[] s_seven = [Ca, ServerCertificate, ServerPrivateKey, ServerPublicKey, ClientCertificate, ClientPrivateKey, ClientPublicKey];
    private static readonly string[] s_all =
    [
        .. s_seven, ServerPrivateKey + PasswordSuffix, ClientPrivateKey + PasswordSuffix, ChildrenCertificate, ChildrenPrivateKey, ChildrenPrivateKey + PasswordSuffix,
    ];

    private readonly Func<string, string?> _variable;
    private readonly Lazy<RevokedFile> _revoked = new(() => new RevokedFile(GlooXHome.Path));

    private RaktrVariables(Func<string, string?> variable, TimeProvider time) => (_variable, Time) = (variable, time);

    public string Key => string.Join('\n', s_all.Select(v => $"{v}={_variable(v)}"));

    public TimeProvider Time { get; }

    public bool Issues => false;

    /// <summary>Null: none of the seven is set.</summary>
    public static RaktrVariables? Source(Func<string, string?>? variable = null, TimeProvider? time = null)
    {
        variable ??= Environment.GetEnvironmentVariable;
        return s_seven.All(v => string.IsNullOrEmpty(variable(v))) ? null : new RaktrVariables(variable, time ?? TimeProvider.System);
    }

    /// <summary>The identity that the variables describe, which follows their files; null if none of them is set.</summary>
    /// <exception cref="IdentityException">A variable is missing beside the others, or what it names is unusable.</exception>
    public static Identity? Load(Func<string, string?> variable, TimeProvider? time = null) => Source(variable, time) is { } source ? new Identity(source, []) : null;

    public string Stamp() => FileStamp.Of(s_all.Where(v => !v.EndsWith(PasswordSuffix, StringComparison.Ordinal)).Select(v => _variable(v) ?? "").Where(p => p.Length > 0).Append(Path.Combine(GlooXHome.Path, RevokedFile.Name)));

    public bool IsDue(IdentityParts parts) => false;

    public void Remember(IReadOnlyList<Revocation> said) => _revoked.Value.Add(said);

    public IdentityParts Load(IReadOnlyCollection<string> hosts, RevocationList revoked)
    {
        string[] missing = [.. new[] { Ca, ServerCertificate, ClientCertificate, ServerPrivateKey, ClientPrivateKey }.Where(IsMissing)];
        if (missing.Length > 0)
        {
            throw new IdentityException(missing[0], $"not set, while others of the RAKTR_TLS_* variables are (missing: {string.Join(", ", missing)}). Set it to the path of a PEM or PKCS#12 file, or unset them all");
        }

        X509Certificate2 authority = Authority();
        (X509Certificate2 server, IReadOnlyList<X509Certificate2> serverChain) = Pair(ServerCertificate, ServerPrivateKey, ServerPublicKey);
        (X509Certificate2 client, IReadOnlyList<X509Certificate2> clientChain) = Pair(ClientCertificate, ClientPrivateKey, ClientPublicKey);
        List<X509Certificate2> intermediates = [.. serverChain, .. clientChain];
        X509Certificate2? children = null;
        if (Value(ChildrenCertificate) is not null)
        {
            if (Value(ChildrenPrivateKey) is null)
            {
                throw new IdentityException(ChildrenPrivateKey, $"not set, while {ChildrenCertificate} is");
            }

            (children, _) = Pair(ChildrenCertificate, ChildrenPrivateKey, null);
            if (!CertificateAuthority.IsSignedBy(children, authority) || children.Extensions.OfType<X509BasicConstraintsExtension>().FirstOrDefault() is not { CertificateAuthority: true })
            {
                throw new IdentityException(ChildrenCertificate, $"'{children.Subject}' cannot make certificates: it must be an authority (CA:TRUE) that is valid now and signed by that of {Ca}");
            }
        }

        revoked.Add(_revoked.Value.Read());
        return new IdentityParts(authority, server, client, intermediates, children, revoked).Checked(ServerCertificate, ClientCertificate);
    }

    private string? Value(string variable) => _variable(variable) is { Length: > 0 } value ? value : null;

    // A PKCS#12 holds the key too.
    private bool IsMissing(string variable)
    {
        string? certificate = variable switch { ServerPrivateKey => ServerCertificate, ClientPrivateKey => ClientCertificate, _ => null };
        return Value(variable) is null && (certificate is null || Value(certificate) is not { } path || !IsPkcs12(Read(certificate, path)));
    }

    private X509Certificate2 Authority()
    {
        string path = Value(Ca)!;
        X509Certificate2Collection all = Certificates(Ca, path, null);
        if (all.Count != 1)
        {
            throw new IdentityException(Ca, $"{path} holds {all.Count} certificates. One authority is trusted: put its certificate there alone");
        }

        X509Certificate2 authority = all[0];
        if (!authority.SubjectName.RawData.AsSpan().SequenceEqual(authority.IssuerName.RawData))
        {
            throw new IdentityException(Ca, $"'{authority.Subject}' in {path} is no root, it was issued by '{authority.Issuer}'. Put the root there, and what is between behind the certificate in {ServerCertificate} and {ClientCertificate}");
        }

        return authority.NotAfter < DateTime.Now
            ? throw new IdentityException(Ca, $"the authority '{authority.Subject}' in {path} has expired; it was valid until {authority.NotAfter.ToUniversalTime():yyyy-MM-dd HH:mm} UTC")
            : authority;
    }

    /// <summary>A certificate with its key, and what its file holds between it and the authority.</summary>
    private (X509Certificate2 Pair, IReadOnlyList<X509Certificate2> Chain) Pair(string certificateVariable, string keyVariable, string? publicVariable)
    {
        string certificatePath = Value(certificateVariable)!;
        string keyPath = Value(keyVariable) ?? certificatePath;
        X509Certificate2Collection all = Certificates(certificateVariable, certificatePath, keyVariable);
        X509Certificate2 certificate = all.FirstOrDefault(c => c.HasPrivateKey) ?? all[0];
        using AsymmetricAlgorithm key = PrivateKey(keyVariable, keyPath);
        X509Certificate2 pair = Join(certificate, key, certificateVariable, keyVariable, keyPath);
        if (publicVariable is not null && Value(publicVariable) is { } publicPath)
        {
            CheckPublicKey(pair, publicVariable, publicPath, certificateVariable);
        }

        return (pair, [.. all.Where(c => c != certificate).Select(c => X509CertificateLoader.LoadCertificate(c.RawData))]);
    }

    private static X509Certificate2 Join(X509Certificate2 certificate, AsymmetricAlgorithm key, string certificateVariable, string keyVariable, string keyPath)
    {
        using X509Certificate2 bare = X509CertificateLoader.LoadCertificate(certificate.RawData);
        string oid = bare.GetKeyAlgorithm();
        try
        {
            return (key, oid) switch
            {
                (RSA rsa, "1.2.840.113549.1.1.1") => bare.CopyWithPrivateKey(rsa),
                (ECDsa ecdsa, "1.2.840.10045.2.1") => bare.CopyWithPrivateKey(ecdsa),
                (_, "1.2.840.113549.1.1.1" or "1.2.840.10045.2.1") => throw new ArgumentException("one is of RSA, the other of ECDSA"),
                _ => throw new IdentityException(certificateVariable, $"'{bare.Subject}' has a key of a kind that is not supported ({oid}); use RSA or ECDSA"),
            };
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException)
        {
            throw new IdentityException(keyVariable, $"the private key in {keyPath} does not belong to the certificate '{bare.Subject}' of {certificateVariable}: {e.Message}", e);
        }
    }

    private AsymmetricAlgorithm PrivateKey(string variable, string path)
    {
        byte[] file = Read(variable, path);
        string? password = Value(variable + PasswordSuffix);
        if (IsPkcs12(file))
        {
            CheckPermissions(variable, path);
            X509Certificate2? holder = Pkcs12(variable, path, file, variable).FirstOrDefault(c => c.HasPrivateKey);
            return (AsymmetricAlgorithm?)holder?.GetECDsaPrivateKey() ?? holder?.GetRSAPrivateKey()
                ?? throw new IdentityException(variable, $"the PKCS#12 file {path} holds no private key of RSA or ECDSA");
        }

        string pem = System.Text.Encoding.UTF8.GetString(file);
        if (pem.Contains("Proc-Type: 4,ENCRYPTED", StringComparison.Ordinal))
        {
            throw new IdentityException(variable, $"the private key in {path} is encrypted in the old OpenSSL way, which is weak. Convert it: openssl pkcs8 -topk8 -in {path} -out NEW");
        }

        bool encrypted = pem.Contains("-----BEGIN ENCRYPTED PRIVATE KEY-----", StringComparison.Ordinal);
        if (encrypted && password is null)
        {
            throw new IdentityException(variable, $"the private key in {path} is encrypted, and {variable + PasswordSuffix} is not set");
        }

        Exception? why = null;
        foreach (AsymmetricAlgorithm key in (AsymmetricAlgorithm[])[ECDsa.Create(), RSA.Create()])
        {
            try
            {
                if (encrypted)
                {
                    key.ImportFromEncryptedPem(pem, password);
                }
                else
                {
                    key.ImportFromPem(pem);
                }

                CheckPermissions(variable, path);
                return key;
            }
            catch (Exception e) when (e is CryptographicException or ArgumentException)
            {
                key.Dispose();
                why = e;
            }
        }

        throw encrypted
            ? new IdentityException(variable + PasswordSuffix, $"the private key in {path} ({variable}) cannot be decrypted with it: {why!.Message}", why)
            : new IdentityException(variable, $"the private key in {path} is unreadable: {why!.Message}", why);
    }

    private static void CheckPublicKey(X509Certificate2 pair, string variable, string path, string certificateVariable)
    {
        try
        {
            PublicKey given = Public(Read(variable, path));
            if (!given.ExportSubjectPublicKeyInfo().AsSpan().SequenceEqual(pair.PublicKey.ExportSubjectPublicKeyInfo()))
            {
                throw new IdentityException(variable, $"the public key in {path} is not that of the certificate of {certificateVariable}");
            }
        }
        catch (Exception e) when (e is CryptographicException or ArgumentException or FormatException)
        {
            throw new IdentityException(variable, $"no public key can be read from {path}: {e.Message}", e);
        }
    }

    private static PublicKey Public(byte[] file)
    {
        string pem = System.Text.Encoding.UTF8.GetString(file);
        if (!IsPem(file))
        {
            return PublicKey.CreateFromSubjectPublicKeyInfo(file, out _);
        }

        PemFields fields = PemEncoding.Find(pem);
        byte[] der = Convert.FromBase64String(pem[fields.Base64Data]);
        switch (pem[fields.Label])
        {
            case "CERTIFICATE":
                using (X509Certificate2 certificate = X509CertificateLoader.LoadCertificate(der))
                {
                    return certificate.PublicKey;
                }

            case "RSA PUBLIC KEY":
                using (RSA rsa = RSA.Create())
                {
                    rsa.ImportRSAPublicKey(der, out _);
                    return new PublicKey(rsa);
                }

            default:
                return PublicKey.CreateFromSubjectPublicKeyInfo(der, out _);
        }
    }

    /// <param name="variable">Which variable.</param>
    /// <param name="path">Its value.</param>
    /// <param name="keyVariable">Whose password opens it; null: it needs none.</param>
    private X509Certificate2Collection Certificates(string variable, string path, string? keyVariable)
    {
        byte[] file = Read(variable, path);
        if (keyVariable is not null && IsPkcs12(file))
        {
            CheckPermissions(variable, path);
            return Pkcs12(variable, path, file, keyVariable);
        }

        try
        {
            var all = new X509Certificate2Collection();
            if (IsPem(file))
            {
                all.ImportFromPem(System.Text.Encoding.UTF8.GetString(file));
            }
            else
            {
                all.Add(X509CertificateLoader.LoadCertificate(file));
            }

            return all.Count > 0 ? all : throw new CryptographicException("there is none in it");
        }
        catch (CryptographicException e)
        {
            throw new IdentityException(variable, $"no certificate can be read from {path}: {e.Message}", e);
        }
    }

    private X509Certificate2Collection Pkcs12(string variable, string path, byte[] file, string keyVariable)
    {
        string passwordVariable = keyVariable + PasswordSuffix;
        try
        {
            X509Certificate2Collection all = X509CertificateLoader.LoadPkcs12Collection(file, Value(passwordVariable), X509KeyStorageFlags.Exportable);
            return all.Count > 0 ? all : throw new IdentityException(variable, $"the PKCS#12 file {path} holds no certificate");
        }
        catch (CryptographicException e)
        {
            throw new IdentityException(
                passwordVariable, $"the PKCS#12 file {path} ({variable}) cannot be opened with {(Value(passwordVariable) is null ? "an empty password, for the variable is not set" : "it")}: {e.Message}", e);
        }
    }

    // A group may read, as for keys that root hands to services; nobody else may.
    private static void CheckPermissions(string variable, string path)
    {
        const UnixFileMode forbidden = UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute | UnixFileMode.GroupWrite;
        if (!OperatingSystem.IsWindows() && File.Exists(path) && (File.GetUnixFileMode(path) & forbidden) != UnixFileMode.None)
        {
            throw new IdentityException(variable, $"the private key in {path} is open to others. Run: chmod 600 {path}");
        }
    }

    private static bool IsPem(byte[] file) => file.AsSpan().IndexOf("-----BEGIN "u8) >= 0;

    private static bool IsPkcs12(byte[] file) => !IsPem(file) && X509Certificate2.GetCertContentType(file) == X509ContentType.Pfx;

    private static byte[] Read(string variable, string path)
    {
        try
        {
            return File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IdentityException(variable, $"cannot read {path}: {e.Message}", e);
        }
    }
}
