using GlooX.Workers;

namespace GlooX.Payloads;

/// <summary>
/// A build that stays as long as this is held: by a lock that the system keeps, and that counts between all processes of this user.
/// </summary>
internal sealed class BuildLease(string main, FileStream held) : IDisposable
{
    /// <summary>Its main assembly.</summary>
    public string Main { get; } = main;

    public void Dispose() => held.Dispose();
}

/// <summary>
/// What was built, each in a folder that is named by the hash of its source, with a lock beside it whose time tells when it was used last.
/// Those not used for longest go when they take too much together; one that is held never goes.
/// </summary>
internal static class Builds
{
    /// <summary>How much they may take.</summary>
    public const long MaxBytes = 5_000_000_000;
    private const string Unfinished = ".unfinished";
    private const string Lock = ".lock";
    private static readonly TimeSpan s_keepLock = TimeSpan.FromDays(1);

    public static string Folder => GlooXHome.CreateFolder(Path.Combine(GlooXHome.Path, "builds"));

    public static string LockOf(string folder) => folder + Lock;

    /// <summary>Where a build is made, before it is moved to its place.</summary>
    public static string UnfinishedOf(string folder) => folder + Unfinished;

    /// <summary>A build that is there; null: it is not.</summary>
    public static FileStream? TryHold(string folder)
    {
        if (!Directory.Exists(folder) || FileLock.TryShare(LockOf(folder)) is not { } held)
        {
            return null;
        }

        if (!Directory.Exists(folder) || !File.Exists(LockOf(folder)))
        {
            held.Dispose(); // it was removed at this moment
            return null;
        }

        File.SetLastWriteTimeUtc(LockOf(folder), DateTime.UtcNow);
        return held;
    }

    /// <summary>Removes what is too much, and what those left who died while they built. One process at a time does it.</summary>
    /// <param name="root">Where the builds are.</param>
    /// <param name="maxBytes">How much they may take.</param>
    public static void Trim(string root, long maxBytes)
    {
        try
        {
            using FileStream? alone = FileLock.TryTake(Path.Combine(root, "room.lock"));
            if (alone is null)
            {
                return;
            }

            foreach (string unfinished in Directory.GetDirectories(root, "*" + Unfinished))
            {
                Remove(unfinished[..^Unfinished.Length], null);
            }

            (string Folder, DateTime Used, long Bytes)[] all = [.. Directory.GetDirectories(root)
                .Where(static f => !f.EndsWith(Unfinished, StringComparison.Ordinal))
                .Select(static f => (f, File.GetLastWriteTimeUtc(LockOf(f)), FolderSize.Of(f))).OrderBy(static b => b.Item2)];
            long total = all.Sum(static b => b.Bytes);
            foreach ((string folder, _, long bytes) in all)
            {
                if (total <= maxBytes)
                {
                    break;
                }

                total -= Remove(folder, folder) ? bytes : 0;
            }

            foreach (string old in Directory.GetFiles(root, "*" + Lock)
                .Where(static l => !Directory.Exists(l[..^Lock.Length]) && File.GetLastWriteTimeUtc(l) < DateTime.UtcNow - s_keepLock))
            {
                using FileStream? unused = FileLock.TryTake(old);
                if (unused is not null)
                {
                    File.Delete(old);
                }
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // the next build tries it again
        }
    }

    // First aside, so that it is there as a whole or not at all.
    private static bool Remove(string folder, string? first)
    {
        using FileStream? unused = FileLock.TryTake(LockOf(folder));
        if (unused is null)
        {
            return false;
        }

        if (first is not null)
        {
            Directory.Move(first, UnfinishedOf(folder));
        }

        if (Directory.Exists(UnfinishedOf(folder)))
        {
            WorkFolder.Remove(UnfinishedOf(folder));
        }

        return true;
    }
}
