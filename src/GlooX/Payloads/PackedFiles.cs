using System.Runtime.CompilerServices;

namespace GlooX.Payloads;

/// <summary>A bundle whose files lie here, wherever they are: the side that sends.</summary>
internal sealed class PackedFiles
{
    private const int PieceBytes = 64 * 1024;
    private readonly Dictionary<string, string> _sources;

    private PackedFiles(BundleManifest manifest, Dictionary<string, string> sources)
    {
        Manifest = manifest;
        _sources = sources;
    }

    public BundleManifest Manifest { get; }

    /// <summary>Why a reading failed: who gets the content over a connection hears only that it broke off.</summary>
    public BundleException? Failure { get; private set; }

    /// <summary>Looks at every file; reads those that have changed since they were read last.</summary>
    /// <param name="files">Path in the bundle, and where it lies.</param>
    /// <param name="runnable">Path in the bundle of a file that is to be run whatever its mode says; null: none.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <exception cref="BundleException">A file cannot be read or its name cannot travel.</exception>
    public static async Task<PackedFiles> PackAsync(IEnumerable<(string Path, string Source)> files, string? runnable, CancellationToken ct)
    {
        List<BundleFile> packed = [];
        Dictionary<string, string> sources = new(StringComparer.Ordinal);
        foreach ((string path, string source) in files)
        {
            try
            {
                var file = new FileInfo(source);
                if (file.LinkTarget is not null && file.ResolveLinkTarget(returnFinalTarget: true) is FileInfo target)
                {
                    file = target;
                }

                bool executable = path == runnable
                    || (!OperatingSystem.IsWindows() && (file.UnixFileMode & UnixFileMode.UserExecute) != UnixFileMode.None);
                packed.Add(new BundleFile(path, file.Length, await FileHashes.OfAsync(file, ct).ConfigureAwait(false), executable));
                sources[path] = source;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                throw new BundleException($"{source} cannot be packed: {e.Message}", e);
            }
        }

        return new PackedFiles(BundleManifest.Of(packed), sources);
    }

    /// <summary>The files of a bundle that is laid out in a folder.</summary>
    public static PackedFiles In(string folder, BundleManifest manifest) =>
        new(manifest, manifest.Files.ToDictionary(static f => f.Path, f => Path.Combine(folder, f.Path), StringComparer.Ordinal));

    /// <summary>The content of some files, one after the other, in pieces.</summary>
    /// <exception cref="BundleException">A file has changed or cannot be read.</exception>
    public async IAsyncEnumerable<byte[]> ReadAsync(
        int[] indexes, IProgress<long>? sent, [EnumeratorCancellation] CancellationToken ct = default)
    {
        foreach (BundleFile file in indexes.Select(i => Manifest.Files[i]).Where(static f => f.Size > 0))
        {
            FileStream content = Open(_sources[file.Path]);
            await using (content.ConfigureAwait(false))
            {
                for (long missing = file.Size; missing > 0;)
                {
                    byte[] piece = new byte[(int)Math.Min(missing, PieceBytes)];
                    if (await content.ReadAtLeastAsync(piece, piece.Length, throwOnEndOfStream: false, ct)
                        .ConfigureAwait(false) < piece.Length)
                    {
                        throw Failed($"{_sources[file.Path]} has become shorter while it was sent");
                    }

                    missing -= piece.Length;
                    yield return piece;
                    sent?.Report(piece.Length);
                }
            }
        }
    }

    private BundleException Failed(string message, Exception? inner = null) => Failure = new BundleException(message, inner);

    private FileStream Open(string source)
    {
        try
        {
            return new FileStream(
                source, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 1,
                FileOptions.Asynchronous | FileOptions.SequentialScan);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Failed($"{source} cannot be read: {e.Message}", e);
        }
    }
}
