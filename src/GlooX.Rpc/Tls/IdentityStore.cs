using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace GlooX.Tls;

/// <summary>
/// The user's own certificates on disk: <c>ca.crt/key</c>, <c>server.crt/key</c>, <c>client.crt/key</c>, made on first use, the folder
/// 0700 and the keys 0600. Safe against two processes that open it at once; a crash in the middle leaves nothing half-made.
/// </summary>
internal sealed class IdentityStore
{
    private const UnixFileMode OwnerFile = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode OthersMask = (UnixFileMode)0b000_111_111;

    // Made anew this long before it ends, so that a long-running process never holds a certificate that is about to end.
    private static readonly TimeSpan s_renewBefore = TimeSpan.FromDays(30);
    private static readonly TimeSpan s_lockTimeout = TimeSpan.FromSeconds(20);
    private readonly string _folder;

    internal IdentityStore(string folder) => _folder = folder;

    /// <summary>The store in <see cref="GlooXHome.Path"/>.</summary>
    public static IdentityStore Open() => new(GlooXHome.Path);

    /// <summary>The identity in the store; made if it is not there, renewed if it is about to end.</summary>
    /// <exception cref="IdentityException">A file is unreadable, open to others, or not what it should be.</exception>
    public Identity Load()
    {
        try
        {
            GlooXHome.CreateFolder(_folder);
            using FileStream held = Lock();
            X509Certificate2 authority = ReadPair("ca") ?? Make("ca", () => CertificateAuthority.Create($"GlooX of {Environment.UserName} on {Environment.MachineName}", DateTimeOffset.UtcNow));
            return new Identity(
                X509CertificateLoader.LoadCertificate(authority.RawData),
                ReadOrIssue(authority, "server", true),
                ReadOrIssue(authority, "client", false),
                Path("server.crt"),
                Path("client.crt"));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IdentityException(_folder, $"the identity store cannot be used: {e.Message}. Set GLOOX_HOME to a folder that this user owns", e);
        }
    }

    private string Path(string file) => System.IO.Path.Combine(_folder, file);

    private X509Certificate2 ReadOrIssue(X509Certificate2 authority, string name, bool server)
    {
        if (ReadPair(name) is { } pair && pair.NotAfter - DateTime.Now > s_renewBefore
            && pair.IssuerName.RawData.AsSpan().SequenceEqual(authority.SubjectName.RawData))
        {
            return pair;
        }

        return Make(name, () => CertificateAuthority.Issue(authority, $"gloox {name} of {Environment.UserName} on {Environment.MachineName}", server, DateTimeOffset.UtcNow));
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
            throw new IdentityException(key, $"the private key is open to others. Run: chmod 600 {key}");
        }

        try
        {
            return X509Certificate2.CreateFromPemFile(certificate, key);
        }
        catch (CryptographicException e)
        {
            throw new IdentityException(certificate, $"unreadable ({e.Message}). Delete {name}.crt and {name}.key in {_folder} to have them made anew", e);
        }
    }

    private X509Certificate2 Make(string name, Func<X509Certificate2> make)
    {
        X509Certificate2 made = make();
        using ECDsa key = made.GetECDsaPrivateKey()!;
        File.Delete(Path(name + ".crt")); // a new key beside the old certificate would be no pair
        Write(Path(name + ".key"), key.ExportPkcs8PrivateKeyPem());
        Write(Path(name + ".crt"), made.ExportCertificatePem()); // last: a pair without its certificate is made anew
        return made;
    }

    private static void Write(string path, string text)
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
                Thread.Sleep(20); // another process is making the certificates: at most a few hundred milliseconds, once in its life
            }
        }
    }
}

/// <summary>Where GlooX keeps what outlives a process: <c>$GLOOX_HOME</c>, default <c>~/.gloox</c>.</summary>
internal static class GlooXHome
{
    public static string Path
    {
        get
        {
            if (Environment.GetEnvironmentVariable("GLOOX_HOME") is { Length: > 0 } home)
            {
                return System.IO.Path.GetFullPath(home);
            }

            string user = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
            return user.Length > 0
                ? System.IO.Path.Combine(user, ".gloox")
                : throw new IdentityException("GLOOX_HOME", "this user has no home folder. Set GLOOX_HOME to a folder that this user owns");
        }
    }

    /// <summary>Creates a folder that only this user can enter.</summary>
    public static string CreateFolder(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(path);
        }
        else
        {
            Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }

        return path;
    }
}
