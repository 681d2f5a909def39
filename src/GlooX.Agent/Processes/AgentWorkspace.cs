using System.Text;
using GlooX.Lifecycle;
using GlooX.Payloads;
using GlooX.Slots;
using GlooX.Workers;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;

namespace GlooX.Processes;

/// <summary>
/// The files of an agent's processes: their logs, in the agent's home, and a folder for each process, in the agent's temporary folder. A lock that the
/// system keeps makes the workspace the agent's. What a killed agent leaves is removed by any agent that starts later in the same home, except the
/// files of detached processes: the agent that adopts the processes gets these. Thread-safe.
/// </summary>
internal sealed class AgentWorkspace : IDisposable
{
    // The path of a socket may have 107 bytes, and the runtime makes one of this length in the temporary folder of its process.
    private const int MostBytes = 107 - 44;
    private const string Prefix = "gloox-";
    private const string OuterVariable = "GLOOX_OUTER_TMPDIR";
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_late = TimeSpan.FromMinutes(1);
    private readonly Lock _lock = new();
    private readonly Lock _sweeping = new();
    private readonly Dictionary<string, FileStream> _adopted = new(StringComparer.Ordinal);
    private readonly HashSet<string> _adoptedIds = new(StringComparer.Ordinal);
    private readonly IMachine _machine;
    private readonly ILogger _logger;
    private readonly string _name = Guid.NewGuid().ToString("N")[..8];
    private FileStream? _mine;
    private FolderOwner _folders;
    private bool _disposed;

    /// <param name="machine">This one.</param>
    /// <param name="logger">Receives what could not be removed.</param>
    public AgentWorkspace(IMachine machine, ILogger logger) => (_machine, _logger) = (machine, logger);

    private static string Root => Path.Combine(GlooXHome.Path, "logs");

    private string Logs => Path.Combine(Root, _name);

    private string Folders => Path.Combine(Temporary, Prefix + _name);

    // What an agent that was spawned itself gives its processes must not go with it: it may be kept, or outlive it.
    private static string Temporary =>
        Environment.GetEnvironmentVariable(OuterVariable) is { Length: > 0 } outer && Environment.GetEnvironmentVariable("GLOOX_TMPDIR") == Environment.GetEnvironmentVariable("TMPDIR")
            ? outer
            : Path.GetTempPath();

    /// <summary>A name for a process, the file that its standard output goes to, and its folder, which is made.</summary>
    /// <param name="keepFolder">Whether the folder stays when the process has ended: then it is outside of the workspace, and never swept.</param>
    /// <exception cref="IOException">It cannot be made.</exception>
    /// <exception cref="UnauthorizedAccessException">It may not be made.</exception>
    public (string Id, string Log, string Folder) New(bool keepFolder)
    {
        Use();
        string id = Guid.NewGuid().ToString("N")[..12];
        string log = Path.Combine(GlooXHome.CreateFolder(Logs), id + ".log");
        string folder = keepFolder ? Path.Combine(Temporary, $"kept-gloox-{id}-{_name[..3]}") : Path.Combine(Folders, id);
        return PrivateFolder.TryMake(folder) ? (id, log, folder) : throw new IOException($"{folder} exists already");
    }

    /// <summary>
    /// The folder of a process that is started again: made anew if the process has removed it. What would say that the process is ready is removed.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="user">Whose the folder may be; null: this process's user's alone.</param>
    /// <exception cref="IOException">The folder is somebody else's, or cannot be made.</exception>
    public void Renew(string folder, OtherUser? user)
    {
        string above = Path.GetDirectoryName(folder)!;
        if (Path.GetFileName(above).StartsWith(Prefix, StringComparison.Ordinal))
        {
            PrivateFolder.Require(above);
        }

        if (!PrivateFolder.TryMake(folder))
        {
            PrivateFolder.Clear(folder, Readiness.FileIn(""), user);
        }
    }

    /// <summary>Removes a folder of a process; never throws: what stays is logged, and swept by the next agent of this home.</summary>
    public void Remove(string folder)
    {
        string above = Path.GetDirectoryName(folder)!;
        string? fault = Path.GetFileName(above).StartsWith(Prefix, StringComparison.Ordinal) && OperatingSystem.IsLinux()
            ? PrivateFolder.Remove(above, Path.GetFileName(folder))
            : WorkFolder.TryRemove(folder);
        if (fault is not null)
        {
            _logger.NotRemoved(folder, fault);
        }
    }

    /// <summary>Removes the two outputs of a process; never throws: what stays is logged, and swept by the next agent of this home.</summary>
    public void RemoveLog(string log)
    {
        try
        {
            ChildOutput.Delete(log);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _logger.NotRemoved(log, e.Message);
        }
    }

    /// <summary>Where the copy of a process's files may be that is another user's.</summary>
    public string FilesOf(string id) => Path.Combine(Folders, id + ".files");

    /// <summary>Lets other users pass through the folder that holds those of all processes, to what is given to them.</summary>
    /// <exception cref="IOException">The folder is not this user's alone.</exception>
    public void LetOthersThrough()
    {
        Use();
        PrivateFolder.LetOthersThrough(Folders);
    }

    /// <summary>What a process is told of its folder: all that it puts where temporary files belong goes with it.</summary>
    public static IEnumerable<KeyValuePair<string, string>> Variables(string folder) =>
        Encoding.UTF8.GetByteCount(folder) <= MostBytes
            ? [new("GLOOX_TMPDIR", folder), new("TMPDIR", folder), new(OuterVariable, Temporary)]
            : [new("GLOOX_TMPDIR", folder)];

    /// <summary>Whether a log is of a process that this agent has started.</summary>
    public bool Owns(string log) => Path.GetDirectoryName(log) == Logs;

    /// <summary>Takes the workspace of an earlier agent, in which the log of an adopted process is.</summary>
    /// <returns>True when this agent holds the workspace now, or there is none; false when another agent holds it at the moment.</returns>
    /// <exception cref="IOException">The lock of the workspace cannot be opened.</exception>
    /// <exception cref="UnauthorizedAccessException">The lock of the workspace may not be opened.</exception>
    public bool TryAdopt(string log)
    {
        string lockFile = Path.GetDirectoryName(log) + ".lock";
        lock (_lock)
        {
            if (_disposed || !File.Exists(lockFile))
            {
                return true;
            }

            _adoptedIds.Add(IdOf(log));
            if (!_adopted.ContainsKey(lockFile) && FileLock.TryTake(lockFile, FileMode.Open) is { } taken)
            {
                _adopted[lockFile] = taken;
            }

            return _adopted.ContainsKey(lockFile);
        }
    }

    /// <summary>
    /// Clears away what agents of this home have left that were killed; of processes that are just about to end, as soon as they have. A failure is
    /// logged and tried again. Completes when the token is cancelled.
    /// </summary>
    public async Task SweepAsync(CancellationToken stop)
    {
        TimeSpan pause = s_soon;
        while (!stop.IsCancellationRequested)
        {
            TimeSpan next = TrySweep() ? pause : Timeout.InfiniteTimeSpan;
            await Task.Delay(next, stop).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            pause = pause * 2 < s_late ? pause * 2 : s_late;
        }
    }

    /// <summary>Call when all processes have ended but the detached ones. Never throws.</summary>
    public void Dispose()
    {
        lock (_lock)
        {
            _disposed = true;
            if (_mine is not null)
            {
                _adopted[Logs + ".lock"] = _mine;
            }

            _adoptedIds.Clear();
        }

        _ = TrySweep();
        foreach (FileStream held in _adopted.Values)
        {
            held.Dispose();
        }
    }

    // True: it failed, or there is something of processes that live, of which nothing is known.
    private bool TrySweep()
    {
        try
        {
            lock (_sweeping)
            {
                return Sweep();
            }
        }
#pragma warning disable CA1031 // Whatever lies in the folders of others: this agent goes on, and tries again.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _logger.SweepFailed(Root, e.Message);
            return true;
        }
    }

    private bool Sweep()
    {
        bool again = false;
        Dictionary<string, FileStream> adopted;
        HashSet<string> ids;
        lock (_lock)
        {
            (adopted, ids) = (new(_adopted, StringComparer.Ordinal), new(_adoptedIds, StringComparer.Ordinal));
        }

        foreach (string lockFile in Directory.Exists(Root) ? Directory.GetFiles(Root, "*.lock") : [])
        {
            FileStream? dead = null;
            try
            {
                dead = adopted.GetValueOrDefault(lockFile) ?? FileLock.TryTake(lockFile, FileMode.Open);
                if (dead is not null)
                {
                    again |= Clear(lockFile, dead, [.. ids, .. AgentFolder.DetachedIds()], [.. Written()]);
                }
            }
            catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
            {
                // another agent has swept it
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or FormatException)
            {
                _logger.SweepFailed(lockFile, e.Message); // the next agent of this home tries it again
            }
            finally
            {
                if (!adopted.ContainsKey(lockFile))
                {
                    dead?.Dispose();
                }
            }
        }

        return again;
    }

    private FileStream Open()
    {
        GlooXHome.CreateFolder(Root);
        FileStream mine = FileLock.TryTake(Logs + ".lock") ?? throw new IOException($"{Logs} is another agent's");
        return mine;
    }

    // The temporary folder is everybody's: which folder in it is this agent's is written down, and looked at again before each use.
    private void Use()
    {
        lock (_lock)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            _mine ??= Open();
            GlooXHome.CreateFolder(Temporary);
            FolderOwner folders = PrivateFolder.Require(Folders);
            if (folders != _folders)
            {
                new WorkspaceNote(Environment.ProcessId, _machine.FindProcess(Environment.ProcessId)?.Started ?? 0, Folders, folders.Device, folders.Inode).Write(_mine);
                _folders = folders;
            }
        }
    }

    private bool Clear(string lockFile, FileStream held, HashSet<string> known, HashSet<string> written)
    {
        string logs = lockFile[..^".lock".Length];
        WorkspaceNote? note = WorkspaceNote.Read(held);
        string[] files = Directory.Exists(logs) ? Directory.GetFiles(logs) : [];
        using SafeFileHandle? opened = note?.OpenFolders();
        if (opened is null && note is not null && Directory.Exists(note.Folders))
        {
            _logger.NotRemoved(note.Folders, "it is not the folder that an agent of this user made there");
        }

        string[] folders = opened is null ? [] : Directory.GetDirectories(LinuxFolder.PathOf(opened));
        foreach (string file in files.Where(f => !IsKept(IdOf(f))))
        {
            RemoveLog(file);
        }

        foreach (string folder in folders.Where(f => !IsKept(Path.GetFileName(f))))
        {
            if (LinuxFolder.Remove(opened!, Path.GetFileName(folder)) is { } fault)
            {
                _logger.NotRemoved(Path.Combine(note!.Folders, Path.GetFileName(folder)), fault);
            }
        }

        if (note is not null && _machine.FindProcess(note.Pid)?.Started != note.Started)
        {
            note.RemoveTraces();
        }

        Leave(lockFile, opened is null ? null : note?.Folders);
        return files.Any(f => written.Contains(IdOf(f)) && !known.Contains(IdOf(f)));

        bool IsKept(string id) => known.Contains(id) || written.Contains(id);
    }

    // Nothing is removed that is not empty.
    private static void Leave(string lockFile, string? folders)
    {
        try
        {
            foreach (string folder in (IEnumerable<string>)[lockFile[..^".lock".Length], .. folders is null ? Array.Empty<string>() : [folders]])
            {
                if (Directory.Exists(folder))
                {
                    Directory.Delete(folder);
                }
            }

            File.Delete(lockFile);
        }
        catch (IOException)
        {
            // what outlives the agent has something there
        }
    }

    private static string IdOf(string log) => Path.GetFileName(log).Split('.')[0];

    // Processes that live and write into a log, whether they are written down or not.
    private static IEnumerable<string> Written()
    {
        foreach (string process in Directory.EnumerateDirectories("/proc").Where(static p => char.IsAsciiDigit(p["/proc/".Length])))
        {
            foreach (string output in (string[])["1", "2"])
            {
                string? target = null;
                try
                {
                    target = new FileInfo(Path.Combine(process, "fd", output)).LinkTarget;
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    // another user's, or it has just ended
                }

                if (target?.StartsWith(Root + Path.DirectorySeparatorChar, StringComparison.Ordinal) == true)
                {
                    yield return IdOf(target);
                }
            }
        }
    }
}
