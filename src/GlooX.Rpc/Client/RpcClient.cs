using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using GlooX.Client;
using GlooX.Interceptors;
using GlooX.Protocol;
using GlooX.RpcRuntime;
using GlooX.Transport;
using Nerdbank.MessagePack;

namespace GlooX;

/// <summary>
/// Calls one process over one connection, or a few: any number of calls at once, from any thread. It connects on the first call. When the
/// connection is lost, the next call connects again; calls that were in flight fail with <see cref="RpcError.Connection"/>, for nobody can
/// know whether they were executed, unless their method is idempotent (<see cref="RpcAttribute.Idempotent"/>): then they are made again.
/// When the server shuts down, calls in flight go on, and new ones go to a new connection.
/// </summary>
/// <remarks>
/// A server that cannot be reached is not hammered: all callers share one attempt, and attempts are made with a growing, jittered pause.
/// An <see cref="RpcException"/> without a <see cref="RpcException.Method"/> says that the call was never sent.
/// </remarks>
public sealed class RpcClient : IAsyncDisposable, ICallSource
{
    private readonly RpcEndpoint _endpoint;
    private readonly Lazy<Identity> _identity;
    private readonly CancellationTokenSource _disposed = new();
    private readonly ConcurrentDictionary<ClientConnection, bool> _connections = new();
    private readonly Lane[] _lanes;

    private RpcClient(RpcEndpoint endpoint, RpcClientOptions options)
    {
        _endpoint = endpoint;
        Options = options;
        Pipeline = new Pipeline(options.Interceptors);
        _identity = new(() => options.Identity ?? Identity.Load());
        _lanes = [.. Enumerable.Range(0, options.Connections).Select(i => new Lane(ct => DialAsync(i, ct), options.MaxConnectPause, TimeProvider.System, _disposed.Token))];
    }

    /// <summary>Whom it calls, as <c>host:port</c> or <c>unix:/path</c>.</summary>
    public string Url => _endpoint.ToString();

    internal RpcClientOptions Options { get; }

    internal Pipeline Pipeline { get; }

    /// <summary>The open connection with the fewest calls in flight; null when there is none that new calls may use.</summary>
    internal ClientConnection? Current => _lanes.Length == 1 ? _lanes[0].Open : LeastLoaded();

    /// <summary>All connections, those that only finish their calls included.</summary>
    internal ICollection<ClientConnection> Connections => _connections.Keys;

    Pipeline ICallSource.Pipeline => Pipeline;

    int ICallSource.Lanes => _lanes.Length;

    bool ICallSource.IsDisposed => _disposed.IsCancellationRequested;

    bool ICallSource.WasConnected => _lanes[0].WasOpen;

    Exception? ICallSource.ConnectFailure => _lanes[0].Failure;

    RpcConnection? ICallSource.Current => Current;

    TimeSpan ICallSource.CallTimeout => Options.CallTimeout;

    /// <summary>Makes a client; nothing is sent before the first call.</summary>
    /// <param name="url"><c>host:port</c>, where an "any" address such as 0.0.0.0 means this machine; or <c>unix:/path</c>.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <returns>The client.</returns>
    /// <exception cref="ArgumentException">The URL is malformed.</exception>
    public static RpcClient Connect(string url, RpcClientOptions? options = null)
    {
        RpcEndpoint endpoint = RpcEndpoint.Parse(url).Dialable;
        options ??= new RpcClientOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Connections, 1, nameof(options));
        return endpoint.IsDialable
            ? new RpcClient(endpoint, options)
            : throw new ArgumentException($"'{url}' cannot be called: it has no port", nameof(url));
    }

    /// <summary>Connects now, to learn early whether it works.</summary>
    /// <param name="ct">Gives up.</param>
    /// <returns>Completes when the other side has accepted.</returns>
    /// <exception cref="RpcException">It cannot connect; <see cref="RpcException.Code"/> says why.</exception>
    /// <exception cref="IdentityException">The certificates cannot be used.</exception>
    public async Task OpenAsync(CancellationToken ct = default) => await ConnectionAsync(ct).ConfigureAwait(false);

    /// <summary>The other side as a contract.</summary>
    /// <typeparam name="T">An interface with <see cref="RpcServiceAttribute"/>.</typeparam>
    /// <param name="service">Which service; empty: the one without a name.</param>
    /// <returns>A proxy, as long-lived as this client; keep it rather than make one for each call.</returns>
    /// <exception cref="ArgumentException"><typeparamref name="T"/> is no contract.</exception>
    public T As<T>(string service = "")
        where T : class => RpcRegistry.CreateProxy<T>(new RpcInvoker(this, service));

    /// <summary>Calls a method by name.</summary>
    /// <typeparam name="T">What it returns; with <see cref="object"/> whatever comes.</typeparam>
    /// <param name="method"><c>method</c> or <c>service/method</c>.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <returns>The result.</returns>
    /// <exception cref="RpcException">The call failed; <see cref="RpcException.Code"/> says why.</exception>
    public ValueTask<T?> CallAsync<T>(string method, params object?[] arguments) => CallAsync<T>(method, arguments, CancellationToken.None);

    /// <inheritdoc cref="CallAsync{T}(string, object?[])"/>
    /// <param name="method"><c>method</c> or <c>service/method</c>.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="ct">Cancels the call, here and there.</param>
    public ValueTask<T?> CallAsync<T>(string method, object?[] arguments, CancellationToken ct)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(method);
        ArgumentNullException.ThrowIfNull(arguments);
        int slash = method.IndexOf('/', StringComparison.Ordinal);
        var invoker = new RpcInvoker(this, slash < 0 ? "" : method[..slash]);
        var untyped = new RpcMethod<T?>(method[(slash + 1)..], static (ref MessagePackReader r, RpcSerializer s) => s.Read<T>(ref r));
        return invoker.Bind(untyped).InvokeAsync(new UntypedArguments(arguments), ct);
    }

    /// <summary>
    /// A service as an object of the type <c>dynamic</c>, for scripts: <c>int sum = await client.Dynamic("calculator").AddAsync(1, 2)</c>.
    /// </summary>
    /// <remarks>
    /// What is called on it is called there, by its name without a trailing <c>Async</c>; a <see cref="CancellationToken"/> as the last
    /// argument cancels. Each call is a <see cref="Task{TResult}"/> of null, bool, int (long, ulong if it does not fit), double, string,
    /// byte[], a list or a map. A list is an <see cref="IReadOnlyList{T}"/> and converts to arrays, lists and tuples; a map is an
    /// <see cref="IReadOnlyDictionary{TKey, TValue}"/> by string, has its keys as members, and converts to records and dictionaries.
    /// Streams cannot be called so. Thread-safe.
    /// </remarks>
    /// <param name="service">Which service; empty: the one without a name.</param>
    /// <returns>The service; its calls throw as <see cref="CallAsync{T}(string, object?[])"/> does.</returns>
    [RequiresDynamicCode(DynamicClient.Why)]
    [RequiresUnreferencedCode(DynamicClient.Why)]
    public dynamic Dynamic(string service = "") => new DynamicClient(this, service);

    /// <summary>Closes all connections; calls in flight fail.</summary>
    /// <returns>Completes when they are closed.</returns>
    public async ValueTask DisposeAsync()
    {
        await _disposed.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(_lanes.Select(static l => l.SettleAsync())).ConfigureAwait(false);
        var reason = new RpcException(RpcError.Connection, "the client was disposed") { Url = Url };
        await Task.WhenAll(Connections.Select(c => c.FinishAsync(reason, TimeSpan.FromSeconds(1)))).ConfigureAwait(false);
    }

    async ValueTask<RpcConnection> ICallSource.ConnectionAsync(CancellationToken ct, long until) => await ConnectionAsync(ct, until).ConfigureAwait(false);

    /// <summary>A connection that new calls may use.</summary>
    /// <param name="ct">Waits no longer; an attempt to connect that is under way goes on for others.</param>
    /// <param name="until">How long to try again when connecting fails, in <see cref="Environment.TickCount64"/>; the options may say longer.</param>
    internal async ValueTask<ClientConnection> ConnectionAsync(CancellationToken ct, long until = 0)
    {
        until = Math.Max(until, Environment.TickCount64 + (long)Options.RetryConnectFor.TotalMilliseconds);
        while (true)
        {
            if (Current is { } open)
            {
                return open;
            }

            ObjectDisposedException.ThrowIf(_disposed.IsCancellationRequested, this);
            try
            {
                return await _lanes[0].ConnectAsync().WaitAsync(ct).ConfigureAwait(false);
            }
            catch (RpcException e) when (MayPass(e.Code) && Environment.TickCount64 < until)
            {
                // the next attempt is made after a pause
            }
            catch (OperationCanceledException) when (_disposed.IsCancellationRequested && !ct.IsCancellationRequested)
            {
                throw new ObjectDisposedException(nameof(RpcClient));
            }
        }
    }

    private static bool MayPass(RpcError error) => error is RpcError.Connection or RpcError.Timeout or RpcError.Overloaded or RpcError.ShuttingDown;

    private async Task<ClientConnection> DialAsync(int lane, CancellationToken ct)
    {
        ClientConnection connection = await ClientConnection.OpenAsync(_endpoint, _identity.Value, Options, lane, ct).ConfigureAwait(false);
        _connections[connection] = true;
        _ = connection.Closed.ContinueWith(_ => _connections.TryRemove(connection, out bool _), TaskScheduler.Default);
        return connection;
    }

    /// <summary>Opens a further connection, for later calls, when all those that are open are in use.</summary>
    private ClientConnection? LeastLoaded()
    {
        ClientConnection? best = null;
        Lane? closed = null;
        foreach (Lane lane in _lanes)
        {
            if (lane.Open is not { } open)
            {
                closed ??= lane.IsConnecting ? null : lane;
            }
            else if (best is null || open.Load < best.Load)
            {
                best = open;
            }
        }

        if (closed is not null && best is { Load: > 0 } && !_disposed.IsCancellationRequested)
        {
            _ = closed.ConnectAsync(); // the lane keeps it; when it fails, the calls go on with the others
        }

        return best;
    }

    private readonly struct UntypedArguments(object?[] values) : IRpcArguments
    {
        public void Write(ref MessagePackWriter writer, RpcSerializer serializer)
        {
            writer.WriteArrayHeader(values.Length);
            foreach (object? value in values)
            {
                serializer.WriteUntyped(ref writer, value, 0);
            }
        }
    }
}
