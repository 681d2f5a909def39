using GlooX.Payloads;
using GlooX.Slots;
using GlooX.Workers;

namespace GlooX.Processes;

/// <summary>
/// Holds one process to what it reserved, and clears away what it leaves: its folder and its control group. A process that takes more
/// hurts itself alone.
/// </summary>
internal sealed class Guard
{
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_retry = TimeSpan.FromMilliseconds(100);
    private const int Retries = 50;
    private const int RestFactor = 20; // looking takes at most a twentieth of a core
    private readonly ChildProcess _process;
    private readonly Provision _need;
    private readonly string _log;
    private readonly ControlGroup? _group;
    private readonly Task _watch;
    private long _diskBytes;

    /// <param name="process">Has been given nothing to do yet.</param>
    /// <param name="need">What it reserved.</param>
    /// <param name="id">Names it at its agent.</param>
    /// <param name="log">Its output, where it is told why it is killed.</param>
    /// <param name="groups">Where its control group is made; null: it gets none.</param>
    /// <param name="folder">Its folder.</param>
    /// <param name="adopted">An agent before this one has made its control group already.</param>
    /// <param name="stop">The agent stops: what outlives it is not watched any more.</param>
    public Guard(ChildProcess process, Provision need, string id, string log, ControlGroups? groups, string folder, bool adopted, CancellationToken stop)
    {
        (_process, _need, _log) = (process, need, log);
        Folder = folder;
        _group = adopted ? groups?.Find(id) : groups?.Create(id, need);
        if (_group is not null && (adopted || _group.Add(process.Pid)))
        {
            Enforced |= (_group.LimitsMemory ? Enforcement.MemoryGroup : Enforcement.None) | (_group.LimitsCores ? Enforcement.CpuGroup : Enforcement.None);
        }

        if (need.DiskBytes > 0)
        {
            Enforced |= Enforcement.DiskWatch;
        }

        _watch = need.DiskBytes > 0 ? WatchAsync(stop) : Task.CompletedTask;
    }

    /// <summary>The process's own.</summary>
    public string Folder { get; }

    public Enforcement Enforced { get; set; }

    /// <summary>What its folder held when it was last looked at.</summary>
    public long DiskBytes => Volatile.Read(ref _diskBytes);

    /// <summary>After the process has ended: nothing of it is left, but its folder.</summary>
    public async Task EndAsync()
    {
        await _watch.ConfigureAwait(false);
        for (int i = 0; i < Retries && _group is not null && !_group.TryRemove(); i++)
        {
            foreach (int pid in _group.Processes())
            {
                LinuxSignal.KillOne(pid); // it had left the session of the process, not its group
            }

            await Task.Delay(s_retry).ConfigureAwait(false);
        }

        WorkFolder.RemoveTraces(Folder);
    }

    private async Task WatchAsync(CancellationToken stop)
    {
        TimeSpan rest = s_look;
        while (await Task.WhenAny(_process.Exited, Task.Delay(rest, stop)).ConfigureAwait(false) != _process.Exited && !stop.IsCancellationRequested)
        {
            long start = TimeProvider.System.GetTimestamp();
            long size = FolderSize.Of(Folder);
            Volatile.Write(ref _diskBytes, size);
            if (size > _need.DiskBytes)
            {
                await TellAsync($"gloox: killed, because {Folder} holds {size} bytes, more than the {_need.DiskBytes} ({ByteSize.Format(_need.DiskBytes)}) of disk that were reserved").ConfigureAwait(false);
                _process.KillAll();
                return;
            }

            rest = TimeSpan.FromTicks(Math.Max(s_look.Ticks, TimeProvider.System.GetElapsedTime(start).Ticks * RestFactor));
        }
    }

    private async Task TellAsync(string line)
    {
        try
        {
            await File.AppendAllTextAsync(ChildOutput.ErrorsOf(_log), $"\n{line}\n").ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Console.Error.WriteLine(line); // the disk is full, perhaps by this process
        }
    }
}
