using System.Globalization;
using Microsoft.Data.Sqlite;

namespace GlooX.Channels.Storage;

/// <summary>The content of a state file contradicts itself.</summary>
internal sealed class DamagedStateException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>
/// The state of one agent on disk: an SQLite database with a write-ahead log, locked by one process. It holds durable channels
/// (<see cref="ChannelTable"/>) and small records of other parts of the agent, such as detached processes. Thread-safe: one lock,
/// since SQLite has one writer.
/// </summary>
/// <remarks>
/// A transaction is on the disk whole or not at all. After a crash of the process every committed transaction is there; after a
/// crash of the machine every one that was committed with <c>flush</c>, and a prefix of the others. Damage is found by checksums of
/// rows and by sums over them; <see cref="SetAside"/> then begins a new file.
/// </remarks>
internal sealed class StateFile : IDisposable
{
    private const int ApplicationId = 0x676C6F78; // "glox"
    private const int SchemaVersion = 1;

    // Pages of 4 KiB in the log before they move into the database, which costs two flushes.
    private const int CheckpointPages = 4_000;
    private const string Schema =
        """
        CREATE TABLE record(kind TEXT NOT NULL, id TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY(kind, id)) WITHOUT ROWID;
        CREATE TABLE channel(
            id INTEGER PRIMARY KEY, head BLOB NOT NULL, seen BLOB NOT NULL,
            rows INTEGER NOT NULL DEFAULT 0, sum INTEGER NOT NULL DEFAULT 0);
        CREATE TABLE entry(
            channel INTEGER NOT NULL, key BLOB NOT NULL, crc INTEGER NOT NULL, value BLOB NOT NULL,
            PRIMARY KEY(channel, key)) WITHOUT ROWID;
        CREATE TRIGGER entry_inserted AFTER INSERT ON entry BEGIN
            UPDATE channel SET rows = rows + 1, sum = sum + NEW.crc WHERE id = NEW.channel; END;
        CREATE TRIGGER entry_updated AFTER UPDATE ON entry BEGIN
            UPDATE channel SET sum = sum + NEW.crc - OLD.crc WHERE id = NEW.channel; END;
        CREATE TRIGGER entry_deleted AFTER DELETE ON entry BEGIN
            UPDATE channel SET rows = rows - 1, sum = sum - OLD.crc WHERE id = OLD.channel; END;
        """;

    private readonly Lock _gate = new();
    private readonly Dictionary<string, SqliteCommand> _commands = new(StringComparer.Ordinal);
    private SqliteConnection _connection;
    private bool _flushes;

    static StateFile() => NativeSqlite.Register();

    private StateFile(string path)
    {
        Path = path;
        _connection = Connect();
    }

    /// <summary>The database's path; its log has <c>-wal</c> behind it.</summary>
    public string Path { get; }

    /// <summary>Opens a file, or makes it and its folder. One whose beginning is damaged is set aside first.</summary>
    /// <param name="path">The database's path.</param>
    /// <param name="damage">Where the damaged file went, and what was wrong with it; null: nothing was.</param>
    /// <exception cref="IOException">It is in use by another process, cannot be opened, or is of a later version.</exception>
    public static StateFile Open(string path, out string? damage)
    {
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!);
        damage = null;
        try
        {
            return new StateFile(path);
        }
        catch (DamagedStateException e)
        {
            damage = $"{e.Message}; the file is kept as '{MoveAside(path)}'";
            return new StateFile(path);
        }
    }

    /// <summary>Renames the damaged file, so that it can be examined, and goes on with a new one that has its readable records and no channels.</summary>
    /// <returns>The new name.</returns>
    /// <exception cref="IOException">The disk did not take it.</exception>
    public string SetAside()
    {
        lock (_gate)
        {
            List<(string Kind, string Id, byte[] Value)> records = [];
            try
            {
                records.AddRange(Read("SELECT kind, id, value FROM record", static r => (r.GetString(0), r.GetString(1), (byte[])r[2])));
            }
            catch (Exception e) when (e is DamagedStateException or IOException or InvalidCastException or InvalidOperationException)
            {
                // The records up to the damage are kept.
            }

            Close();
            string name = MoveAside(Path);
            _connection = Connect();
            Transact(flush: true, () => records.ForEach(r => PutRecord(r.Kind, r.Id, r.Value)));
            return name;
        }
    }

    /// <summary>Writes a record, or replaces it; it is on the disk when this returns.</summary>
    /// <param name="kind">What the record is of, such as <c>process</c>.</param>
    /// <param name="id">Names the record within its kind.</param>
    /// <param name="value">Any bytes, such as JSON.</param>
    /// <exception cref="IOException">The disk did not take it; nothing has changed.</exception>
    public void Put(string kind, string id, ReadOnlySpan<byte> value)
    {
        byte[] whole = Checksum.Seal(value);
        Transact(flush: true, () => PutRecord(kind, id, whole));
    }

    /// <summary>Deletes a record; it is gone from the disk when this returns.</summary>
    /// <returns>False: there was none.</returns>
    /// <exception cref="IOException">The disk did not take it; nothing has changed.</exception>
    public bool Delete(string kind, string id)
    {
        bool deleted = false;
        Transact(flush: true, () => deleted = Execute("DELETE FROM record WHERE kind = $1 AND id = $2", kind, id) > 0);
        return deleted;
    }

    /// <summary>All records of a kind, sorted by id. A record whose checksum is wrong has no value.</summary>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="DamagedStateException">The file is damaged.</exception>
    public IReadOnlyList<(string Id, byte[]? Value)> List(string kind)
    {
        lock (_gate)
        {
            return [.. Read("SELECT id, value FROM record WHERE kind = $1 ORDER BY id", static r => (r.GetString(0), Sound((byte[])r[1])), kind)];
        }

        static byte[]? Sound(byte[] whole)
        {
            try
            {
                return Checksum.Open(whole, "a record").ToArray();
            }
            catch (DamagedStateException)
            {
                return null;
            }
        }
    }

    /// <summary>Makes changes that count only together.</summary>
    /// <param name="flush">Whether they, and all before them, are on the disk when this returns; otherwise the operating system has them.</param>
    /// <param name="change">Makes the changes.</param>
    /// <exception cref="IOException">The disk did not take them; nothing has changed.</exception>
    /// <exception cref="DamagedStateException">The file is damaged; nothing has changed.</exception>
    public void Transact(bool flush, Action change)
    {
        lock (_gate)
        {
            if (flush != _flushes)
            {
                Execute(flush ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
                _flushes = flush;
            }

            Execute("BEGIN IMMEDIATE");
            try
            {
                change();
                Execute("COMMIT");
            }
            catch
            {
                RollBack();
                throw;
            }
        }
    }

    /// <summary>Runs a statement, which is prepared once, within <see cref="Transact"/>.</summary>
    /// <returns>How many rows it has changed.</returns>
    internal int Execute(string sql, params object[] arguments) => Guard(() => Command(sql, arguments).ExecuteNonQuery());

    /// <summary>Within <see cref="Transact"/>: a change that changes nothing.</summary>
    internal void Touch() => Execute("UPDATE channel SET rows = rows WHERE id = (SELECT max(id) FROM channel)");

    /// <summary>What a query gives, row by row. Not while others use the file.</summary>
    internal IEnumerable<T> Read<T>(string sql, Func<SqliteDataReader, T> read, params object[] arguments)
    {
        using SqliteDataReader rows = Guard(() => Command(sql, arguments).ExecuteReader());
        while (Guard(rows.Read))
        {
            yield return Guard(() => read(rows));
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            Close();
        }
    }

    private static string MoveAside(string path)
    {
        string to = string.Create(CultureInfo.InvariantCulture, $"{path}.damaged-{DateTime.UtcNow:yyyyMMdd'T'HHmmss'.'fff}");
        foreach (string part in (string[])["", "-wal", "-shm"])
        {
            if (File.Exists(path + part))
            {
                File.Move(path + part, to + part);
            }
        }

        return to;
    }

    private SqliteCommand Command(string sql, object[] arguments)
    {
        if (!_commands.TryGetValue(sql, out SqliteCommand? command))
        {
            command = _connection.CreateCommand();
#pragma warning disable CA2100 // Each text is a constant of this assembly.
            command.CommandText = sql;
#pragma warning restore CA2100
            for (int i = 1; i <= arguments.Length; i++)
            {
                command.Parameters.Add(new SqliteParameter { ParameterName = string.Create(CultureInfo.InvariantCulture, $"${i}") });
            }

            _commands[sql] = command;
        }

        for (int i = 0; i < arguments.Length; i++)
        {
            command.Parameters[i].Value = arguments[i];
        }

        return command;
    }

    private void PutRecord(string kind, string id, byte[] whole) => Execute(
        "INSERT INTO record VALUES($1, $2, $3) ON CONFLICT DO UPDATE SET value = excluded.value", kind, id, whole);

    private void RollBack()
    {
        try
        {
            Execute("ROLLBACK");
        }
        catch (Exception e) when (e is IOException or DamagedStateException)
        {
            // SQLite has rolled back by itself, as it does on a full disk.
        }
    }

    private SqliteConnection Connect()
    {
        var where = new SqliteConnectionStringBuilder { DataSource = Path, Pooling = false, DefaultTimeout = 1 };
        var connection = new SqliteConnection(where.ConnectionString);
        _connection = connection;
        try
        {
            Guard(() =>
            {
                connection.Open();
                return true;
            });
            Execute("PRAGMA locking_mode = EXCLUSIVE");
            Execute("PRAGMA journal_mode = WAL");
            Execute("PRAGMA synchronous = FULL");
            _flushes = true;
            Execute(string.Create(CultureInfo.InvariantCulture, $"PRAGMA wal_autocheckpoint = {CheckpointPages}"));
            Execute("BEGIN IMMEDIATE");
            CheckFormat();
            Execute("COMMIT");
            return connection;
        }
        catch
        {
            Close();
            throw;
        }
    }

    private void CheckFormat()
    {
        long version = Number("PRAGMA user_version");
        if (version == 0 && Number("SELECT count(*) FROM sqlite_master") == 0)
        {
            Execute(Schema);
            Execute(string.Create(CultureInfo.InvariantCulture, $"PRAGMA application_id = {ApplicationId}"));
            Execute(string.Create(CultureInfo.InvariantCulture, $"PRAGMA user_version = {SchemaVersion}"));
        }
        else if (Number("PRAGMA application_id") != ApplicationId)
        {
            throw new DamagedStateException("its header is not that of an agent's state");
        }
        else if (version != SchemaVersion)
        {
            throw new IOException(
                $"'{Path}' has format {version}, and this version of GlooX knows format {SchemaVersion}: use the version that wrote it, or move the file away");
        }
    }

    private long Number(string sql) => Read(sql, static r => r.GetInt64(0)).First();

    private void Close()
    {
        foreach (SqliteCommand command in _commands.Values)
        {
            command.Dispose();
        }

        _commands.Clear();
        _connection.Dispose(); // moves the log into the database
    }

    private T Guard<T>(Func<T> act)
    {
        try
        {
            return act();
        }
        catch (SqliteException e)
        {
            throw Failure(e);
        }
    }

    // What the disk refuses is no damage; that a table is missing, or of another type, is.
    private Exception Failure(SqliteException e) => e.SqliteErrorCode switch
    {
        SQLitePCL.raw.SQLITE_BUSY or SQLitePCL.raw.SQLITE_LOCKED =>
            new IOException($"'{Path}' is in use by another process: each agent needs a folder of its own", e),
        SQLitePCL.raw.SQLITE_IOERR when e.SqliteExtendedErrorCode != SQLitePCL.raw.SQLITE_IOERR_SHORT_READ => Refusal(e),
        SQLitePCL.raw.SQLITE_FULL or SQLitePCL.raw.SQLITE_CANTOPEN or SQLitePCL.raw.SQLITE_READONLY => Refusal(e),
        SQLitePCL.raw.SQLITE_PERM or SQLitePCL.raw.SQLITE_NOMEM or SQLitePCL.raw.SQLITE_TOOBIG or SQLitePCL.raw.SQLITE_AUTH => Refusal(e),
        _ => new DamagedStateException(e.Message, e),
    };

    private IOException Refusal(SqliteException e) => new($"'{Path}': {e.Message}", e);
}
