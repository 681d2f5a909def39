using GlooX.Channels.Replication;
using GlooX.Payloads;
using GlooX.Processes;
using GlooX.Workers;

namespace GlooX.Bundles;

/// <summary>
/// Keeps a store within its bound: removes bundles that are not held, those not used for longest first, and files that no bundle has. One
/// process at a time does it.
/// </summary>
internal sealed class BundleEviction(StoreFolders folders, long maxBytes)
{
    // Files that came for a bundle that is not laid out yet are nobody's; after this long, nobody waits for them.
    private static readonly TimeSpan s_unclaimed = TimeSpan.FromMinutes(10);

    /// <summary>
    /// Makes room for so much more, and reserves it: nobody else who makes room, in whichever process, counts on it until the reservation is
    /// disposed. What has come is taken off the reservation, since it counts as what is there.
    /// </summary>
    /// <param name="bytes">How much.</param>
    /// <param name="keep">Whose files stay.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <exception cref="BundleException">It does not, even without all that may go.</exception>
    public async Task<BundleReservation> ReserveAsync(long bytes, BundleManifest keep, CancellationToken ct)
    {
        if (bytes == 0)
        {
            return BundleReservation.Nothing;
        }

        FileStream alone = await FileLock.TakeAsync(folders.RoomLock, ct).ConfigureAwait(false);
        await using (alone.ConfigureAwait(false))
        {
            List<Laid> laid = [.. Directory.EnumerateDirectories(folders.Bundles).Select(Read).OfType<Laid>().OrderBy(static l => l.Used)];
            Dictionary<string, int> claims = new(StringComparer.Ordinal);
            long total = folders.Reserved();
            foreach (Laid bundle in laid)
            {
                total += bundle.Copies;
                foreach (string hash in bundle.Hashes)
                {
                    claims[hash] = claims.GetValueOrDefault(hash) + 1;
                }
            }

            foreach (string hash in keep.Files.Select(static f => f.Hash))
            {
                claims[hash] = claims.GetValueOrDefault(hash) + 1;
            }

            Dictionary<string, long> sizes = new(StringComparer.Ordinal);
            foreach (FileInfo file in new DirectoryInfo(folders.Files).EnumerateFiles("*", SearchOption.AllDirectories).Where(static f => f.Exists))
            {
                if (claims.ContainsKey(file.Name) || file.LastAccessTimeUtc > DateTime.UtcNow - s_unclaimed)
                {
                    sizes[file.Name] = file.Length;
                    total += file.Length;
                }
                else
                {
                    file.Delete();
                }
            }

            foreach (Laid oldest in laid)
            {
                if (total <= maxBytes - bytes)
                {
                    break;
                }

                if (oldest.Id != keep.Id && Remove(oldest.Id))
                {
                    total -= oldest.Copies;
                    foreach (string hash in oldest.Hashes.Where(h => --claims[h] == 0 && sizes.ContainsKey(h)))
                    {
                        File.Delete(folders.File(hash));
                        total -= sizes[hash];
                    }
                }
            }

            if (total > maxBytes - bytes)
            {
                throw new BundleException($"there is no room for {bytes} bytes among the bundles in {folders.Root}: {total} bytes of {maxBytes} are in use by what runs or is on its way. Raise AgentOptions.MaxBundleBytes, or end processes");
            }

            return new BundleReservation(folders.NewReservation(), bytes);
        }
    }

    private Laid? Read(string bundle)
    {
        string id = Path.GetFileName(bundle);
        try
        {
            BundleManifest manifest = BundleManifest.Parse(File.ReadAllBytes(folders.Manifest(id)));
            return new Laid(
                id,
                File.GetLastWriteTimeUtc(folders.Lock(id)),
                manifest.Files.Where(static f => f.Executable).Sum(static f => f.Size),
                [.. manifest.Files.Select(static f => f.Hash).Distinct(StringComparer.Ordinal)]);
        }
        catch (Exception e) when (e is IOException or BundleException)
        {
            return Remove(id) ? null : new Laid(id, DateTime.UtcNow, 0, []); // spoiled
        }
    }

    private bool Remove(string id)
    {
        using FileStream? unused = FileLock.TryTake(folders.Lock(id));
        if (unused is null)
        {
            return false;
        }

        string aside = folders.NewIncoming();
        Directory.Move(folders.Bundle(id), aside); // at once, or not at all
        WorkFolder.Remove(aside);
        return true;
    }

    private sealed record Laid(string Id, DateTime Used, long Copies, string[] Hashes);
}
