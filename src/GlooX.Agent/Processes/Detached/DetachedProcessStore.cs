using GlooX.Payloads;
using GlooX.Slots;
using GlooX.Workers;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>
/// The records of an agent's detached processes, in a folder of the agent's home that is named after the agent's address: the next agent at that
/// address adopts the processes. A lock that the system keeps makes the folder one agent's at a time.
/// </summary>
internal sealed partial class DetachedProcessStore : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(20);
    private readonly string _folder;
    private readonly FileStream _mine;

    private DetachedProcessStore(string folder, FileStream mine)
    {
        (_folder, _mine) = (folder, mine);
        Records = ReservationStore.Open(Path.Combine(folder, "records"));
        GlooXHome.CreateFolder(Path.Combine(folder, "exits"));
        GlooXHome.CreateFolder(Path.Combine(folder, "restarts"));
    }

    public ReservationStore Records { get; }

    private static string Root => Path.Combine(GlooXHome.Path, "agents");

    /// <summary>
    /// Null: it is another agent's, also after two seconds (which the one before this may take to end), or cannot be made; processes then outlive
    /// this agent unknown to the next.
    /// </summary>
    public static async Task<DetachedProcessStore?> TryOpenAsync(string address, ILogger logger, CancellationToken ct)
    {
        string folder = Path.Combine(Root, string.Concat(address.Select(static c => char.IsAsciiLetterOrDigit(c) || c is '.' or '-' ? c : '_')));
        FileStream? mine = null;
        try
        {
            long start = TimeProvider.System.GetTimestamp();
            while ((mine = Take(folder)) is null && TimeProvider.System.GetElapsedTime(start) < s_limit)
            {
                await Task.Delay(s_look, ct).ConfigureAwait(false);
            }

            if (mine is not null)
            {
                return new DetachedProcessStore(folder, mine);
            }

            LogNotKept(logger, folder, "another agent of this address has it");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            mine?.Dispose();
            LogNotKept(logger, folder, e.Message);
        }

        return null;
    }

    /// <summary>Removes what agents that were killed have left, where nothing outlived them.</summary>
    public static void Sweep()
    {
        foreach (string folder in Directory.Exists(Root) ? Directory.GetDirectories(Root) : [])
        {
            try
            {
                if (FileLock.TryTake(Path.Combine(folder, "lock"), FileMode.Open) is { } dead)
                {
                    new DetachedProcessStore(folder, dead).Dispose();
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // another agent sweeps it, or it stays until it can be removed
            }
        }
    }

    /// <summary>The ids of all processes of this home that are written down, whatever the address of their agent.</summary>
    public static IEnumerable<string> AllIds() =>
        Directory.Exists(Root) ? Directory.EnumerateFiles(Root, "*.json", SearchOption.AllDirectories).Select(static f => Path.GetFileNameWithoutExtension(f)) : [];

    /// <summary>Where a process leaves its exit code.</summary>
    public string ExitFile(string id) => Path.Combine(_folder, "exits", id);

    /// <summary>Where is kept how a process is started again.</summary>
    public string RestartFile(string id) => Path.Combine(_folder, "restarts", id);

    /// <summary>A process is started again: how it ended before says nothing of how it ends now.</summary>
    public void ForgetExit(string id)
    {
        File.Delete(ExitFile(id));
        File.Delete(ExitFile(id) + ".new");
    }

    /// <summary>A process is not to be started again.</summary>
    public void ForgetRestart(string id)
    {
        File.Delete(RestartFile(id));
        File.Delete(RestartFile(id) + ".new");
    }

    /// <summary>A process has ended for good, and that is known here.</summary>
    public void Forget(string id)
    {
        ForgetRestart(id);
        Records.Remove(id);
        ForgetExit(id);
    }

    public void Dispose()
    {
        try
        {
            if (Records.Load() is { Records.Count: 0, Damaged.Count: 0, Unreadable.Count: 0 })
            {
                WorkFolder.Remove(_folder); // while nobody else can have it
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // a folder that stays does no harm
        }

        _mine.Dispose();
    }

    // The lock may be swept with its folder between being opened and being taken.
    private static FileStream? Take(string folder)
    {
        string lockFile = Path.Combine(GlooXHome.CreateFolder(folder), "lock");
        FileStream? mine;
        while ((mine = FileLock.TryTake(lockFile)) is not null && !File.Exists(lockFile))
        {
            mine.Dispose();
            GlooXHome.CreateFolder(folder);
        }

        return mine;
    }

    [LoggerMessage(3003, LogLevel.Warning, "Processes that outlive this agent will not be known to the next: {Folder} cannot be used: {Reason}")]
    private static partial void LogNotKept(ILogger logger, string folder, string reason);
}
