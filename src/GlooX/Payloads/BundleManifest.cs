using System.Buffers;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace GlooX.Payloads;

/// <summary>One file of a bundle.</summary>
/// <param name="Path">Relative, with <c>/</c> between names.</param>
/// <param name="Size">In bytes.</param>
/// <param name="Hash">SHA-256 of its content: 64 lower-case hexadecimal digits.</param>
/// <param name="Executable">Whether it may be run.</param>
internal sealed record BundleFile(string Path, long Size, string Hash, bool Executable);

/// <summary>
/// What a bundle consists of. Its canonical form is a text: a line that names the format, then for each file, ordered by path (ordinal), a
/// line of hash, size, <c>x</c> or <c>-</c>, and path. The SHA-256 of that text names the bundle: equal id, equal files. A manifest comes
/// from any caller: a list that is not canonical, or would leave the bundle's folder, is refused as a whole.
/// </summary>
internal sealed class BundleManifest
{
    /// <summary>Files in a bundle.</summary>
    public const int MostFiles = 20_000;

    /// <summary>Of the canonical form, in bytes.</summary>
    public const int MostBytes = 4 * 1024 * 1024;

    private const int LongestPath = 1024;
    private const int LongestName = 255;
    private const long LargestFile = 1L << 40; // times MostFiles it still fits into a long
    private const string Head = "gloox-bundle 1";
    private static readonly SearchValues<char> s_digits = SearchValues.Create("0123456789abcdef");
    private static readonly UTF8Encoding s_utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private BundleManifest(IReadOnlyList<BundleFile> files, byte[] bytes)
    {
        Files = files;
        Bytes = bytes;
        Id = Convert.ToHexStringLower(SHA256.HashData(bytes));
        Size = files.Sum(static f => f.Size);
    }

    /// <summary>The bundle's name.</summary>
    public string Id { get; }

    /// <summary>By path.</summary>
    public IReadOnlyList<BundleFile> Files { get; }

    /// <summary>The canonical form.</summary>
    public byte[] Bytes { get; }

    /// <summary>Of all files together.</summary>
    public long Size { get; }

    /// <exception cref="BundleException">A path, hash or size is none, a path is there twice or goes through a file, or it is too
    /// much.</exception>
    public static BundleManifest Of(IEnumerable<BundleFile> files)
    {
        BundleFile[] all = [.. files.OrderBy(static f => f.Path, StringComparer.Ordinal)];
        if (all.Length is 0 or > MostFiles)
        {
            throw new BundleException($"a bundle of {all.Length} files: it must have 1 to {MostFiles}");
        }

        var text = new StringBuilder(Head).Append('\n');
        HashSet<string> paths = new(StringComparer.Ordinal), folders = new(StringComparer.Ordinal);
        foreach (BundleFile file in all)
        {
            Check(file);
            if (!paths.Add(file.Path))
            {
                throw new BundleException($"'{file.Path}' is in the bundle twice");
            }

            for (int slash = file.Path.LastIndexOf('/'); slash > 0
                && folders.Add(file.Path[..slash]); slash = file.Path.LastIndexOf('/', slash - 1))
            {
                // the folders above it, up to one that is known
            }

            text.Append(file.Hash).Append(' ').Append(file.Size.ToString(CultureInfo.InvariantCulture))
                .Append(file.Executable ? " x " : " - ").Append(file.Path).Append('\n');
        }

        if (all.FirstOrDefault(f => folders.Contains(f.Path)) is { } both)
        {
            throw new BundleException($"'{both.Path}' is a file and a folder at once");
        }

        byte[] bytes = s_utf8.GetBytes(text.ToString());
        return bytes.Length <= MostBytes ? new BundleManifest(all, bytes)
            : throw new BundleException(
            $"the list of its files takes {bytes.Length} bytes, and at most {MostBytes} are allowed: put fewer files into the payload's folder, or an archive of them");
    }

    /// <exception cref="BundleException">It is not in canonical form.</exception>
    public static BundleManifest Parse(byte[] bytes)
    {
        if (bytes.Length > MostBytes)
        {
            throw new BundleException($"a manifest of {bytes.Length} bytes: at most {MostBytes} are allowed");
        }

        string[] lines;
        try
        {
            lines = s_utf8.GetString(bytes).Split('\n');
        }
        catch (DecoderFallbackException e)
        {
            throw new BundleException("a manifest that is no UTF-8", e);
        }

        if (lines.Length < 3 || lines[0] != Head || lines[^1].Length != 0)
        {
            throw new BundleException(
                $"a manifest that does not begin with '{Head}' and name a file on each line: it was made by another version, or spoiled");
        }

        BundleManifest manifest = Of(lines[1..^1].Select(ParseLine));
        return manifest.Bytes.AsSpan().SequenceEqual(bytes) ? manifest
            : throw new BundleException("a manifest that is not in canonical form");
    }

    /// <summary>Whether a text is a SHA-256 as it is written here: names of folders are made of it.</summary>
    public static bool IsHash(string text) => text.Length == 64 && !text.AsSpan().ContainsAnyExcept(s_digits);

    private static BundleFile ParseLine(string line) =>
        line.Split(' ', 4) is [string hash, string size, "x" or "-", string path] parts
            && long.TryParse(size, NumberStyles.None, CultureInfo.InvariantCulture, out long bytes)
            ? new BundleFile(path, bytes, hash, parts[2] == "x")
            : throw new BundleException("a manifest with a line that names no file");

    private static void Check(BundleFile file)
    {
        if (FaultOf(file.Path) is { } fault)
        {
            throw new BundleException($"'{file.Path}' is no path in a bundle: it {fault}");
        }

        if (!IsHash(file.Hash))
        {
            throw new BundleException($"'{file.Path}' has no hash");
        }

        if (file.Size is < 0 or > LargestFile)
        {
            throw new BundleException($"'{file.Path}' has the size {file.Size}");
        }
    }

    private static string? FaultOf(string path)
    {
        try
        {
            if (s_utf8.GetByteCount(path) is 0 or > LongestPath)
            {
                return $"must take 1 to {LongestPath} bytes";
            }
        }
        catch (EncoderFallbackException)
        {
            return "is no Unicode";
        }

        if (path.Any(static c => char.IsControl(c) || c == '\\'))
        {
            return "has a control character or a backslash";
        }

        foreach (string name in path.Split('/'))
        {
            if (name is "" or "." or "..")
            {
                return "must be relative, without empty names, '.' and '..'";
            }

            if (s_utf8.GetByteCount(name) > LongestName)
            {
                return $"has a name of more than {LongestName} bytes";
            }
        }

        return null;
    }
}

/// <summary>
/// A bundle cannot be packed, sent, received or kept; the message says which and why. Callers see it as a <see cref="SpawnException"/>.
/// </summary>
internal sealed class BundleException(string message, Exception? inner = null) : GlooXException(message, inner);
