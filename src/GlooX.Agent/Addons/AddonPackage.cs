using System.IO.Compression;
using System.Security.Cryptography;
using GlooX.Contracts;
using GlooX.Payloads;
using GlooX.Workers;

namespace GlooX.Addons;

/// <summary>An add-on with its code, as it travels to all nodes.</summary>
/// <param name="Main">The file name of its assembly.</param>
/// <param name="Class">The class; null: the only one.</param>
/// <param name="Files">A ZIP archive of its assembly and those beside it.</param>
/// <param name="Request">All else.</param>
internal sealed record AddonPackage(string Main, string? Class, byte[] Files, AddonRequest Request)
{
    /// <summary>Of the archive, in bytes; and of what comes out of it.</summary>
    public const int MostBytes = 6 * 1024 * 1024;
    private const long MostUnpacked = 64L * 1024 * 1024;

    /// <summary>Builds the source if it must be, and packs what it needs besides GlooX.</summary>
    /// <exception cref="AddonException"><see cref="AddonError.BadSource"/>.</exception>
    public static async Task<AddonPackage> PackAsync(string name, AddonSource source, AddonOptions? options, CancellationToken ct)
    {
        string main;
        try
        {
            main = await Payload.AssemblyOfAsync(source.Path, ct).ConfigureAwait(false);
        }
        catch (SpawnException e)
        {
            throw new AddonException(AddonError.BadSource, $"the add-on '{name}' was not attached: {e.Message}", e);
        }

        using var archive = new MemoryStream();
        using (var zip = new ZipArchive(archive, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach (string file in Directory.EnumerateFiles(Path.GetDirectoryName(main)!).Where(f => IsNeeded(f, main)))
            {
                await zip.CreateEntryFromFileAsync(file, Path.GetFileName(file), CompressionLevel.Optimal, ct).ConfigureAwait(false);
            }
        }

        return archive.Length <= MostBytes
            ? new AddonPackage(Path.GetFileName(main), source.Class, archive.ToArray(), AddonRequest.Of(name, source, options))
            : throw new AddonException(AddonError.BadSource, $"the add-on '{name}' was not attached: its files take {archive.Length / 1048576.0:0.0} MiB packed, and at most {MostBytes / 1048576} MiB go to all nodes. Leave in the folder of {main} only what it needs");
    }

    /// <summary>Puts the files into a folder of this user's, named by their hash, unless they are there.</summary>
    /// <returns>Where the code lies here.</returns>
    /// <exception cref="AddonException"><see cref="AddonError.BadSource"/>: it is no such archive, or too large.</exception>
    public async Task<AddonSource> UnpackAsync(CancellationToken ct)
    {
        string folder = Path.Combine(GlooXHome.CreateFolder(Path.Combine(GlooXHome.Path, "addons")), Convert.ToHexStringLower(SHA256.HashData(Files)));
        if (!Directory.Exists(folder))
        {
            string unfinished = GlooXHome.CreateFolder($"{folder}.{Guid.NewGuid():N}");
            try
            {
                await ExtractAsync(unfinished, ct).ConfigureAwait(false);
                Directory.Move(unfinished, folder);
            }
            catch (IOException) when (Directory.Exists(folder))
            {
                WorkFolder.Remove(unfinished); // another agent of this user was first
            }
            catch
            {
                WorkFolder.Remove(unfinished);
                throw;
            }
        }

        return new AddonSource(Path.Combine(folder, Path.GetFileName(Main)), Class);
    }

    private static bool IsNeeded(string file, string main) =>
        Path.GetFileName(file) == Path.GetFileNameWithoutExtension(main) + ".deps.json"
        || (Path.GetExtension(file) == ".dll" && !PayloadContext.IsShared(Path.GetFileNameWithoutExtension(file)));

    private async Task ExtractAsync(string folder, CancellationToken ct)
    {
        try
        {
            using var zip = new ZipArchive(new MemoryStream(Files), ZipArchiveMode.Read);
            if (zip.Entries.Sum(static e => e.Length) > MostUnpacked)
            {
                throw new InvalidDataException($"it holds more than {MostUnpacked / 1048576} MiB");
            }

            long written = 0;
            foreach (ZipArchiveEntry entry in zip.Entries)
            {
                if (entry.Name.Length == 0 || entry.FullName != entry.Name)
                {
                    throw new InvalidDataException($"'{entry.FullName}' is no name of a file");
                }

                using Stream from = await entry.OpenAsync(ct).ConfigureAwait(false);
                using FileStream to = File.Create(Path.Combine(folder, entry.Name));
                byte[] buffer = new byte[64 * 1024];
                for (int read; (read = await from.ReadAsync(buffer, ct).ConfigureAwait(false)) > 0;)
                {
                    written += read; // an archive may lie about sizes
                    if (written > MostUnpacked)
                    {
                        throw new InvalidDataException($"it holds more than {MostUnpacked / 1048576} MiB");
                    }

                    await to.WriteAsync(buffer.AsMemory(0, read), ct).ConfigureAwait(false);
                }
            }
        }
        catch (InvalidDataException e)
        {
            throw new AddonException(AddonError.BadSource, $"the add-on '{Request.Name}' came in a faulty archive: {e.Message}", e);
        }
    }
}
