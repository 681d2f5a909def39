using GlooX.Payloads;
using GlooX.Workers;
using Microsoft.Extensions.Logging;

namespace GlooX.Lifecycle;

/// <summary>
/// The folder of one agent in the home of its user, named after the agent's address, so that the next agent of that address finds it: the
/// state file, and a small file for each detached process, which the process or its shell writes its exit code to. A lock that the system
/// keeps makes the folder one agent's at a time.
/// </summary>
internal sealed partial class AgentFolder : IDisposable
{
    private const string StateName = "agent.db", Exits = "exits", LockName = "lock";
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(20);
    private readonly string _folder;
    private readonly FileStream _mine;

    private AgentFolder(string folder, FileStream mine) => (_folder, _mine) = (folder, mine);

    public string StateFile => Path.Combine(_folder, StateName);

    private static string Root => Path.Combine(GlooXHome.Path, "agents");

    /// <summary>
    /// Opens or makes the folder. Null: another agent holds it, also after two seconds (which the agent before this one may take to stop),
    /// or it cannot be made; detached processes are then not known to the next agent.
    /// </summary>
    public static async Task<AgentFolder?> TryOpenAsync(string address, ILogger logger, CancellationToken ct)
    {
        string folder = Path.Combine(
            Root, string.Concat(address.Select(static c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' ? c : '_')));
        FileStream? mine = null;
        try
        {
            long start = TimeProvider.System.GetTimestamp();
            while ((mine = Take(folder)) is null && TimeProvider.System.GetElapsedTime(start) < s_limit)
            {
                await Task.Delay(s_look, ct).ConfigureAwait(false);
            }

            if (mine is not null && !HasOldRecords(folder))
            {
                return new AgentFolder(folder, mine);
            }

            LogNotKept(logger, folder, mine is null ? "another agent of this address holds it"
                : "it holds processes that an agent of an earlier version of GlooX has left running: end them, and remove the folder");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            LogNotKept(logger, folder, e.Message);
        }

        mine?.Dispose();
        return null;
    }

    /// <summary>Removes the folders of agents of before that hold nothing that is still used.</summary>
    public static void Sweep()
    {
        foreach (string folder in Directory.Exists(Root) ? Directory.GetDirectories(Root) : [])
        {
            try
            {
                if (FileLock.TryTake(Path.Combine(folder, LockName), FileMode.Open) is { } free)
                {
                    new AgentFolder(folder, free).Dispose();
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // another agent sweeps it, or it stays until it can be removed
            }
        }
    }

    /// <summary>The ids of all detached processes of this home, whatever the address of their agent.</summary>
    public static IEnumerable<string> DetachedIds() => !Directory.Exists(Root) ? [] :
        Directory.EnumerateDirectories(Root).Select(static f => Path.Combine(f, Exits)).Where(Directory.Exists)
            .SelectMany(Directory.EnumerateFiles).Select(static f => Path.GetFileNameWithoutExtension(f));

    /// <summary>The file that a process leaves its exit code in.</summary>
    public string ExitFile(string id) => Path.Combine(_folder, Exits, id);

    /// <summary>Makes the exit file of a process that is about to run; without a code it says that the process is detached.</summary>
    public void ResetExit(string id)
    {
        GlooXHome.CreateFolder(Path.Combine(_folder, Exits));
        File.WriteAllBytes(ExitFile(id), []);
        File.Delete(ExitFile(id) + ".new");
    }

    /// <summary>Removes an exit file, if there is one.</summary>
    public static void RemoveExit(string file)
    {
        if (Directory.Exists(Path.GetDirectoryName(file)))
        {
            File.Delete(file);
            File.Delete(file + ".new");
        }
    }

    /// <summary>Removes the exit files of processes that have no record.</summary>
    public void RemoveExits(IReadOnlySet<string> recorded)
    {
        string exits = Path.Combine(_folder, Exits);
        foreach (string file in Directory.Exists(exits) ? Directory.GetFiles(exits) : [])
        {
            if (!recorded.Contains(Path.GetFileNameWithoutExtension(file)))
            {
                File.Delete(file);
            }
        }
    }

    /// <summary>Removes the folder if it holds nothing that an agent of this address could still use.</summary>
    public void Dispose()
    {
        try
        {
            string exits = Path.Combine(_folder, Exits);
            if (Directory.Exists(exits) && !Directory.EnumerateFileSystemEntries(exits).Any())
            {
                Directory.Delete(exits);
            }

            // Without detached processes the state file holds known peers, which are forgotten after a day.
            bool isUsed = Directory.GetFiles(_folder, StateName + "*").Any(static f => DateTime.UtcNow - File.GetLastWriteTimeUtc(f) < PeerMemory.Remember);
            if (!isUsed && !HasOldRecords(_folder) && !Directory.Exists(exits))
            {
                WorkFolder.Remove(_folder); // while no other agent can have it
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // a folder that stays does no harm
        }

        _mine.Dispose();
    }

    private static bool HasOldRecords(string folder) =>
        Path.Combine(folder, "records") is var records && Directory.Exists(records) && Directory.EnumerateFiles(records, "*.json").Any();

    // The lock may be swept with its folder between being opened and being taken.
    private static FileStream? Take(string folder)
    {
        string lockFile = Path.Combine(GlooXHome.CreateFolder(folder), LockName);
        FileStream? mine;
        while ((mine = FileLock.TryTake(lockFile)) is not null && !File.Exists(lockFile))
        {
            mine.Dispose();
            GlooXHome.CreateFolder(folder);
        }

        return mine;
    }

    [LoggerMessage(3003, LogLevel.Warning, "Detached processes of this agent will not be known to the next: {Folder} cannot be used: {Reason}")]
    private static partial void LogNotKept(ILogger logger, string folder, string reason);
}
