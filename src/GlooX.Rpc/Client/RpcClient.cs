using System.Diagnostics.CodeAnalysis;
using GlooX.Client;
using GlooX.Interception;
using GlooX.RpcRuntime;
using GlooX.Tls;
using GlooX.Wire;
using Nerdbank.MessagePack;

namespace GlooX;

/// <summary>
/// Calls one process over one connection: any number of calls at once, from any thread. It connects on the first call, and again when
/// the connection was lost; calls that were in flight then fail, for nobody can know whether they were executed.
/// </summary>
public sealed class RpcClient : IAsyncDisposable, ICallSource
{
    private readonly RpcEndpoint _endpoint;
    private readonly Lazy<Identity> _identity;
    private readonly SemaphoreSlim _connecting = new(1);
    private readonly CancellationTokenSource _disposed = new();
    private ClientConnection? _current;

    private RpcClient(RpcEndpoint endpoint, RpcClientOptions options)
    {
        _endpoint = endpoint;
        Options = options;
        Pipeline = new Pipeline(options.Interceptors);
        _identity = new(() => options.Identity ?? Identity.Load());
    }

    /// <summary>Whom it calls, as <c>host:port</c>.</summary>
    public string Url => _endpoint.ToString();

    internal RpcClientOptions Options { get; }

    internal Pipeline Pipeline { get; }

    Pipeline ICallSource.Pipeline => Pipeline;

    /// <summary>The open connection; null when there is none that new calls may use.</summary>
    internal ClientConnection? Current => Volatile.Read(ref _current) is { IsUsable: true } connection ? connection : null;

    RpcConnection? ICallSource.Current => Current;

    TimeSpan ICallSource.CallTimeout => Options.CallTimeout;

    /// <summary>Makes a client; nothing is sent before the first call.</summary>
    /// <param name="url"><c>host:port</c>; an "any" address such as 0.0.0.0 means this machine.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <returns>The client.</returns>
    /// <exception cref="ArgumentException">The URL is malformed.</exception>
    public static RpcClient Connect(string url, RpcClientOptions? options = null)
    {
        RpcEndpoint endpoint = RpcEndpoint.Parse(url).Dialable;
        return endpoint.Port == 0
            ? throw new ArgumentException($"'{url}' cannot be called: it has no port", nameof(url))
            : new RpcClient(endpoint, options ?? new RpcClientOptions());
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

    /// <summary>Closes the connection; calls in flight fail.</summary>
    /// <returns>Completes when it is closed.</returns>
    public async ValueTask DisposeAsync()
    {
        await _disposed.CancelAsync().ConfigureAwait(false);
        ClientConnection? connection = Interlocked.Exchange(ref _current, null);
        if (connection is not null)
        {
            await connection.FinishAsync(new RpcException(RpcError.Connection, "the client was disposed") { Url = Url }, TimeSpan.FromSeconds(1)).ConfigureAwait(false);
        }
    }

    async ValueTask<RpcConnection> ICallSource.ConnectionAsync(CancellationToken ct) => await ConnectionAsync(ct).ConfigureAwait(false);

    internal async ValueTask<ClientConnection> ConnectionAsync(CancellationToken ct)
    {
        if (Current is { } open)
        {
            return open;
        }

        ObjectDisposedException.ThrowIf(_disposed.IsCancellationRequested, this);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(ct, _disposed.Token);
        await _connecting.WaitAsync(stop.Token).ConfigureAwait(false);
        try
        {
            if (Current is { } meanwhile)
            {
                return meanwhile;
            }

            ClientConnection connection = await OpenWithRetriesAsync(stop.Token).ConfigureAwait(false);
            Volatile.Write(ref _current, connection);
            return connection;
        }
        catch (OperationCanceledException) when (_disposed.IsCancellationRequested && !ct.IsCancellationRequested)
        {
            throw new ObjectDisposedException(nameof(RpcClient));
        }
        finally
        {
            _connecting.Release();
        }
    }

    // Full jitter (Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
    private async Task<ClientConnection> OpenWithRetriesAsync(CancellationToken ct)
    {
        long until = Environment.TickCount64 + (long)Options.RetryConnectFor.TotalMilliseconds;
        for (int attempt = 0; ; attempt++)
        {
            try
            {
                return await ClientConnection.OpenAsync(_endpoint, _identity.Value, Options, ct).ConfigureAwait(false);
            }
            catch (RpcException e) when (e.Code is RpcError.Connection or RpcError.Timeout && Environment.TickCount64 < until)
            {
                int ceiling = Math.Min(1000, 20 << Math.Min(attempt, 6));
                await Task.Delay(Random.Shared.Next(ceiling / 2, ceiling), ct).ConfigureAwait(false);
            }
        }
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
