using GlooX.Contracts;
using GlooX.RpcRuntime;
using GlooX.Slots;
using GlooX.Workers;

namespace GlooX;

/// <summary>
/// The base class of what agents spawn: a process of its own that serves the methods of the class with <see cref="RpcAttribute"/> and of
/// its contracts over mutual TLS. It is no member of the grid. All members are safe for concurrent use.
/// </summary>
/// <remarks>
/// When the agent that spawned it is gone, the process ends with all that it started, unless <see cref="ProcessOptions.Daemonize"/> was
/// asked for; then <see cref="ParentLost"/> is cancelled and the process goes on.
/// </remarks>
/// <example><code>
/// public sealed class Child : Worker
/// {
///     [Rpc("all_well?")]
///     public string AllWell() => "yes!";
/// }
/// </code></example>
public abstract class Worker : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly CancellationTokenSource _parentLost = new();
    private RpcServer? _server;
    private Identity? _identity;
    private int _disposed;

    /// <summary>
    /// The address at which other processes reach this one, as <c>host:port</c>; empty before it is started. A process that listens on all addresses is
    /// reached by the host of its node.
    /// </summary>
    public string Url { get; private set; } = "";

    /// <summary>The options that the spawn asked for.</summary>
    public ProcessOptions Options { get; private set; } = new();

    /// <summary>
    /// Cancelled when the agent that spawned this process is gone, if the process daemonizes. An agent that takes the process over later is
    /// not its parent.
    /// </summary>
    public CancellationToken ParentLost => _parentLost.Token;

    /// <summary>Makes a client of the agent that <see cref="ProcessOptions.ParentUrl"/> names; the caller disposes the client.</summary>
    /// <returns>The client; it connects on the first call.</returns>
    /// <exception cref="InvalidOperationException">The worker is not started.</exception>
    public GlooXClient ConnectToParent() => new GlooXClient(
        Options.ParentUrl, new RpcClientOptions { Identity = _identity
            ?? throw new InvalidOperationException("The worker is not started: an agent starts it.") });

    /// <summary>Stops serving; calls in flight may finish for two seconds. The process ends when its agent ends it.</summary>
    /// <returns>Completes when the port is closed.</returns>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        GC.SuppressFinalize(this);
        await _stop.CancelAsync().ConfigureAwait(false);
        if (_server is not null)
        {
            await _server.DisposeAsync().ConfigureAwait(false);
        }

        _stop.Dispose();
    }

    /// <summary>Runs when the process listens and before the spawn returns; an exception fails the spawn.</summary>
    /// <param name="ct">Cancelled when the process stops.</param>
    /// <returns>Completes when the process is ready.</returns>
    protected virtual Task OnStartedAsync(CancellationToken ct) => Task.CompletedTask;

    internal async Task StartAsync(Identity identity, ProcessOptions options, string advertisedHost)
    {
        Options = options;
        _identity = identity;
        _server = new RpcServer(new RpcServerOptions { Identity = identity });
        _server.Add(new WorkerService(this), IWorkerService.ServiceName, WorkerService.Access);
        _server.Add(new WorkerTrust(identity), IWorkerTrust.ServiceName, WorkerTrust.Access);
        if (RpcRegistry.FindDispatcher(GetType()) is not null)
        {
            _server.Add(this);
        }

        try
        {
            await _server.StartAsync(options.Url).ConfigureAwait(false);
        }
        catch (RpcException e)
        {
            throw new ListenException(e);
        }

        RpcEndpoint listening = RpcEndpoint.Parse(_server.Url);
        Url = (listening.IsAny && advertisedHost.Length > 0 ? listening.WithHost(advertisedHost) : listening).ToString();
        await OnStartedAsync(_stop.Token).ConfigureAwait(false);
    }

    // An exception of the user's callbacks must not end a process that is to outlive its agent.
    internal void LoseParent() => _ = _parentLost.CancelAsync().ContinueWith(
        static t => Console.Error.WriteLine(t.Exception), CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted,
            TaskScheduler.Default);

    internal NodeInfo Describe()
    {
        MachineStatus machine = Machine.Local(Path.GetTempPath()).Read();
        return new NodeInfo(
            Url, "", Environment.MachineName, Environment.ProcessId, machine.Cores, machine.TotalMemoryBytes, machine.TotalDiskBytes,
                Utilization: 0, Weight: 1, Peers: []);
    }
}

/// <summary>The address is in use, or not one of this machine's: on another node the worker may listen there.</summary>
internal sealed class ListenException(RpcException e) : Exception(e.Message, e);
