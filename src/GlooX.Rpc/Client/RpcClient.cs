using System.Collections.Concurrent;
using System.Net.Security;
using GlooX.Client;
using GlooX.Interceptors;
using GlooX.Protocol;
using GlooX.RpcRuntime;
using GlooX.Server;
using GlooX.Tls;
using Nerdbank.MessagePack;

namespace GlooX;

/// <summary>
/// Calls one process over one connection, or a few: any number of calls at once, from any thread. It connects on the first call. When the
/// connection is lost, the next call connects again. Calls that were in flight fail with <see cref="RpcError.Connection"/>, because it cannot
/// be known whether they ran; calls of idempotent methods (<see cref="RpcAttribute.Idempotent"/>) are repeated instead. When the server shuts
/// down, calls in flight complete, and new calls use a new connection.
/// </summary>
/// <remarks>
/// All callers share one attempt to connect, and the pause between attempts grows with jitter, so that a server that is down is not flooded. An
/// <see cref="RpcException"/> without a <see cref="RpcException.Method"/> means that the call was never sent. All members are thread-safe.
/// </remarks>
public sealed class RpcClient : IAsyncDisposable, IConnectionSource
{
    private static readonly MethodTrust s_untyped = new(isQuick: true);
    private readonly RpcEndpoint _endpoint;
    private readonly Lazy<Identity> _identity;
    private readonly CancellationTokenSource _disposed = new();
    private readonly ConcurrentDictionary<ClientConnection, bool> _connections = new();
    private readonly ConnectionSlot[] _slots;

    /// <summary>Creates a client. Nothing is sent before the first call or <see cref="OpenAsync"/>.</summary>
    /// <param name="url">
    /// The server as <c>host:port</c> or <c>unix:/path</c>. An "any" address such as 0.0.0.0 means this machine.
    /// </param>
    /// <param name="options">Null: the defaults.</param>
    /// <exception cref="ArgumentException"><paramref name="url"/> is malformed or has no port.</exception>
    /// <exception cref="ArgumentOutOfRangeException"><see cref="RpcClientOptions.Connections"/> is less than 1.</exception>
    public RpcClient(string url, RpcClientOptions? options = null)
    {
        _endpoint = RpcEndpoint.Parse(url).Dialable;
        if (!_endpoint.IsDialable)
        {
            throw new ArgumentException($"'{url}' cannot be called: it has no port", nameof(url));
        }

        Options = options ?? new RpcClientOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(Options.Connections, 1, nameof(options));
        Pipeline = new Pipeline(Options.Interceptors);
        _identity = new(() => Options.Identity ?? Identity.Load());
        _slots = [.. Enumerable.Range(0, Options.Connections)
            .Select(i => new ConnectionSlot(ct => DialAsync(i, ct), Options.MaxConnectPause, TimeProvider.System, _disposed.Token))];
    }

    /// <summary>The server, as <c>host:port</c> or <c>unix:/path</c>.</summary>
    public string Url => _endpoint.ToString();

    internal RpcClientOptions Options { get; }

    internal Pipeline Pipeline { get; }

    /// <summary>The open connection with the fewest calls in flight; null when there is none that new calls may use.</summary>
    internal ClientConnection? Current => _slots.Length == 1 ? _slots[0].Open : LeastLoaded();

    /// <summary>All connections, those that only finish their calls included.</summary>
    internal ICollection<ClientConnection> Connections => _connections.Keys;

    Pipeline IConnectionSource.Pipeline => Pipeline;

    int IConnectionSource.SlotCount => _slots.Length;

    bool IConnectionSource.IsDisposed => _disposed.IsCancellationRequested;

    bool IConnectionSource.WasConnected => _slots[0].WasOpen;

    Exception? IConnectionSource.ConnectFailure => _slots[0].Failure;

    RpcConnection? IConnectionSource.Current => Current;

    TimeSpan IConnectionSource.CallTimeout => Options.CallTimeout;

    /// <summary>Connects now, unless a connection is open, and tells who the server is.</summary>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>The verified server.</returns>
    /// <exception cref="RpcException">The connection failed; <see cref="RpcException.Code"/> says why.</exception>
    /// <exception cref="IdentityException">This process has no usable certificates.</exception>
    public async Task<RpcPeer> OpenAsync(CancellationToken ct = default)
    {
        ClientConnection connection = await ConnectionAsync(ct).ConfigureAwait(false);
        return new RpcPeer(connection.Remote, connection.LocalAddress, connection.Peer);
    }

    /// <summary>
    /// Opens a connection of its own for another protocol on the server's port (see <see cref="RpcServer.AddProtocol"/>), under the identity
    /// and the rules of trust of this client.
    /// </summary>
    /// <param name="protocol">The protocol's name in ALPN, for example <c>gloox-grid/1</c>.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>The encrypted stream; the caller disposes it.</returns>
    /// <exception cref="RpcException">
    /// <see cref="RpcError.Connection"/>, <see cref="RpcError.Tls"/>, <see cref="RpcError.Timeout"/> after
    /// <see cref="RpcClientOptions.ConnectTimeout"/>, or <see cref="RpcError.Protocol"/>: the server does not speak the protocol.
    /// </exception>
    public async Task<Stream> OpenStreamAsync(string protocol, CancellationToken ct = default)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(Options.ConnectTimeout);
        try
        {
            TlsConnection connection = await TlsConnection.DialAsync(
                _endpoint, new SslApplicationProtocol(protocol), _identity.Value, Options.ServerName, Options.ServerRole, limit.Token, Options.DialOptions(limit)).ConfigureAwait(false);
            return connection.Stream;
        }
        catch (OperationCanceledException e) when (!ct.IsCancellationRequested)
        {
            throw new RpcException(RpcError.Timeout, $"cannot connect to {Url}: no answer in time (RpcClientOptions.ConnectTimeout)", e) { Url = Url };
        }
    }

    /// <summary>A proxy for the server through a contract.</summary>
    /// <typeparam name="T">An interface with <see cref="RpcServiceAttribute"/>.</typeparam>
    /// <param name="service">The name of the service; empty (default): the service without a name.</param>
    /// <param name="serverRole">
    /// The roles that the server's certificate must have on each connection that carries a call; otherwise nothing is sent and the call fails with
    /// <see cref="RpcError.Tls"/>. Default <see cref="RpcRole.None"/>.
    /// </param>
    /// <returns>A proxy that lives as long as this client; keep it rather than create one for each call.</returns>
    /// <exception cref="ArgumentException"><typeparamref name="T"/> is no contract.</exception>
    public T As<T>(string service = "", RpcRole serverRole = RpcRole.None)
        where T : class => RpcRegistry.CreateProxy<T>(new RpcInvoker(this, service, serverRole: serverRole));

    /// <summary>Calls a method by name.</summary>
    /// <typeparam name="T">What it returns; with <see cref="object"/> whatever comes.</typeparam>
    /// <param name="method"><c>method</c> or <c>service/method</c>.</param>
    /// <param name="arguments">Its arguments. A <see cref="CancellationToken"/> at the end is none of them: it cancels the call.</param>
    /// <returns>The result.</returns>
    /// <exception cref="ArgumentException">A <see cref="CancellationToken"/> is among the arguments, and not at the end.</exception>
    /// <exception cref="RpcException">The call failed; <see cref="RpcException.Code"/> says why.</exception>
    public ValueTask<T?> CallAsync<T>(string method, params object?[] arguments)
    {
        ArgumentNullException.ThrowIfNull(arguments);
        return arguments is [.. var values, CancellationToken ct] ? CallAsync<T>(method, values, ct) : CallAsync<T>(method, arguments, CancellationToken.None);
    }

    /// <inheritdoc cref="CallAsync{T}(string, object?[])"/>
    /// <param name="method"><c>method</c> or <c>service/method</c>.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="ct">Cancels the call, here and there.</param>
    public ValueTask<T?> CallAsync<T>(string method, object?[] arguments, CancellationToken ct)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(method);
        ArgumentNullException.ThrowIfNull(arguments);
        if (Array.Exists(arguments, static a => a is CancellationToken))
        {
            throw new ArgumentException($"{method}: a CancellationToken is no argument of a call: pass it last, and once", nameof(arguments));
        }

        int slash = method.IndexOf('/', StringComparison.Ordinal);
        var invoker = new RpcInvoker(this, slash < 0 ? "" : method[..slash]);
        var untyped = new RpcMethod<T?>(method[(slash + 1)..], static (ref MessagePackReader r, RpcSerializer s) => s.Read<T>(ref r)) { Trust = s_untyped };
        return invoker.Bind(untyped).InvokeAsync(new UntypedArguments(arguments), ct);
    }

    /// <summary>Closes all connections; calls in flight fail.</summary>
    /// <returns>Completes when all connections are closed.</returns>
    public async ValueTask DisposeAsync()
    {
        await _disposed.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(_slots.Select(static l => l.SettleAsync())).ConfigureAwait(false);
        var reason = new RpcException(RpcError.Connection, "the client was disposed") { Url = Url };
        await Task.WhenAll(Connections.Select(c => c.FinishAsync(reason, TimeSpan.FromSeconds(1)))).ConfigureAwait(false);
    }

    async ValueTask<RpcConnection> IConnectionSource.ConnectionAsync(CancellationToken ct, long until) => await ConnectionAsync(ct, until).ConfigureAwait(false);

    /// <summary>A connection that new calls may use.</summary>
    /// <param name="ct">Cancels the wait; an attempt to connect that is under way goes on for others.</param>
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
                return await _slots[0].ConnectAsync().WaitAsync(ct).ConfigureAwait(false);
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

    private async Task<ClientConnection> DialAsync(int slotIndex, CancellationToken ct)
    {
        ClientConnection connection = await ClientConnection.OpenAsync(_endpoint, _identity.Value, Options, slotIndex, ct).ConfigureAwait(false);
        _connections[connection] = true;
        _ = connection.Closed.ContinueWith(_ => _connections.TryRemove(connection, out bool _), TaskScheduler.Default);
        return connection;
    }

    /// <summary>Opens a further connection, for later calls, when all those that are open are in use.</summary>
    private ClientConnection? LeastLoaded()
    {
        ClientConnection? best = null;
        ConnectionSlot? closed = null;
        foreach (ConnectionSlot slot in _slots)
        {
            if (slot.Open is not { } open)
            {
                closed ??= slot.IsConnecting ? null : slot;
            }
            else if (best is null || open.Load < best.Load)
            {
                best = open;
            }
        }

        if (closed is not null && best is { Load: > 0 } && !_disposed.IsCancellationRequested)
        {
            _ = closed.ConnectAsync(); // the slot keeps it; when it fails, the calls go on with the others
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
