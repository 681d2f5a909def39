namespace GlooX.Payloads;

/// <summary>
/// Locks between processes: those that the runtime takes when a file is opened (<c>flock</c>). They end with their holder.
/// </summary>
internal static class FileLock
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(20);

    /// <summary>For one holder; null: another has it.</summary>
    public static FileStream? TryTake(string file, FileMode mode = FileMode.OpenOrCreate) =>
        Try(file, mode, FileAccess.ReadWrite, FileShare.None);

    /// <summary>For any number of holders; null: one has it for itself.</summary>
    public static FileStream? TryShare(string file) => Try(file, FileMode.OpenOrCreate, FileAccess.Read, FileShare.Read);

    /// <summary>Waits for it.</summary>
    public static async Task<FileStream> TakeAsync(string file, CancellationToken ct)
    {
        while (true)
        {
            if (TryTake(file) is { } taken)
            {
                return taken;
            }

            await Task.Delay(s_look, ct).ConfigureAwait(false);
        }
    }

    private static FileStream? Try(string file, FileMode mode, FileAccess access, FileShare share)
    {
        try
        {
            return new FileStream(file, mode, access, share, bufferSize: 0);
        }
        catch (IOException e)
            when (e is not (FileNotFoundException or DirectoryNotFoundException or PathTooLongException) && File.Exists(file))
        {
            return null;
        }
    }
}
