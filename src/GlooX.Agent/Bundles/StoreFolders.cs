using GlooX.Payloads;
using GlooX.Workers;

namespace GlooX.Bundles;

/// <summary>
/// Where a store keeps what: <c>files</c> by hash, <c>bundles</c> laid out by id (each with its <c>manifest</c> and its <c>files</c>), <c>locks</c>
/// by id, and <c>incoming</c>, a folder for each process, from where what is complete moves to its place. All in one file system.
/// </summary>
internal sealed class StoreFolders : IDisposable
{
    private const string ReservationSuffix = ".reserved";
    private static readonly TimeSpan s_keepLock = TimeSpan.FromDays(1);
    private readonly FileStream _mine;

    public StoreFolders(string root)
    {
        Root = GlooXHome.CreateFolder(root);
        Files = GlooXHome.CreateFolder(Path.Combine(root, "files"));
        Bundles = GlooXHome.CreateFolder(Path.Combine(root, "bundles"));
        Locks = GlooXHome.CreateFolder(Path.Combine(root, "locks"));
        string incoming = AllIncoming = GlooXHome.CreateFolder(Path.Combine(root, "incoming"));
        Sweep(incoming);
        SweepLocks();

        // Its lock first: a folder without one is a leftover.
        Incoming = Path.Combine(incoming, Guid.NewGuid().ToString("N"));
        _mine = FileLock.TryTake(Incoming + ".lock")!;
        GlooXHome.CreateFolder(Incoming);
    }

    public string Root { get; }

    public string Files { get; }

    public string Bundles { get; }

    public string Locks { get; }

    /// <summary>This store's own.</summary>
    public string Incoming { get; }

    private string AllIncoming { get; }

    /// <summary>Taken by whoever makes room.</summary>
    public string RoomLock => Path.Combine(Root, "room.lock");

    public string File(string hash) => Path.Combine(Files, hash[..2], hash);

    public string Bundle(string id) => Path.Combine(Bundles, id);

    public string Content(string id) => Path.Combine(Bundles, id, "files");

    public string Manifest(string id) => Path.Combine(Bundles, id, "manifest");

    public string Lock(string id) => Path.Combine(Locks, id);

    public string NewIncoming() => Path.Combine(Incoming, Guid.NewGuid().ToString("N"));

    /// <summary>A file that is as long as what its maker has reserved. It ends with its maker, who removes it, or whose folder is swept.</summary>
    public string NewReservation() => NewIncoming() + ReservationSuffix;

    /// <summary>How many bytes are reserved by all processes that live. Under <see cref="RoomLock"/>.</summary>
    public long Reserved()
    {
        Sweep(AllIncoming);
        return new DirectoryInfo(AllIncoming).EnumerateFiles("*" + ReservationSuffix, new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 1 })
            .Sum(static f => LengthOf(f));
    }

    public void Dispose()
    {
        try
        {
            WorkFolder.Remove(Incoming);
            System.IO.File.Delete(Incoming + ".lock");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // something was still coming in: the next start sweeps it
        }
        finally
        {
            _mine.Dispose();
        }
    }

    // What processes left that died in the middle.
    private static void Sweep(string incoming)
    {
        foreach (string folder in Directory.EnumerateDirectories(incoming))
        {
            Remove(folder + ".lock", () => WorkFolder.Remove(folder));
        }

        foreach (string alone in Directory.EnumerateFiles(incoming, "*.lock").Where(static l => !Directory.Exists(l[..^5])))
        {
            Remove(alone, static () => { });
        }
    }

    // Locks of bundles that are long gone.
    private void SweepLocks()
    {
        foreach (string id in Directory.EnumerateFiles(Locks))
        {
            if (!Directory.Exists(Bundle(Path.GetFileName(id))) && System.IO.File.GetLastWriteTimeUtc(id) < DateTime.UtcNow - s_keepLock)
            {
                Remove(id, static () => { });
            }
        }
    }

    private static long LengthOf(FileInfo file)
    {
        try
        {
            return file.Length;
        }
        catch (FileNotFoundException)
        {
            return 0; // given back meanwhile
        }
    }

    private static void Remove(string lockFile, Action also)
    {
        try
        {
            using FileStream? dead = FileLock.TryTake(lockFile);
            if (dead is not null)
            {
                also();
                System.IO.File.Delete(lockFile);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // another process sweeps it
        }
    }
}
