namespace GlooX.Slots;

/// <summary>
/// Where an agent keeps the records of processes that outlive it: one small file for each. A record is there as a whole or not at all,
/// wherever the agent is killed. Thread-safe; a folder belongs to one agent at a time.
/// </summary>
/// <remarks>
/// <para>
/// A record is written beside its place and renamed into it, and removed by deleting it: the file system does each of the two at once or
/// not at all. What a killed agent has left unfinished beside is cleared away by <see cref="Load"/>. Nothing is forced to the platter,
/// because it need not be: when the machine goes down, so do the processes, and the records tell by the boot that they are of the past.
/// </para>
/// <para>
/// For nothing to run without a record: put it when the process is there and before it is given anything to do (a host without an
/// assignment ends with its agent), put it again as ready when it answers, and remove it after it has ended. On the way back, load,
/// keep those that <see cref="ReservationRecord.Runs"/>, have the <see cref="Ledger"/> adopt them, and remove the others; end those
/// that are not ready, of which nobody was told.
/// </para>
/// </remarks>
internal sealed class ReservationStore
{
    private const string Extension = ".json";
    private const string Unfinished = ".unfinished";
    private const int MaxId = 60;
    private readonly Lock _lock = new();
    private readonly IRecordFolder _folder;

    internal ReservationStore(IRecordFolder folder) => _folder = folder;

    /// <summary>Opens a folder; makes it, for this user alone, if it is missing.</summary>
    /// <param name="folder">Its path.</param>
    /// <returns>The store.</returns>
    /// <exception cref="ArgumentException">The path is null or empty.</exception>
    /// <exception cref="IOException">The folder cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be made.</exception>
    public static ReservationStore Open(string folder)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        return new ReservationStore(new RecordFolder(folder));
    }

    /// <summary>Writes a record down, in the place of the one of the same id, if there is one.</summary>
    /// <param name="record">It.</param>
    /// <exception cref="ArgumentException">Its id cannot be the name of a file.</exception>
    /// <exception cref="IOException">It cannot be written; what was there before still is.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be written; what was there before still is.</exception>
    public void Put(ReservationRecord record)
    {
        ArgumentNullException.ThrowIfNull(record);
        var name = NameOf(record.Id);
        lock (_lock)
        {
            _folder.Write(name + Unfinished, record.ToBytes());
            _folder.Rename(name + Unfinished, name);
        }
    }

    /// <summary>Removes a record; does nothing if there is none.</summary>
    /// <param name="id">Of the process that has ended.</param>
    /// <exception cref="ArgumentException">It cannot be an id.</exception>
    /// <exception cref="IOException">It cannot be removed.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be removed.</exception>
    public void Remove(string id)
    {
        var name = NameOf(id);
        lock (_lock)
            _folder.Delete(name);
    }

    /// <summary>All records, by id; clears away what a killed agent was writing.</summary>
    /// <returns>They, and the names of files that are no records, which stay where they are.</returns>
    /// <exception cref="IOException">The folder cannot be listed.</exception>
    /// <exception cref="UnauthorizedAccessException">The folder may not be listed.</exception>
    public StoredReservations Load()
    {
        var (records, damaged, unreadable) = (new List<ReservationRecord>(), new List<string>(), new List<string>());
        lock (_lock)
        {
            foreach (var name in _folder.Names().Order(StringComparer.Ordinal).ToArray())
            {
                try
                {
                    if (name.EndsWith(Unfinished, StringComparison.Ordinal))
                        _folder.Delete(name);
                    else if (name.EndsWith(Extension, StringComparison.Ordinal) && ReservationRecord.FromBytes(_folder.Read(name)) is { } record && record.Id + Extension == name)
                        records.Add(record);
                    else
                        damaged.Add(name);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    unreadable.Add(name); // locked, say: one file does not hide the others
                }
            }
        }

        return new StoredReservations(records, damaged) { Unreadable = unreadable };
    }

    private static string NameOf(string id) =>
        id is { Length: > 0 and <= MaxId } && id.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_')
            ? id + Extension
            : throw new ArgumentException($"'{id}' is no id of a process. Valid are 1 to {MaxId} letters, digits, dashes and underscores.", nameof(id));
}

/// <summary>What a <see cref="ReservationStore"/> holds.</summary>
/// <param name="Records">By id.</param>
/// <param name="Damaged">Files of the folder that are no records: somebody else's, or spoiled on the disk.</param>
internal sealed record StoredReservations(IReadOnlyList<ReservationRecord> Records, IReadOnlyList<string> Damaged)
{
    /// <summary>Files that could not be read at this moment: locked, or not this user's. Load again later.</summary>
    public IReadOnlyList<string> Unreadable { get; init; } = [];
}

/// <summary>The seam to the file system. Each call happens as a whole or not at all, but for <see cref="Write"/>, which may stop half-way.</summary>
internal interface IRecordFolder
{
    IEnumerable<string> Names();

    byte[] Read(string name);

    void Write(string name, byte[] bytes);

    /// <summary>Takes the place of a file that has the new name already.</summary>
    void Rename(string from, string to);

    /// <summary>Does nothing if there is no such file.</summary>
    void Delete(string name);
}

internal sealed class RecordFolder : IRecordFolder
{
    private readonly string _path;

    public RecordFolder(string path)
    {
        _path = Path.GetFullPath(path);
        if (OperatingSystem.IsWindows())
            Directory.CreateDirectory(_path);
        else
            Directory.CreateDirectory(_path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    public IEnumerable<string> Names() => Directory.EnumerateFiles(_path).Select(path => Path.GetFileName(path));

    public byte[] Read(string name) => File.ReadAllBytes(Path.Join(_path, name));

    public void Write(string name, byte[] bytes) => File.WriteAllBytes(Path.Join(_path, name), bytes);

    public void Rename(string from, string to) => File.Move(Path.Join(_path, from), Path.Join(_path, to), overwrite: true);

    public void Delete(string name) => File.Delete(Path.Join(_path, name));
}
