namespace GlooX.Tls;

/// <summary>Detects changes of files.</summary>
internal static class FileStamp
{
    /// <summary>A text that changes when one of the files changes; a missing file is one of the states.</summary>
    public static string Of(IEnumerable<string> files, Func<string, string> path) => Of(files.Select(path));

    /// <inheritdoc cref="Of(IEnumerable{string}, Func{string, string})"/>
    public static string Of(IEnumerable<string> paths) => string.Join(';', paths.Select(path =>
    {
        try
        {
            var file = new FileInfo(path);
            FileSystemInfo real = file.LinkTarget is null ? file : file.ResolveLinkTarget(returnFinalTarget: true) ?? file;
            return real is FileInfo { Exists: true } there ? $"{there.FullName}:{there.LastWriteTimeUtc.Ticks}:{there.Length}" : "";
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return ""; // loading says what is wrong
        }
    }));
}
