using GlooX.Channels.Storage;
using GlooX.Processes;
using Microsoft.Extensions.Logging;

namespace GlooX.Lifecycle;

/// <summary>
/// The state of one agent on disk, in one SQLite file: records of detached processes, known peers and, in a data folder, durable channels.
/// Without a data folder the file lies in the <see cref="AgentFolder"/> and is made with the first record: an agent that keeps nothing
/// makes no file, and one that stops with nothing to keep removes its file. Thread-safe.
/// </summary>
internal sealed class AgentState : IDisposable
{
    private const string FileName = "agent.db";
    private readonly Lock _gate = new();
    private readonly ILogger _logger;
    private string? _path;
    private StateFile? _file;
    private bool _isOver;

    /// <param name="dataFolder">The agent's data folder; null: there is none.</param>
    /// <param name="logger">Receives damage.</param>
    /// <exception cref="IOException">The file cannot be opened, is in use, or the folder has the state of an earlier version.</exception>
    public AgentState(string? dataFolder, ILogger logger)
    {
        _logger = logger;
        if (dataFolder is not null)
        {
            RefuseJournals(Path.Combine(dataFolder, "channels"));
            Channels = _file = Open(_path = Path.Combine(dataFolder, FileName));
        }
    }

    /// <summary>The file for durable channels; null: there is no data folder.</summary>
    public StateFile? Channels { get; }

    /// <summary>Whether records can be kept.</summary>
    public bool IsKept => _path is not null;

    /// <summary>
    /// Takes the agent's folder: the state is there, or, with a data folder, the records that are there move to the data folder.
    /// </summary>
    /// <exception cref="IOException">Records could not be moved to the data folder.</exception>
    public void Use(AgentFolder folder)
    {
        lock (_gate)
        {
            if (Channels is null)
            {
                _path = folder.StateFile;
            }
            else if (File.Exists(folder.StateFile))
            {
                using (StateFile old = Open(folder.StateFile))
                {
                    foreach (string kind in (string[])[DetachedKind, PeerKind])
                    {
                        foreach ((string id, byte[]? value) in old.List(kind).Where(static r => r.Value is not null))
                        {
                            Channels.Put(kind, id, value);
                        }
                    }
                }

                File.Delete(folder.StateFile);
            }
        }
    }

    /// <summary>The kind of records of detached processes.</summary>
    public const string DetachedKind = "process";

    /// <summary>The kind of records of known peers.</summary>
    public const string PeerKind = "peer";

    /// <summary>Writes a record, or replaces it.</summary>
    /// <exception cref="IOException">The record could not be written.</exception>
    public void Put(string kind, string id, byte[] value) => Act(file => file.Put(kind, id, value), mayMake: true);

    /// <summary>Deletes a record, if there is one.</summary>
    /// <exception cref="IOException">The record could not be deleted.</exception>
    public void Delete(string kind, string id) => Act(file => file.Delete(kind, id), mayMake: false);

    /// <summary>The records of a kind; one that is damaged has no value.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    public IReadOnlyList<(string Id, byte[]? Value)> List(string kind)
    {
        IReadOnlyList<(string Id, byte[]? Value)> records = [];
        Act(file => records = file.List(kind), mayMake: false);
        return records;
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _isOver = true;
            bool isEmpty = false;
            try
            {
                isEmpty = Channels is null && _file is not null && _file.List(DetachedKind).Count + _file.List(PeerKind).Count == 0;
            }
            catch (Exception e) when (e is IOException or DamagedStateException)
            {
                // the file stays, for the next agent to look at
            }

            _file?.Dispose();
            if (isEmpty)
            {
                File.Delete(_path!);
            }
        }
    }

    private void Act(Action<StateFile> action, bool mayMake)
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isOver, this);
            if (_path is null || (_file is null && !mayMake && !File.Exists(_path)))
            {
                return;
            }

            _file ??= Open(_path);
            try
            {
                action(_file);
            }
            catch (DamagedStateException e) when (Channels is null)
            {
                _logger.RecordsDamaged(_path, e.Message, _file.SetAside());
                action(_file);
            }
            catch (DamagedStateException e)
            {
                throw new IOException($"the state file '{_path}' is damaged: {e.Message}", e); // the channels set it aside
            }
        }
    }

    // What is in it, such as values of processes, is this user's alone; SQLite gives its log the mode of the file.
    private StateFile Open(string path)
    {
        if (!OperatingSystem.IsWindows() && !File.Exists(path))
        {
            Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
            using var made = new FileStream(
                path, new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.Write,
                    UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite });
        }

        try
        {
            StateFile file = StateFile.Open(path, out string? damage);
            if (damage is not null)
            {
                _logger.StateDamaged(path, damage);
            }

            return file;
        }
        catch (TypeInitializationException e)
        {
            throw new IOException(
                $"'{path}' cannot be opened, because SQLite's native library cannot be loaded: {e.GetBaseException().Message}", e);
        }
    }

    // Until version 0.1.0 each durable channel was a journal in a folder of its own.
    private static void RefuseJournals(string journals)
    {
        if (Directory.Exists(journals) && Directory.EnumerateFiles(journals, "*.journal").Any())
        {
            throw new IOException(
                $"'{journals}' holds durable channels in the format of an earlier version of GlooX, which this version does not read. " +
                "Move that folder away: the agent then gets the channels from the other nodes of the grid. " +
                "Where there is no other node, first save them with the earlier version: gloox channel get NAME");
        }
    }
}
