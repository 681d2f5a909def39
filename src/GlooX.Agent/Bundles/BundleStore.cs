using System.Runtime.InteropServices;
using GlooX.Channels.Replication;
using GlooX.Payloads;
using GlooX.Processes;
using GlooX.Workers;

namespace GlooX.Bundles;

/// <summary>
/// Bundles on this machine: each file once, by its hash, and bundles laid out by links to them. Any number of processes of one user share a store.
/// What is there is complete: files and bundles are made aside, checked, and then moved to their place, so a crash leaves nothing that counts.
/// </summary>
internal sealed class BundleStore : IDisposable
{
    // A stored file is written once and then bears this time. A process that writes into a file of its bundle changes it, for it is a link:
    // then the file is none of the store any more.
    private static readonly DateTime s_seal = new(2001, 1, 1, 0, 0, 0, DateTimeKind.Utc);
    private static readonly TimeSpan s_touch = TimeSpan.FromMinutes(1);
    private readonly StoreFolders _folders;
    private readonly BundleEviction _room;

    /// <param name="folder">Made if it is missing.</param>
    /// <param name="maxBytes">How much it may take; what has not been used for longest goes first, and never what runs.</param>
    /// <exception cref="IOException">The folder cannot be used.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder cannot be used.</exception>
    public BundleStore(string folder, long maxBytes)
    {
        _folders = new StoreFolders(folder);
        _room = new BundleEviction(_folders, maxBytes);
    }

    public bool Has(string id) => BundleManifest.IsHash(id) && Directory.Exists(_folders.Bundle(id));

    /// <summary>A bundle that is here; null: it is not.</summary>
    public BundleLease? TryLease(string id)
    {
        if (!Has(id))
        {
            return null;
        }

        string lockFile = _folders.Lock(id);
        FileStream? held = FileLock.TryShare(lockFile);
        if (held is null)
        {
            return null; // it is being removed at this moment
        }

        if (!Directory.Exists(_folders.Bundle(id)) || !File.Exists(lockFile))
        {
            held.Dispose();
            return null;
        }

        if (File.GetLastWriteTimeUtc(lockFile) < DateTime.UtcNow - s_touch)
        {
            File.SetLastWriteTimeUtc(lockFile, DateTime.UtcNow); // when it was used last
        }

        return new BundleLease(_folders.Content(id), lockFile, held);
    }

    /// <summary>The manifest of a bundle that is here; null: it is not.</summary>
    public async Task<BundleManifest?> ManifestAsync(string id, CancellationToken ct)
    {
        try
        {
            return Has(id) ? BundleManifest.Parse(await File.ReadAllBytesAsync(_folders.Manifest(id), ct).ConfigureAwait(false)) : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null; // it was removed meanwhile
        }
    }

    /// <summary>Which files of a manifest are not here: ascending, of equal ones the first. Those that are here are not dropped for a while.</summary>
    public int[] Missing(BundleManifest manifest)
    {
        List<int> missing = [];
        HashSet<string> seen = new(StringComparer.Ordinal);
        for (int i = 0; i < manifest.Files.Count; i++)
        {
            if (seen.Add(manifest.Files[i].Hash) && !IsHere(manifest.Files[i]))
            {
                missing.Add(i);
            }
        }

        return [.. missing];
    }

    /// <summary>Takes files of a manifest, one after the other without anything between, and keeps those whose size and hash are right.</summary>
    /// <exception cref="BundleException">They are not what was announced, they do not fit, or nothing comes for a minute.</exception>
    public async Task ReceiveAsync(BundleManifest manifest, int[] indexes, IAsyncEnumerable<byte[]> content, CancellationToken ct)
    {
        if (indexes.Where((index, n) => index < 0 || index >= manifest.Files.Count || (n > 0 && index <= indexes[n - 1])).Any())
        {
            throw new BundleException("the files that are sent are not those of the manifest, each once and in order");
        }

        using BundleReservation reserved = await _room.ReserveAsync(indexes.Sum(i => manifest.Files[i].Size), manifest, ct).ConfigureAwait(false);
        var source = new FileSplitter(content, ct);
        await using (source.ConfigureAwait(false))
        {
            foreach (BundleFile file in indexes.Select(i => manifest.Files[i]))
            {
                await ReceiveAsync(file, source).ConfigureAwait(false);
                reserved.Reduce(file.Size);
            }

            await source.EndAsync().ConfigureAwait(false);
        }
    }

    /// <summary>Makes a bundle of files that are here; false: one is not here any more.</summary>
    /// <exception cref="BundleException">It does not fit.</exception>
    public async Task<bool> LayOutAsync(BundleManifest manifest, CancellationToken ct)
    {
        string bundle = _folders.Bundle(manifest.Id);
        if (Directory.Exists(bundle))
        {
            return true;
        }

        long copies = manifest.Files.Where(static f => f.Executable).Sum(static f => f.Size);
        using BundleReservation reserved = await _room.ReserveAsync(copies, manifest, ct).ConfigureAwait(false);
        string unfinished = GlooXHome.CreateFolder(_folders.NewIncoming());
        try
        {
            foreach (BundleFile file in manifest.Files)
            {
                ct.ThrowIfCancellationRequested();
                string to = Path.Combine(unfinished, "files", file.Path);
                GlooXHome.CreateFolder(Path.GetDirectoryName(to)!);
                if (!IsHere(file) || !Place(file, to))
                {
                    return false;
                }
            }

            FileStream list = File.Create(Path.Combine(unfinished, "manifest"));
            await using (list.ConfigureAwait(false))
            {
                await list.WriteAsync(manifest.Bytes, ct).ConfigureAwait(false);
                list.Flush(flushToDisk: true);
            }

            FileLock.TryShare(_folders.Lock(manifest.Id))?.Dispose(); // makes it, with the time of now
            Directory.Move(unfinished, bundle);
            return true;
        }
        catch (IOException) when (Directory.Exists(bundle))
        {
            return true; // somebody else was first
        }
        finally
        {
            WorkFolder.Remove(unfinished);
        }
    }

    public void Dispose() => _folders.Dispose();

    private bool IsHere(BundleFile file)
    {
        var found = new FileInfo(_folders.File(file.Hash));
        if (!found.Exists)
        {
            return false;
        }

        if (found.LastWriteTimeUtc != s_seal)
        {
            found.Delete(); // spoiled; those who have a link keep it
            return false;
        }

        if (found.Length != file.Size)
        {
            return false; // the manifest lies
        }

        try
        {
            found.LastAccessTimeUtc = DateTime.UtcNow; // it is wanted
            return true;
        }
        catch (FileNotFoundException)
        {
            return false; // it was dropped meanwhile
        }
    }

    // A link, so that a file takes its place on the disk once; but links share the mode, so what is to be run is copied.
    private bool Place(BundleFile file, string to)
    {
        string from = _folders.File(file.Hash);
        try
        {
            if (!file.Executable && OperatingSystem.IsLinux() && Link(from, to) == 0)
            {
                return true;
            }

            File.Copy(from, to);
            if (!OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(to, UnixFileMode.UserRead | (file.Executable ? UnixFileMode.UserExecute : UnixFileMode.None));
            }

            return true;
        }
        catch (FileNotFoundException)
        {
            return false;
        }
    }

    private async Task ReceiveAsync(BundleFile file, FileSplitter source)
    {
        string unfinished = _folders.NewIncoming();
        try
        {
            FileStream to = new(unfinished, FileMode.CreateNew, FileAccess.Write, FileShare.None, bufferSize: 0, FileOptions.Asynchronous);
            await using (to.ConfigureAwait(false))
            {
                await source.CopyAsync(file, to).ConfigureAwait(false);
                to.Flush(flushToDisk: true);
            }

            if (!OperatingSystem.IsWindows())
            {
                File.SetUnixFileMode(unfinished, UnixFileMode.UserRead);
            }

            File.SetLastWriteTimeUtc(unfinished, s_seal);
            string place = _folders.File(file.Hash);
            GlooXHome.CreateFolder(Path.GetDirectoryName(place)!);
            File.Move(unfinished, place, overwrite: true); // over an equal one that somebody else received meanwhile
        }
        catch (IOException e)
        {
            throw new BundleException($"'{file.Path}' cannot be kept: {e.Message}", e);
        }
        finally
        {
            File.Delete(unfinished);
        }
    }

#pragma warning disable SYSLIB1054, CA5392 // plain libc
    [DllImport("libc", EntryPoint = "link")]
    private static extern int Link([MarshalAs(UnmanagedType.LPUTF8Str)] string from, [MarshalAs(UnmanagedType.LPUTF8Str)] string to);
#pragma warning restore SYSLIB1054, CA5392
}
