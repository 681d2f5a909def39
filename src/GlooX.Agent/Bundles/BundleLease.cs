namespace GlooX.Bundles;

/// <summary>
/// A bundle that is laid out here, and stays as long as this is held: by a lock that the system keeps, so that it counts between all processes of
/// this user and ends with whoever holds it, however that ends.
/// </summary>
internal sealed class BundleLease(string folder, string lockFile, FileStream held) : IDisposable
{
    /// <summary>Where its files are.</summary>
    public string Folder { get; } = folder;

    /// <summary>What a process that outlives the holder locks itself, shared.</summary>
    public string LockFile { get; } = lockFile;

    public void Dispose() => held.Dispose();
}
