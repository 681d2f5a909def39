using GlooX.Payloads;
using GlooX.Slots;
using GlooX.Workers;
using Microsoft.Extensions.Logging;

namespace GlooX.Processes;

/// <summary>
/// Limits one process to its reservation, and removes its control group when the process has ended. A process that takes more than it reserved is
/// limited or killed alone.
/// </summary>
internal sealed class ResourceEnforcer
{
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_retry = TimeSpan.FromMilliseconds(100);
    private const int Retries = 50;
    private const int RestFactor = 20; // looking takes at most a twentieth of a core
    private readonly ChildProcess _process;
    private readonly Provision _need;
    private readonly string _log;
    private readonly ControlGroup? _group;
    private readonly ILogger _logger;
    private readonly BackgroundLoop? _watch;
    private long _diskBytes;
    private bool _isTold;

    /// <param name="process">Has been given nothing to do yet.</param>
    /// <param name="need">What it reserved.</param>
    /// <param name="id">Names it at its agent.</param>
    /// <param name="log">Its output, where it is told why it is killed.</param>
    /// <param name="groups">Where its control group is made; null: it gets none.</param>
    /// <param name="joined">The group in which it was started; null: it is moved into one now.</param>
    /// <param name="folder">Its folder.</param>
    /// <param name="adopted">An agent before this one has made its control group already.</param>
    /// <param name="logger">Receives what goes wrong.</param>
    public ResourceEnforcer(ChildProcess process, Provision need, string id, string log, ControlGroups? groups, ControlGroup? joined, string folder, bool adopted, ILogger logger)
    {
        (_process, _need, _log, _logger) = (process, need, log, logger);
        Folder = folder;
        process.Group = _group = joined ?? (adopted ? groups?.Find(id) : groups?.Create(id, need));
        if (_group is not null && (joined is not null || adopted || _group.Add(process.Pid)))
        {
            Enforced |= (_group.LimitsMemory ? Enforcement.MemoryGroup : Enforcement.None) | (_group.LimitsCores ? Enforcement.CpuGroup : Enforcement.None);
        }

        if (need.DiskBytes > 0)
        {
            Enforced |= Enforcement.DiskWatch;
        }

        _watch = need.DiskBytes > 0 ? BackgroundLoop.Periodic($"folder of process {id}", s_look, WatchAsync, logger).Start() : null;
    }

    /// <summary>The process's own.</summary>
    public string Folder { get; }

    public Enforcement Enforced { get; set; }

    /// <summary>What its folder held when it was last looked at.</summary>
    public long DiskBytes => Volatile.Read(ref _diskBytes);

    /// <summary>The folder is not watched any more: the process has ended, or outlives this agent.</summary>
    public async Task StopWatchAsync()
    {
        if (_watch is not null)
        {
            await _watch.DisposeAsync().ConfigureAwait(false);
        }
    }

    /// <summary>After the process has ended: nothing of it is left, but its folder.</summary>
    public async Task EndAsync()
    {
        await StopWatchAsync().ConfigureAwait(false);
        for (int i = 0; i < Retries && _group is not null && !_group.TryRemove(); i++)
        {
            _group.KillAll(); // what ended has not left it yet
            await Task.Delay(s_retry).ConfigureAwait(false);
        }

        WorkFolder.RemoveTraces(Folder);
    }

    private async Task WatchAsync(CancellationToken stop)
    {
        if (_process.Exited.IsCompleted)
        {
            return;
        }

        long start = TimeProvider.System.GetTimestamp();
        long size = FolderSize.Of(Folder);
        Volatile.Write(ref _diskBytes, size);
        if (size > _need.DiskBytes)
        {
            await TellAsync($"gloox: killed, because {Folder} holds {size} bytes, more than the {_need.DiskBytes} ({ByteSize.Format(_need.DiskBytes)}) of disk that were reserved").ConfigureAwait(false);
            _process.KillAll();
            return;
        }

        TimeSpan rest = (TimeProvider.System.GetElapsedTime(start) * RestFactor) - s_look;
        if (rest > TimeSpan.Zero)
        {
            await Task.Delay(rest, stop).ConfigureAwait(false);
        }
    }

    private async Task TellAsync(string line)
    {
        if (_isTold)
        {
            return;
        }

        try
        {
            _isTold = true;
            await File.AppendAllTextAsync(ChildOutput.ErrorsOf(_log), $"\n{line}\n").ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _logger.ProcessKilled(line); // the disk is full, perhaps by this process
        }
    }
}
