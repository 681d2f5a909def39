namespace GlooX.Tls;

/// <summary>Revocations on disk, one a line, written whole under the lock of the folder. The file <c>denied</c> of earlier versions is read too.</summary>
internal sealed class RevokedFile(string folder)
{
    public const string Name = "revoked";
    private readonly string _path = Path.Combine(folder, Name);
    private readonly string _old = Path.Combine(folder, "denied");

    /// <exception cref="IdentityException">A line is damaged. Skipping it could accept a revoked certificate.</exception>
    public IReadOnlyList<Revocation> Read()
    {
        try
        {
            return [.. new[] { _path, _old }.Where(File.Exists).SelectMany(File.ReadLines).Where(l => l.Trim().Length > 0).Select(Revocation.Parse)];
        }
        catch (ArgumentException e)
        {
            throw new IdentityException(_path, e.Message, e);
        }
    }

    /// <exception cref="IdentityException">The file cannot be written.</exception>
    public void Add(IEnumerable<Revocation> said)
    {
        try
        {
            GlooXHome.CreateFolder(folder);
            using FileStream held = StoreLock.Take(folder);
            var all = new RevocationList();
            all.Add(Read());
            all.Add(said);
            IdentityStore.Write(_path, string.Concat(all.All.Select(r => $"{r}\n")));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new IdentityException(_path, $"revocations cannot be saved: {e.Message}", e);
        }
    }
}

/// <summary>The lock of an identity store, among processes.</summary>
internal static class StoreLock
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(20);

    /// <exception cref="IOException">Another process holds the lock for too long, or the folder cannot be written.</exception>
    public static FileStream Take(string folder)
    {
        long until = Environment.TickCount64 + (long)s_timeout.TotalMilliseconds;
        while (true)
        {
            try
            {
                return new FileStream(Path.Combine(folder, ".lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException) when (Environment.TickCount64 < until)
            {
                Thread.Sleep(20); // another process is creating the certificates: a few hundred milliseconds, once
            }
        }
    }
}
