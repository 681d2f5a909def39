namespace GlooX.Bundles;

/// <summary>
/// Room in a store that its holder alone may fill: a file without content, as long as what is reserved, that all processes which share the store
/// see. It takes no place on the disk where files may be sparse. When its holder dies, others remove it.
/// </summary>
internal sealed class BundleReservation : IDisposable
{
    private readonly FileStream? _file;

    /// <param name="path">Of the file.</param>
    /// <param name="bytes">How much.</param>
    public BundleReservation(string path, long bytes)
    {
        _file = new FileStream(path, FileMode.CreateNew, FileAccess.Write, FileShare.ReadWrite | FileShare.Delete, bufferSize: 0, FileOptions.DeleteOnClose);
        try
        {
            _file.SetLength(bytes);
        }
        catch
        {
            _file.Dispose();
            throw;
        }
    }

    private BundleReservation()
    {
    }

    public static BundleReservation Nothing { get; } = new();

    /// <summary>So much has come, and counts as what is there.</summary>
    public void Reduce(long bytes) => _file?.SetLength(Math.Max(0, _file.Length - bytes));

    public void Dispose() => _file?.Dispose();
}
