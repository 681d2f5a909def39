using GlooX.Bundles;
using GlooX.Contracts;
using GlooX.Slots;

namespace GlooX.Processes;

/// <summary>
/// A spawned process from its first start to its end for good, with the run that it is in. Thread-safe.
/// </summary>
internal sealed class Child(
    string id, string log, ProcessRun run, Reservation reservation, SpawnRequest request, BundleLease? lease, ChildOutput output)
{
    private readonly Lock _lock = new();
    private readonly TaskCompletionSource _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<bool> _firstStart = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<ExitStatus> _completed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile ProcessRun _run = run;
    private volatile bool _isWaiting;

    public string Id { get; } = id;

    public string Log { get; } = log;

    /// <summary>The lease of its files; null: the process itself holds them.</summary>
    public BundleLease? Lease { get; } = lease;

    public ChildOutput Output { get; } = output;

    public Reservation Reservation { get; } = reservation;

    public SpawnRequest Request { get; } = request;

    public RestartRule Rule { get; init; } = new(request.Restart);

    public DateTimeOffset Started { get; init; } = DateTimeOffset.UtcNow;

    /// <summary>The record of a detached process; null: the process ends with this agent.</summary>
    public DetachedRecord? Record { get; set; }

    /// <summary>The current run, or the last one.</summary>
    public ProcessRun Run => _run;

    public ChildProcess Process => _run.Process;

    public ResourceEnforcer Enforcer => _run.Enforcer;

    public string Name =>
        Request.Command.Length > 0 || (IsReady && Url.Length == 0) ? Request.Class : Request.Class[(Request.Class.LastIndexOf('.') + 1)..];

    /// <summary>Where the process answers; empty until it does, and for programs.</summary>
    public string Url { get; set; } = "";

    /// <summary>The name in the certificate of the process; empty: it has none of its own.</summary>
    public string ProcessName { get; set; } = "";

    /// <summary>Whether the process became ready at its first start.</summary>
    public bool IsReady { get; private set; }

    /// <summary>Why the process has ended, where its exit status does not tell.</summary>
    public string Reason { get; set; } = "";

    /// <summary>Whether another node may be able to start the process that could not be started here.</summary>
    public bool MayStartElsewhere { get; set; }

    /// <summary>Whether its policy has decided that it is not restarted.</summary>
    public bool IsDecided { get; set; }

    public int Restarts { get; set; }

    public ExitStatus? LastExit { get; set; }

    /// <summary>Whether the process was asked to end: then it is not restarted.</summary>
    public bool IsEnding => _asked.Task.IsCompleted;

    /// <summary>Completes after the first start; false: the start failed.</summary>
    public Task<bool> FirstStart => _firstStart.Task;

    /// <summary>Completes when the process has ended for good.</summary>
    public Task<ExitStatus> Completed => _completed.Task;

    /// <summary>Kills the process if it does not end when asked.</summary>
    public Task Killing { get; set; } = Task.CompletedTask;

    public Task Tail { get; set; } = Task.CompletedTask;

    public Task Released { get; set; } = Task.CompletedTask;

    /// <summary>The first start is over.</summary>
    public void Begin(bool isReady)
    {
        IsReady = isReady;
        _firstStart.TrySetResult(isReady);
    }

    /// <summary>The process is restarted; if it was asked to end meanwhile, it is killed at once.</summary>
    public void Enter(ProcessRun run)
    {
        lock (_lock)
        {
            _run = run;
            if (IsEnding)
            {
                run.Process.KillAll();
            }
        }
    }

    /// <summary>The process has ended and waits for its restart, or no longer waits.</summary>
    public void Wait(bool waits) => _isWaiting = waits;

    /// <summary>Ends the process for good.</summary>
    public void End(Action<ChildProcess> how)
    {
        _asked.TrySetResult();
        lock (_lock)
        {
            how(_run.Process);
        }
    }

    /// <summary>Lets a pause pass; false: the process was asked to end, or the agent stops.</summary>
    public async Task<bool> PauseAsync(TimeSpan pause, CancellationToken stop)
    {
        try
        {
            await _asked.Task.WaitAsync(pause, stop).ConfigureAwait(false);
            return false;
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException)
        {
            return e is TimeoutException;
        }
    }

    /// <summary>The process has ended for good.</summary>
    public void Finish() => _completed.TrySetResult(LastExit ?? ExitStatus.Unknown);

    /// <summary>Where the process was told to listen, with the port that it had then, so that its clients find it again.</summary>
    public string SameUrl()
    {
        string asked = Request.Options.Url;
        return Url.Length > 0 && RpcEndpoint.Parse(asked) is { Path: null, Port: 0 } any ? any.WithPort(RpcEndpoint.Parse(Url).Port)
            .ToString() : asked;
    }

    public ProcessInfo Describe(string node) =>
        new(Id, Request.Class, Process.Pid, node, Url, Request.MemoryBytes, Request.DiskBytes, Request.Options.Daemonize, Started)
        {
            Resources = Request.Resources,
            Enforced = Enforcer.Enforced,
            State = Completed.IsCompleted ? ProcessState.Exited : _isWaiting ? ProcessState.Restarting : ProcessState.Running,
            Exit = Completed.IsCompletedSuccessfully ? Completed.Result : null,
            Restarts = Restarts,
            LastExit = LastExit,
            TmpDir = Request.Options.TmpDir,
            ProcessName = ProcessName,
        };
}
