using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace GlooX.Payloads;

/// <summary>Hashes of files of this machine, each read once as long as its time and size stay. Thread-safe.</summary>
internal static class FileHashes
{
    private const int Most = 100_000;

    // A file that was written within a clock tick of its reading may be written again within the same tick: it is read again next time.
    private static readonly TimeSpan s_settled = TimeSpan.FromMilliseconds(100);
    private static readonly string s_empty = Convert.ToHexStringLower(SHA256.HashData([]));
    private static readonly ConcurrentDictionary<string, (DateTime Time, long Size, string Hash)> s_known = new(StringComparer.Ordinal);

    /// <summary>SHA-256 in lower-case hexadecimal digits.</summary>
    public static async ValueTask<string> OfAsync(FileInfo file, CancellationToken ct)
    {
        (DateTime time, long size) = (file.LastWriteTimeUtc, file.Length);
        if (size == 0)
        {
            return s_empty; // pipes and sockets are such files too: opening one could wait for ever
        }

        if (s_known.TryGetValue(file.FullName, out (DateTime Time, long Size, string Hash) known) && known.Time == time
            && known.Size == size)
        {
            return known.Hash;
        }

        bool settled = DateTime.UtcNow - time > s_settled;
        FileStream content =
            new(file.FullName, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 1,
            FileOptions.Asynchronous | FileOptions.SequentialScan);
        await using (content.ConfigureAwait(false))
        {
            string hash = Convert.ToHexStringLower(await SHA256.HashDataAsync(content, ct).ConfigureAwait(false));
            if (settled)
            {
                if (s_known.Count >= Most)
                {
                    s_known.Clear();
                }

                s_known[file.FullName] = (time, size, hash);
            }

            return hash;
        }
    }
}
