namespace GlooX.Slots.Tests;

/// <summary>The process that used the folder is no more: nothing after this happens.</summary>
internal sealed class KilledException : Exception;

/// <summary>
/// A folder in memory whose user is killed at a step: just before or after it, or half-way through writing. Or it only fails once, at that step.
/// </summary>
internal sealed class MortalFolder(Dictionary<string, byte[]> disk, int step = int.MaxValue, int cut = 0, bool after = false, bool failsOnly = false) : IRecordFolder
{
    private int _left = step;

    public IEnumerable<string> Names() => disk.Keys;

    public byte[] Read(string name) => disk[name];

    public void Write(string name, byte[] bytes)
    {
        var isLast = _left-- == 0;
        disk[name] = isLast && !after ? bytes[..Math.Min(cut, bytes.Length)] : bytes;
        if (isLast)
            throw End();
    }

    public void Rename(string from, string to) => Step(() =>
    {
        disk[to] = disk[from];
        disk.Remove(from);
    });

    public void Delete(string name) => Step(() => disk.Remove(name));

    private void Step(Action change)
    {
        var isLast = _left-- == 0;
        if (!isLast || after)
            change();
        if (isLast)
            throw End();
    }

    private Exception End() => failsOnly ? new IOException("No space left on device") : new KilledException();
}
