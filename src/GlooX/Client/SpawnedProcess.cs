using GlooX.Client;
using GlooX.Contracts;
using System.Runtime.CompilerServices;

namespace GlooX;

/// <summary>
/// A process of the grid. Disposing closes the line to it; it does not end the process. All members are safe for concurrent use. When its node
/// is gone, calls fail with <see cref="RpcException"/>; if it daemonized, it may run all the same.
/// </summary>
public sealed class SpawnedProcess : IAsyncDisposable
{
    internal static readonly TimeSpan MaxGrace = TimeSpan.FromMinutes(10);
    private readonly RpcClient? _line;
    private readonly NodeConnections _nodes;
    private readonly string _processName;
    private readonly IAgentService _agent;
    private readonly CancellationTokenSource _disposed = new();
    private readonly Lazy<Task<ExitStatus>> _exited;
    private int _isDisposed;

    internal SpawnedProcess(string id, int pid, string node, string url, string processName, DateTimeOffset started, string tmpDir, NodeConnections nodes)
    {
        (Id, Pid, Node, Url, Started, TmpDir) = (id, pid, node, url, started, tmpDir);
        (_nodes, _processName) = (nodes, processName);
        _line = url.Length > 0 ? nodes.Acquire(url, processName) : null;
        _agent = nodes.Acquire(node).As<IAgentService>(IAgentService.ServiceName);
        _exited = new(WatchAsync);
    }

    /// <summary>Names the process in its grid.</summary>
    public string Id { get; }

    /// <summary>Its process id, on its node's machine, when this was made; a restart gives it another, see <see cref="InfoAsync"/>.</summary>
    public int Pid { get; }

    /// <summary>The agent that runs it, as <c>host:port</c>.</summary>
    public string Node { get; }

    /// <summary>Where it answers, as <c>host:port</c>; empty: it is an executable, which is not called.</summary>
    public string Url { get; }

    /// <summary>When it was spawned, by its node's clock.</summary>
    public DateTimeOffset Started { get; }

    /// <summary>Its own folder, on its node's machine: it goes with the process, unless <see cref="SpawnOptions.KeepTmpDir"/> was set.</summary>
    public string TmpDir { get; }

    /// <summary>
    /// How it ends for good: a restart does not complete this. The first look begins to watch; it fails with <see cref="RpcException"/> when the node goes away first, and is cancelled when
    /// this is disposed.
    /// </summary>
    public Task<ExitStatus> Exited => _exited.Value;

    /// <summary>What it does, as far as <see cref="Exited"/> knows; asks nobody. See <see cref="InfoAsync"/>.</summary>
    public ProcessState State => Exited switch
    {
        { IsCompletedSuccessfully: true } => ProcessState.Exited,
        { IsCompleted: true } => ProcessState.Unknown,
        _ => ProcessState.Running,
    };

    private RpcClient Line => _line ?? throw new InvalidOperationException($"process {Id} is an executable: it answers no calls");

    /// <inheritdoc cref="RpcClient.CallAsync{T}(string, object?[])"/>
    public ValueTask<T?> CallAsync<T>(string method, params object?[] arguments) => Line.CallAsync<T>(method, arguments);

    /// <inheritdoc cref="RpcClient.CallAsync{T}(string, object?[], CancellationToken)"/>
    public ValueTask<T?> CallAsync<T>(string method, object?[] arguments, CancellationToken ct) => Line.CallAsync<T>(method, arguments, ct);

    /// <summary>The process as a contract.</summary>
    /// <typeparam name="T">An interface with <see cref="RpcServiceAttribute"/>.</typeparam>
    /// <returns>A proxy; keep it.</returns>
    public T As<T>()
        where T : class => Line.As<T>();

    /// <summary>Asks its node about it.</summary>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>The process; null: the node has forgotten it.</returns>
    /// <exception cref="RpcException">The node does not answer.</exception>
    public async Task<ProcessInfo?> InfoAsync(CancellationToken ct = default) => await _agent.FindHereAsync(Id, ct).ConfigureAwait(false);

    /// <summary>Kills the process and all that it started, for good: it is not started again, also if it waits for that.</summary>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>How it ended.</returns>
    /// <exception cref="RpcException">The node does not answer, or knows no such process.</exception>
    public async Task<ExitStatus> KillAsync(CancellationToken ct = default)
    {
        await _agent.KillAsync(Id, ct).ConfigureAwait(false);
        return await WaitForExitAsync(ct).ConfigureAwait(false);
    }

    /// <summary>Asks the process and all that it started to end for good (SIGTERM), and kills them if it still runs after the grace; its node sees to it.</summary>
    /// <param name="grace">0 to 10 minutes.</param>
    /// <param name="ct">Cancels the wait; the process is ended all the same.</param>
    /// <returns>How it ended; a class that is asked closes its port, lets calls in flight finish for two seconds, and ends with code 143.</returns>
    /// <exception cref="ArgumentOutOfRangeException">`grace` is out of its range.</exception>
    /// <exception cref="RpcException">The node does not answer, or knows no such process.</exception>
    public async Task<ExitStatus> KillAsync(TimeSpan grace, CancellationToken ct = default)
    {
        if (grace < TimeSpan.Zero || grace > MaxGrace)
        {
            throw new ArgumentOutOfRangeException(nameof(grace), grace, $"the grace must be 0 to {MaxGrace.TotalMinutes} minutes");
        }

        await _agent.StopAsync(Id, (long)grace.TotalMilliseconds, ct).ConfigureAwait(false);
        return await WaitForExitAsync(ct).ConfigureAwait(false);
    }

    /// <summary>Waits until the process has ended for good.</summary>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>How it ended.</returns>
    /// <exception cref="RpcException">The node does not answer, or knows no such process.</exception>
    public async Task<ExitStatus> WaitForExitAsync(CancellationToken ct = default)
    {
        int[] exit = await _agent.WaitAsync(Id, ct).ConfigureAwait(false);
        return new ExitStatus(exit[0], exit[1]);
    }

    /// <summary>What the process wrote, on both outputs, and what it writes. Its node keeps it for five minutes after its end; see <c>docs/spawning.md</c>.</summary>
    /// <param name="last">How many lines of what it wrote before; null (default): all that is kept; 0: none.</param>
    /// <param name="follow">Whether to go on until it has ended.</param>
    /// <param name="ct">Ends the stream.</param>
    /// <returns>The lines; those of one output in order, those of both by when they were seen.</returns>
    /// <exception cref="ArgumentOutOfRangeException">Less than no lines are asked for.</exception>
    /// <exception cref="RpcException">The node does not answer, goes away, or knows no such process.</exception>
    public async IAsyncEnumerable<LogLine> LogsAsync(int? last = null, bool follow = false, [EnumeratorCancellation] CancellationToken ct = default)
    {
        if (last < 0)
        {
            throw new ArgumentOutOfRangeException(nameof(last), last, "less than no lines cannot be read");
        }

        await foreach (LogLine[] lines in _agent.LogsAsync(Id, last ?? int.MaxValue, follow, ct).ConfigureAwait(false))
        {
            foreach (LogLine line in lines)
            {
                yield return line;
            }
        }
    }

    /// <summary>Closes the line.</summary>
    /// <returns>Completes when it is closed.</returns>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
        {
            return;
        }

        await _disposed.CancelAsync().ConfigureAwait(false);
        if (_line is not null)
        {
            await _nodes.ReleaseAsync(Url, _processName).ConfigureAwait(false);
        }

        await _nodes.ReleaseAsync(Node).ConfigureAwait(false);
    }

    private async Task<ExitStatus> WatchAsync()
    {
        try
        {
            return await WaitForExitAsync(_disposed.Token).ConfigureAwait(false);
        }
        catch (Exception e) when (_disposed.IsCancellationRequested && e is (RpcException or ObjectDisposedException))
        {
            throw new OperationCanceledException("the line to the process was closed", e, _disposed.Token);
        }
    }
}
