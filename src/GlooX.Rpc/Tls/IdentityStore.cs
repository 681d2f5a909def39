using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GlooX.Tls.Join;

namespace GlooX.Tls;

/// <summary>
/// The user's own certificates on disk, created on first use: the authority (<c>ca</c>), the certificate of agents (<c>server</c>), the one of
/// users (<c>client</c>), and the one that signs those of spawned processes (<c>children</c>), each as <c>.crt</c> and <c>.key</c>. The folder
/// has mode 0700, keys 0600. Two processes may open it at once; a crash leaves no partial file.
/// </summary>
internal sealed class IdentityStore : IIdentitySource
{
    private const string JoinedFile = "joined";
    private const string WithheldFile = "withheld";
    private const UnixFileMode OwnerFile = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode OthersMask = (UnixFileMode)0b000_111_111;

    // Laptops and containers collect addresses; the oldest are dropped first.
    private const int MaxHosts = 64;

    // Renewed this long before the end, so that a long-running process never holds a certificate that is about to end.
    public static readonly TimeSpan RenewBefore = TimeSpan.FromDays(30);
    private static readonly TimeSpan s_lockTimeout = TimeSpan.FromSeconds(20);
    private static readonly (string Name, RpcRole Roles, CertificateUse Use)[] s_pairs =
    [
        ("server", RpcRole.Agent, CertificateUse.Server | CertificateUse.Client),
        ("client", RpcRole.Client, CertificateUse.Client),
        ("children", RpcRole.Child | RpcRole.Client, CertificateUse.Children),
    ];

    private readonly string _folder;
    private readonly RevokedFile _revoked;

    internal IdentityStore(string folder, TimeProvider? time = null)
    {
        _folder = folder;
        _revoked = new RevokedFile(Path(RevokedFile.Name));
        Time = time ?? TimeProvider.System;
        Tokens = new JoinTokenStore(Path("tokens"), Time);
        Issued = new IssuedCertificates(Path("issued"), Time);
    }

    public string Key => _folder;

    public TimeProvider Time { get; }

    public bool Issues => File.Exists(Path("ca.key"));

    /// <summary>The join tokens that were created and not yet used.</summary>
    public JoinTokenStore Tokens { get; }

    /// <summary>The certificates that were issued for other machines.</summary>
    public IssuedCertificates Issued { get; }

    /// <summary>The agent whose authority this machine joined, as <c>host:port</c>; null: the store has its own authority.</summary>
    public string? JoinedAt => File.Exists(Path(JoinedFile)) ? File.ReadAllText(Path(JoinedFile)).Trim() : null;

    /// <summary>The store in <see cref="GlooXHome.Path"/>.</summary>
    public static IdentityStore Open() => new(GlooXHome.Path);

    /// <summary>The current identity of the store; created if missing, renewed if about to end.</summary>
    /// <exception cref="IdentityException">A file is unreadable, readable by others, or invalid.</exception>
    public Identity Load() => new(Load([], new RevokedSerials()));

    public IdentityParts Load(IReadOnlyCollection<string> hosts, RevokedSerials revoked)
    {
        try
        {
            GlooXHome.CreateFolder(_folder);
            using FileStream held = Lock();
            revoked.Add(_revoked.Read());
            if (JoinedAt is { } url)
            {
                return LoadJoined(url, revoked);
            }

            X509Certificate2 authority = ReadPair("ca") is { } pair && CanDelegate(pair)
                ? pair
                : Make("ca", () => CertificateAuthority.Create($"GlooX of {Environment.UserName} on {Environment.MachineName}", Time.GetUtcNow()));
            X509Certificate2?[] old = [.. s_pairs.Select(p => ReadPair(p.Name))];
            string node = old.OfType<X509Certificate2>().Select(CertificateNames.Node).FirstOrDefault(n => n is not null) ?? NewNode();
            string[] needed = [.. CertificateNames.OfThisMachine().Union(hosts, StringComparer.Ordinal)];
            X509Certificate2[] all = [.. s_pairs.Zip(old, (p, o) => ReadOrIssue(authority, p.Name, p.Roles, p.Use, node, needed, o))];
            return new IdentityParts(X509CertificateLoader.LoadCertificate(authority.RawData), all[0], all[1], [], all[2], revoked)
                .Checked(Path("server.crt"), Path("client.crt"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IdentityException(_folder, $"the identity store cannot be used: {e.Message}. Set GLOOX_HOME to a folder that this user owns", e);
        }
    }

    public static string NewNode() => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6));

    /// <exception cref="ArgumentException">An option is out of range.</exception>
    /// <exception cref="JoinException"><see cref="JoinFailure.NoAuthority"/>.</exception>
    public string CreateToken(JoinTokenOptions options)
    {
        if (options.Role is not (RpcRole.Agent or RpcRole.Client or RpcRole.Observer))
        {
            throw new ArgumentException($"a machine joins as agent, client or observer, not as {CertificateNames.Describe(options.Role)}", nameof(options));
        }

        if (options.ValidFor <= TimeSpan.Zero || options.ValidFor > TimeSpan.FromDays(1))
        {
            throw new ArgumentException($"ValidFor must be more than zero and at most one day, not {options.ValidFor}", nameof(options));
        }

        if (options.Names.FirstOrDefault(n => !CertificateNames.IsHost(n)) is { } bad)
        {
            throw new ArgumentException($"'{bad}' is no host name or address", nameof(options));
        }

        Identity identity = Load();
        if (!Issues)
        {
            throw new JoinException(JoinFailure.NoAuthority, $"this machine joined at {JoinedAt} and does not hold the authority's key; create the token there");
        }

        var token = JoinToken.Create(identity.Authority.RawData);
        Tokens.Add(token, new JoinGrant(options.Role, options.Names), options.ValidFor);
        return token.ToString();
    }

    /// <summary>Issues certificates for another machine.</summary>
    /// <param name="node">The machine's identity.</param>
    /// <param name="grant">The role, and names beside those that are requested.</param>
    /// <param name="requests">The keys and names, from the machine.</param>
    /// <param name="renewal">What is shown to get new certificates; null: the machine joins.</param>
    /// <exception cref="JoinException">They are not granted.</exception>
    public JoinReply IssueFor(string node, JoinGrant grant, byte[][] requests, Renewal? renewal = null)
    {
        using FileStream held = Lock();
        var revoked = new RevokedSerials();
        revoked.Add(_revoked.Read());
        using X509Certificate2 authority = ReadPair("ca") ?? throw new JoinException(JoinFailure.NoAuthority, "the authority's key is missing");
        using X509Certificate2? own = ReadPair("server");
        return JoinIssuer.Issue(authority, own is null ? [] : CertificateNames.Hosts(own), Issued, revoked, node, grant, requests, Time.GetUtcNow(), renewal);
    }

    /// <exception cref="JoinException"><see cref="JoinFailure.OwnAuthority"/>.</exception>
    public void CheckMayJoin(bool replace)
    {
        if (!replace && Issues && Issued.Read().Count > 0)
        {
            throw new JoinException(JoinFailure.OwnAuthority, $"the authority in {_folder} has issued certificates for other machines, which this machine could no longer reach. To join nevertheless: gloox join --replace");
        }
    }

    /// <summary>Replaces the contents, which are kept in a folder.</summary>
    /// <exception cref="JoinException"><see cref="JoinFailure.OwnAuthority"/>.</exception>
    /// <exception cref="IdentityException">The files cannot be written.</exception>
    public void Adopt(X509Certificate2 authority, X509Certificate2?[] pairs, string url, IReadOnlyList<string> withheld, bool replace)
    {
        try
        {
            GlooXHome.CreateFolder(_folder);
            using FileStream held = Lock();
            CheckMayJoin(replace);
            if (JoinedAt is null)
            {
                string kept = System.IO.Path.Combine(_folder, $"before-join-{Time.GetUtcNow():yyyyMMdd-HHmmss}-{NewNode()}");
                foreach (string file in Directory.GetFiles(_folder).Where(f => System.IO.Path.GetExtension(f) is ".crt" or ".key" || System.IO.Path.GetFileName(f) == "issued"))
                {
                    File.Move(file, System.IO.Path.Combine(GlooXHome.CreateFolder(kept), System.IO.Path.GetFileName(file)));
                }
            }

            Write(Path(JoinedFile), url);
            Withhold(withheld);
            Write(Path("ca.crt"), authority.ExportCertificatePem());
            foreach (((string name, _, _), X509Certificate2? pair) in s_pairs.Zip(pairs))
            {
                if (pair is null)
                {
                    File.Delete(Path(name + ".crt"));
                    File.Delete(Path(name + ".key"));
                }
                else
                {
                    Keep(name, pair);
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IdentityException(_folder, $"the certificates from joining cannot be saved: {e.Message}", e);
        }
    }

    public string Stamp() => FileStamp.Of(["ca.crt", "server.crt", "server.key", "client.crt", "client.key", "children.crt", "children.key", RevokedFile.Name], Path);

    public bool IsDue(IdentityParts parts) => Issues && new[] { parts.Server, parts.Client, parts.Children! }.Any(c => IsOld(c, parts.Authority));

    public void Remember(IReadOnlyList<string> serials) => _revoked.Add(serials);

    private static bool CanDelegate(X509Certificate2 authority) =>
        authority.Extensions.OfType<X509BasicConstraintsExtension>().FirstOrDefault() is { CertificateAuthority: true, PathLengthConstraint: > 0 };

    /// <summary>Whether certificates that came from joining are about to end, or lack a current address of this machine.</summary>
    public bool ShouldRenew(IdentityParts parts)
    {
        if (JoinedAt is null)
        {
            return false;
        }

        string[] withheld = File.Exists(Path(WithheldFile)) ? File.ReadAllLines(Path(WithheldFile)) : [];
        return new[] { parts.Server, parts.Client }.Any(c => IsOld(c, parts.Authority))
            || (CertificateAuthority.IsForAnswering(parts.Server) && CertificateNames.OfThisMachine().Except(withheld, StringComparer.Ordinal).Any(h => !parts.Hosts.Contains(h)));
    }

    /// <summary>Saves which names the authority withholds from this machine, so that they are not requested again.</summary>
    public void Withhold(IReadOnlyList<string> names) => Write(Path(WithheldFile), string.Join('\n', names));

    private IdentityParts LoadJoined(string url, RevokedSerials revoked)
    {
        IdentityException Unusable(string file, string why) => new(Path(file), $"{why}. Join again: gloox join {url} TOKEN (the token comes from there: gloox token)");
        try
        {
            X509Certificate2 authority = X509CertificateLoader.LoadCertificateFromFile(Path("ca.crt"));
            X509Certificate2 client = ReadPair("client") ?? throw Unusable("client.crt", "missing");
            if (CertificateNames.Roles(client) == RpcRole.Observer)
            {
                // It answers nobody, so it has no other certificate.
                return CertificateAuthority.Refusal(client, authority, server: false) is { } fault
                    ? throw Unusable("client.crt", fault)
                    : new IdentityParts(authority, client, client, [], null, revoked);
            }

            X509Certificate2 server = ReadPair("server") ?? throw Unusable("server.crt", "missing");
            foreach ((X509Certificate2 certificate, bool answers, string file) in new[] { (server, true, "server.crt"), (client, false, "client.crt") })
            {
                if (CertificateAuthority.Refusal(certificate, authority, answers) is { } why)
                {
                    throw Unusable(file, why);
                }
            }

            return new IdentityParts(authority, server, client, [], ReadPair("children"), revoked);
        }
        catch (CryptographicException e)
        {
            throw Unusable("ca.crt", e.Message);
        }
    }

    private string Path(string file) => System.IO.Path.Combine(_folder, file);

    // A certificate that ends with its authority would not last longer after renewal.
    private bool IsOld(X509Certificate2 certificate, X509Certificate2 authority) =>
        new DateTimeOffset(certificate.NotAfter) - Time.GetUtcNow() < RenewBefore && certificate.NotAfter < authority.NotAfter;

    private X509Certificate2 ReadOrIssue(
        X509Certificate2 authority, string name, RpcRole roles, CertificateUse use, string node, string[] needed, X509Certificate2? old)
    {
        bool usable = old is not null && !IsOld(old, authority) && CertificateNames.Roles(old) == roles && CertificateAuthority.IsSignedBy(old, authority);
        IReadOnlyList<string> had = usable ? CertificateNames.Hosts(old!) : [];
        if (usable && (use == CertificateUse.Client || needed.All(n => had.Contains(n, StringComparer.Ordinal))))
        {
            return old!;
        }

        // Former addresses are kept: other processes of the store may be on other networks.
        string[] hosts = use == CertificateUse.Client ? [] : [.. needed.Union(had, StringComparer.Ordinal).Take(Math.Max(MaxHosts, needed.Length))];
        var order = new CertificateOrder($"gloox {name} of {Environment.UserName} on {Environment.MachineName}", node, hosts, roles, use);
        return Make(name, () => CertificateAuthority.Issue(authority, order, Time.GetUtcNow()));
    }

    private X509Certificate2? ReadPair(string name)
    {
        string certificate = Path(name + ".crt");
        string key = Path(name + ".key");
        if (!File.Exists(certificate) || !File.Exists(key))
        {
            return null;
        }

        if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(key) & OthersMask) != UnixFileMode.None)
        {
            throw new IdentityException(key, $"the private key is readable by others. Run: chmod 600 {key}");
        }

        try
        {
            return X509Certificate2.CreateFromPemFile(certificate, key);
        }
        catch (CryptographicException e)
        {
            throw new IdentityException(certificate, $"unreadable ({e.Message}). Delete {name}.crt and {name}.key in {_folder} to have them created again", e);
        }
    }

    private X509Certificate2 Make(string name, Func<X509Certificate2> make)
    {
        X509Certificate2 made = make();
        Keep(name, made);
        return made;
    }

    private void Keep(string name, X509Certificate2 made)
    {
        using ECDsa key = made.GetECDsaPrivateKey()!;
        File.Delete(Path(name + ".crt")); // a new key does not match the old certificate
        Write(Path(name + ".key"), key.ExportPkcs8PrivateKeyPem());
        Write(Path(name + ".crt"), made.ExportCertificatePem()); // last: a pair without its certificate is created again
    }

    /// <summary>Writes a file atomically, readable by this user only.</summary>
    internal static void Write(string path, string text)
    {
        string temporary = $"{path}.{Environment.ProcessId}.tmp";
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = OwnerFile;
        }

        using (var writer = new StreamWriter(temporary, options))
        {
            writer.Write(text);
        }

        File.Move(temporary, path, overwrite: true);
    }

    private FileStream Lock()
    {
        long until = Environment.TickCount64 + (long)s_lockTimeout.TotalMilliseconds;
        while (true)
        {
            try
            {
                return new FileStream(Path(".lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (Environment.TickCount64 < until)
            {
                Thread.Sleep(20); // another process is creating the certificates: a few hundred milliseconds, once
            }
        }
    }
}

/// <summary>Revoked serial numbers, one a line; only appended to. The file <c>denied</c> of earlier versions is read too.</summary>
internal sealed class RevokedFile(string path)
{
    public const string Name = "revoked";

    private readonly string[] _files = [path, Path.Combine(Path.GetDirectoryName(path)!, "denied")];

    /// <exception cref="IdentityException">A line is no serial number. Skipping it could accept a revoked certificate.</exception>
    public IEnumerable<string> Read()
    {
        try
        {
            return [.. _files.Where(File.Exists).SelectMany(File.ReadLines).Where(l => l.Trim().Length > 0).Select(RevokedSerials.Normal)];
        }
        catch (ArgumentException e)
        {
            throw new IdentityException(path, e.Message, e);
        }
    }

    /// <exception cref="IdentityException">The files cannot be written.</exception>
    public void Add(IEnumerable<string> serials)
    {
        try
        {
            GlooXHome.CreateFolder(Path.GetDirectoryName(path)!);
            File.AppendAllLines(path, serials);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IdentityException(path, $"revoked serial numbers cannot be saved: {e.Message}", e);
        }
    }
}
