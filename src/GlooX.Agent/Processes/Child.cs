using GlooX.Bundles;
using GlooX.Contracts;
using GlooX.Slots;

namespace GlooX.Processes;

/// <summary>
/// A spawned process as its agent keeps it: what it is from its first start to its end for good, and the run that it is in. Thread-safe.
/// </summary>
internal sealed class Child(string id, string log, ProcessRun run, Reservation reservation, SpawnRequest request, BundleLease? lease, ChildOutput output)
{
    private readonly Lock _lock = new();
    private readonly TaskCompletionSource _asked = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<bool> _firstStart = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<ExitStatus> _completed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile ProcessRun _run = run;
    private volatile bool _isWaiting;

    public string Id { get; } = id;

    public string Log { get; } = log;

    /// <summary>Null: it holds its files by itself alone.</summary>
    public BundleLease? Lease { get; } = Take(lease);

    public ChildOutput Output { get; } = output;

    public Reservation Reservation { get; } = reservation;

    public SpawnRequest Request { get; } = request;

    public RestartRule Rule { get; init; } = new(request.Restart);

    public DateTimeOffset Started { get; init; } = DateTimeOffset.UtcNow;

    /// <summary>Null: it ends with this agent.</summary>
    public ReservationRecord? Record { get; set; }

    /// <summary>The run that it is in, or was in last.</summary>
    public ProcessRun Run => _run;

    public ChildProcess Process => _run.Process;

    public ResourceEnforcer Enforcer => _run.Enforcer;

    public string Name => Request.Command.Length > 0 || (IsReady && Url.Length == 0) ? Request.Class : Request.Class[(Request.Class.LastIndexOf('.') + 1)..];

    /// <summary>Where it answers; empty until it does, and for executables.</summary>
    public string Url { get; set; } = "";

    /// <summary>The name in its certificate; empty: it has none of its own.</summary>
    public string ProcessName { get; set; } = "";

    /// <summary>Whether it has started as well as can be known, once.</summary>
    public bool IsReady { get; private set; }

    /// <summary>Why it is over, where its exit does not say it.</summary>
    public string Reason { get; set; } = "";

    /// <summary>Whether another node may be able to start the process that could not be started here.</summary>
    public bool MayStartElsewhere { get; set; }

    /// <summary>Whether its policy has said that it is not started again.</summary>
    public bool IsDecided { get; set; }

    public int Restarts { get; set; }

    public ExitStatus? LastExit { get; set; }

    /// <summary>Whether somebody wants its end: then it is not started again.</summary>
    public bool IsEnding => _asked.Task.IsCompleted;

    /// <summary>That the first start is over; false: it failed.</summary>
    public Task<bool> FirstStart => _firstStart.Task;

    /// <summary>Its end for good.</summary>
    public Task<ExitStatus> Completed => _completed.Task;

    /// <summary>That it is killed if it does not end when asked.</summary>
    public Task Killing { get; set; } = Task.CompletedTask;

    public Task Tail { get; set; } = Task.CompletedTask;

    public Task Released { get; set; } = Task.CompletedTask;

    /// <summary>The first start is over.</summary>
    public void Begin(bool isReady)
    {
        IsReady = isReady;
        _firstStart.TrySetResult(isReady);
    }

    /// <summary>It is started again; what is wanted to end meanwhile is killed at once.</summary>
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

    /// <summary>It has ended, and is started again; or that is done.</summary>
    public void Wait(bool waits) => _isWaiting = waits;

    /// <summary>Ends it for good, now or after a grace.</summary>
    public void End(Action<ChildProcess> how)
    {
        _asked.TrySetResult();
        lock (_lock)
        {
            how(_run.Process);
        }
    }

    /// <summary>Lets a pause pass; false: somebody wants its end, or the agent stops.</summary>
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

    /// <summary>It has ended for good.</summary>
    public void Finish() => _completed.TrySetResult(LastExit ?? ExitStatus.Unknown);

    /// <summary>Where it was told to listen, with the port that it had then: so whoever has a line to it goes on.</summary>
    public string SameUrl()
    {
        string asked = Request.Options.Url;
        return Url.Length > 0 && RpcEndpoint.Parse(asked) is { Path: null, Port: 0 } any ? any.WithPort(RpcEndpoint.Parse(Url).Port).ToString() : asked;
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

    private static BundleLease? Take(BundleLease? lease)
    {
        lease?.IsTaken = true;
        return lease;
    }
}
