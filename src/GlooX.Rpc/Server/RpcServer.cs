using System.Collections.Concurrent;
using System.ComponentModel;
using System.Net.Security;
using GlooX.Protocol;
using GlooX.RpcRuntime;
using GlooX.Tls;
using GlooX.Tls.Join;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX.Server
{
    /// <summary>A service: an object, its dispatcher, and its methods by name.</summary>
    internal sealed class Service
    {
        private readonly Dictionary<string, int> _methods = new(StringComparer.Ordinal);
        private ServiceTarget? _target;

        public Service(object target, RpcDispatcher? dispatcher, RpcAccess access)
        {
            Access = access;
            _target = new ServiceTarget(target, dispatcher);
            for (int i = 0; i < (dispatcher?.Methods.Count ?? 0); i++)
            {
                _methods[dispatcher!.Methods[i]] = i;
            }
        }

        /// <summary>The object; null once the service was removed, so that connections which have called it keep no reference to it.</summary>
        public ServiceTarget? Current => Volatile.Read(ref _target);

        public RpcAccess Access { get; }

        public IEnumerable<string> Methods => _methods.Keys;

        public bool TryFind(string method, out int index) => _methods.TryGetValue(method, out index);

        public void Withdraw() => Volatile.Write(ref _target, null);
    }

    /// <summary>An object and its dispatcher.</summary>
    internal sealed record ServiceTarget(object Target, RpcDispatcher? Dispatcher);
}

namespace GlooX
{
    using GlooX.Protocol;
    using GlooX.Server;

    /// <summary>
    /// Answers calls over mutual TLS on one port. Only methods with <see cref="RpcAttribute"/> and methods of contracts
    /// (<see cref="RpcServiceAttribute"/>) can be called. All members are thread-safe.
    /// </summary>
    /// <example><code>
    /// await using var server = new RpcServer();
    /// server.Add(new Calculator());
    /// await server.StartAsync("127.0.0.1:9000");
    /// </code></example>
    public sealed class RpcServer : IAsyncDisposable
    {
        internal static readonly string Software = $"gloox/{typeof(RpcServer).Assembly.GetName().Version?.ToString(3)}";

        private readonly RpcServerOptions _options;
        private readonly ConcurrentDictionary<string, Service> _services = new(StringComparer.Ordinal);
        private readonly ConcurrentDictionary<ServerConnection, bool> _connections = new();
        private readonly List<TlsRoute> _routes = [];
        private readonly AttemptLimiter _tokenAttempts = new(TimeProvider.System);
        private TlsListener? _listener;
        private TlsListener? _unbound; // for connections that were accepted elsewhere
        private readonly CancellationTokenSource _stopping = new();
        private int _disposed;

        /// <summary>Creates a server; it listens after <see cref="StartAsync"/>.</summary>
        /// <param name="options">Null: the defaults.</param>
        /// <exception cref="ArgumentOutOfRangeException"><see cref="RpcServerOptions.MaxHandlerThreads"/> is less than 1.</exception>
        public RpcServer(RpcServerOptions? options = null)
        {
            _options = options ?? new RpcServerOptions();
            FrameMemory = new FrameMemory(_options.MaxFrameMemory);
            ArgumentOutOfRangeException.ThrowIfLessThan(_options.MaxHandlerThreads, 1, nameof(options));
            HandlerThreads = new HandlerThreads(_options.MaxHandlerThreads);
            Pace = PaceOf(_options);
            Logger = (_options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger("GlooX.Rpc");
            Audit = new RpcAudit((_options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger(RpcAudit.Category));
            OneWayFailures = new LogThrottle(Logger, LogLevel.Warning, "one-way calls that failed");
        }

        /// <summary>Where the server listens, as <c>host:port</c> with the actual port, or <c>unix:/path</c>.</summary>
        /// <exception cref="InvalidOperationException">The server was not started.</exception>
        public string Url => Listener.Endpoint.ToString();

        /// <summary><see cref="Url"/>; null: the server was not started.</summary>
        internal string? ListensAt => _listener is null ? null : Url;

        private ListenerLimits Limits => new(_options.MaxConnections, _options.MaxConnectionsPerPeer, _options.HandshakeTimeout);

        internal FrameMemory FrameMemory { get; }

        internal HandlerThreads HandlerThreads { get; }

        internal ILogger Logger { get; }

        internal RpcAudit Audit { get; }

        internal LogThrottle OneWayFailures { get; }

        /// <summary>How often, in ms, its connections check their timeouts: a quarter of the shortest timeout.</summary>
        internal long Pace { get; }

        /// <summary>Whether the server listens: true from <see cref="StartAsync"/> until it is disposed.</summary>
        public bool IsListening => _listener is not null && !IsStopping;

        internal bool IsStopping => Volatile.Read(ref _disposed) != 0;

        /// <summary>How many callers are connected.</summary>
        public int ConnectionCount => _connections.Count;

        internal TlsListener Listener => _listener ?? throw new InvalidOperationException("the server was not started: call StartAsync first");

        /// <summary>Offers an object: all methods of its class with <see cref="RpcAttribute"/>, and those of its contracts.</summary>
        /// <param name="target">The object; its methods are called from many threads at once.</param>
        /// <param name="service">The service's name; empty (default): the service that callers reach without a name.</param>
        /// <param name="access">Who may call it. Null: agents, clients and children, without a token.</param>
        /// <exception cref="ArgumentException">The name is taken or malformed, or the object has no callable method.</exception>
        public void Add(object target, string service = "", RpcAccess? access = null)
        {
            ArgumentNullException.ThrowIfNull(target);
            AddDispatcher(RpcRegistry.GetDispatcher(target.GetType()), target, service, access);
        }

        /// <summary>Offers an object through a dispatcher that was not generated for its class. For libraries.</summary>
        /// <param name="dispatcher">Reads requests and calls <paramref name="target"/>.</param>
        /// <param name="target">The object; its methods are called from many threads at once.</param>
        /// <param name="service">The service's name; empty: the service that callers reach without a name.</param>
        /// <param name="access">Who may call it. Null: agents, clients and children, without a token.</param>
        /// <exception cref="ArgumentException">The name is taken or malformed.</exception>
        [EditorBrowsable(EditorBrowsableState.Never)]
        public void AddDispatcher(RpcDispatcher dispatcher, object target, string service, RpcAccess? access)
        {
            if (service.Contains('/', StringComparison.Ordinal))
            {
                throw new ArgumentException($"'{service}' is no name for a service: it may not contain '/'", nameof(service));
            }

            if (!_services.TryAdd(service, new Service(target, dispatcher, access ?? new RpcAccess())))
            {
                throw new ArgumentException(service.Length == 0 ? "a service without a name is offered already: give this one a name" : $"a service named '{service}' is offered already", nameof(service));
            }
        }

        /// <summary>
        /// Serves another protocol on the same port, for callers that ask for it in ALPN (see <see cref="RpcClient.OpenStreamAsync"/>). To be
        /// called before <see cref="StartAsync"/>.
        /// </summary>
        /// <param name="protocol">The protocol's name in ALPN, for example <c>gloox-grid/1</c>.</param>
        /// <param name="handler">
        /// Serves one connection: the encrypted stream, which it owns, and who the caller is. The connection ends when its task completes; an
        /// exception is logged.
        /// </param>
        /// <param name="role">The role that a caller must have. Null: open to all, also to callers without a trusted certificate.</param>
        public void AddProtocol(string protocol, Func<Stream, RpcPeer, Task> handler, RpcRole? role)
        {
            ArgumentNullException.ThrowIfNull(handler);
            Route(new SslApplicationProtocol(protocol), c => handler(c.Stream, new RpcPeer(c.Remote, c.LocalAddress, c.Peer)), role);
        }

        /// <summary>
        /// Removes a service. Calls in flight complete; later calls fail with <see cref="RpcError.ServiceNotFound"/>. The name can be used again.
        /// </summary>
        /// <param name="service">The service's name.</param>
        /// <returns>False: there is no service of that name.</returns>
        public bool Remove(string service)
        {
            if (!_services.TryRemove(service, out Service? removed))
            {
                return false;
            }

            removed.Withdraw();
            return true;
        }

        /// <summary>Binds the port and starts to answer.</summary>
        /// <param name="url">
        /// <c>host:port</c>; with port 0 any free port, see <see cref="Url"/>. 0.0.0.0 means all addresses of this machine, a port alone
        /// means 127.0.0.1. Or <c>unix:/path</c>: a UNIX-domain socket that only this user can
        /// reach; certificates are required there too.
        /// </param>
        /// <param name="ct">Cancels the operation.</param>
        /// <returns>Completes when the port is bound.</returns>
        /// <exception cref="ArgumentException"><paramref name="url"/> or one of <see cref="RpcServerOptions.Names"/> is malformed.</exception>
        /// <exception cref="RpcException">The port or path is in use, or the address is not one of this machine.</exception>
        /// <exception cref="IdentityException">This process has no usable certificates.</exception>
        /// <exception cref="InvalidOperationException">The server was started already.</exception>
        public async Task StartAsync(string url, CancellationToken ct = default)
        {
            if (_listener is not null)
            {
                throw new InvalidOperationException($"the server listens already, on {Url}");
            }

            RpcEndpoint endpoint = RpcEndpoint.Parse(url);
            Identity identity = (_options.Identity ?? Identity.Load()).ReachedBy(endpoint.IsAny ? _options.Names : [endpoint.Host, .. _options.Names]).Answering();
            identity.RevokeInMemory(_options.RevokedSerials);
            if (_options.AcceptJoins)
            {
                var joins = new JoinServer(identity, (_options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger("GlooX.Join"), audit: Audit);
                Route(TlsConnection.Join, connection => joins.ServeAsync(connection, _stopping.Token), null);
            }

            SslApplicationProtocol[] protocols = [TlsConnection.Rpc, .. _routes.Select(r => r.Protocol)];
            _listener = await TlsListener.BindAsync(endpoint, identity, Limits, protocols, Logger, ct).ConfigureAwait(false);
            _listener.Route(TlsConnection.Rpc, ServeAsync, RpcRole.None);
            _routes.ForEach(r => _listener.Route(r.Protocol, r.Handler, r.Role));

            _listener.Start();
        }

        /// <summary>
        /// Answers on a connection that was accepted elsewhere, for example by a web server, with the same TLS and the same rules of trust as on the
        /// server's own port. The server need not listen.
        /// </summary>
        /// <param name="transport">A stream with asynchronous reads and writes, whose disposal ends a pending read. The server owns it from now on.</param>
        /// <param name="caller">The caller as <c>host:port</c>, for messages.</param>
        /// <param name="ct">Closes the connection.</param>
        /// <returns>Completes when the connection has ended, for whatever reason.</returns>
        /// <exception cref="ObjectDisposedException">The server was disposed.</exception>
        /// <exception cref="IdentityException">This process has no usable certificates.</exception>
        public Task ServeAsync(Stream transport, string caller, CancellationToken ct = default)
        {
            ArgumentNullException.ThrowIfNull(transport);
            ArgumentNullException.ThrowIfNull(caller);
            ObjectDisposedException.ThrowIf(IsStopping, this);
            return LazyInitializer.EnsureInitialized(ref _unbound, MakeUnboundListener).ServeAsync(transport, caller, ct);
        }

        /// <summary>
        /// Stops: closes the port, asks callers to connect elsewhere, and serves calls in flight for up to
        /// <see cref="RpcServerOptions.DrainTimeout"/>. Another server can bind the port at once.
        /// </summary>
        /// <returns>Completes when all connections are closed.</returns>
        public async ValueTask DisposeAsync()
        {
            if (Interlocked.Exchange(ref _disposed, 1) != 0)
            {
                return;
            }

            await _stopping.CancelAsync().ConfigureAwait(false);

            // Before callers are told: one that reconnects at once must not be accepted here again.
            List<TlsListener> listeners = [.. new[] { _listener, Volatile.Read(ref _unbound) }.OfType<TlsListener>()];
            foreach (TlsListener listener in listeners)
            {
                await listener.StopAcceptingAsync().ConfigureAwait(false);
            }

            foreach (ServerConnection connection in _connections.Keys)
            {
                connection.AnnounceShutdown("the process is shutting down");
            }

            // A caller closes its connection after its last call; only the caller knows which one that is.
            await Task.WhenAll(_connections.Keys.Select(static c => c.Closed)).WaitAsync(_options.DrainTimeout).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await Task.WhenAll(_connections.Keys.Select(c => c.FinishAsync(ShuttingDown(), TimeSpan.FromSeconds(1)))).ConfigureAwait(false);
            foreach (TlsListener listener in listeners)
            {
                await listener.DisposeAsync().ConfigureAwait(false);
            }
        }

        /// <summary>Serves another protocol on the same port, for callers with a role, or for all (null).</summary>
        internal void Route(SslApplicationProtocol protocol, Func<TlsConnection, Task> handler, RpcRole? role) => _routes.Add(new TlsRoute(protocol, handler, role));

        /// <summary>Looks up <c>service/method</c> or <c>method</c> for a caller.</summary>
        /// <exception cref="RpcException"><see cref="RpcError.ServiceNotFound"/>, <see cref="RpcError.MethodNotFound"/> or <see cref="RpcError.Forbidden"/>.</exception>
        internal Definition Resolve(string name, Caller caller)
        {
            int slash = name.IndexOf('/', StringComparison.Ordinal);
            string serviceName = slash < 0 ? "" : name[..slash];
            string method = name[(slash + 1)..];
            if (!_services.TryGetValue(serviceName, out Service? service) || service.Current is not { } target)
            {
                string there = caller.MaySeeNames ? $"; it offers: {string.Join(", ", _services.Keys.Where(k => k.Length > 0).Order(StringComparer.Ordinal))}" : "";
                throw new RpcException(RpcError.ServiceNotFound, serviceName.Length == 0
                    ? $"this process offers no service without a name, so '{ForeignText.Of(method)}' cannot be called{there}"
                    : $"this process offers no service '{ForeignText.Of(serviceName)}'{there}");
            }

            if (caller.TokenRefusal(serviceName, service.Access, _tokenAttempts) is { } noToken)
            {
                throw new RpcException(RpcError.Forbidden, noToken);
            }

            if (!service.TryFind(method, out int index))
            {
                string methods = caller.MaySeeNames ? string.Join(", ", service.Methods.Order(StringComparer.Ordinal)) : "";
                string where = serviceName.Length == 0 ? target.Target.GetType().Name : serviceName;
                throw new RpcException(RpcError.MethodNotFound, $"{where} exposes no method '{ForeignText.Of(method)}'" + (methods.Length > 0 ? $"; it exposes: {methods}"
                    : service.Methods.Any() ? "" : "; in fact it exposes none (mark methods with [Rpc])"));
            }

            return caller.RoleRefusal(serviceName, method, service.Access) is { } noRole
                ? throw new RpcException(RpcError.Forbidden, noRole)
                : new Definition(name, Index: index, Service: service);
        }

        private static long PaceOf(RpcServerOptions options)
        {
            double shortest = double.MaxValue;
            foreach (TimeSpan watched in (ReadOnlySpan<TimeSpan>)[options.HandshakeTimeout, options.KeepAliveInterval, options.IdleTimeout])
            {
                shortest = watched > TimeSpan.Zero ? Math.Min(shortest, watched.TotalMilliseconds) : shortest;
            }

            return (long)Math.Clamp(shortest / 4, 10, 1000);
        }

        private static RpcException ShuttingDown() => new(RpcError.ShuttingDown, "the process is shutting down");

        private TlsListener MakeUnboundListener()
        {
            Identity identity = (_options.Identity ?? Identity.Load()).ReachedBy(_options.Names).Answering();
            identity.RevokeInMemory(_options.RevokedSerials);
            TlsListener listener = TlsListener.Unbound(identity, Limits, [TlsConnection.Rpc], Logger);
            listener.Route(TlsConnection.Rpc, ServeAsync, RpcRole.None);
            return listener;
        }

        private async Task ServeAsync(TlsConnection tls)
        {
            var connection = new ServerConnection(this, tls, _options);
            _connections[connection] = true;
            connection.Begin();
            try
            {
                if (IsStopping)
                {
                    connection.Close(ShuttingDown()); // accepted just before the port closed; the loop above may have missed it
                }

                await connection.ReadLoopAsync().ConfigureAwait(false);
            }
            finally
            {
                _connections.TryRemove(connection, out _);
            }
        }
    }
}
