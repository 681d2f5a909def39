using System.Collections.Concurrent;
using System.Net.Security;
using GlooX.Protocol;
using GlooX.RpcRuntime;
using GlooX.Tls;
using GlooX.Transport;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX.Server
{
    /// <summary>A service: an object and its dispatcher, with its methods by name.</summary>
    internal sealed class Service
    {
        private readonly Dictionary<string, int> _methods = new(StringComparer.Ordinal);
        private Offer? _offer;

        public Service(object target, RpcDispatcher? dispatcher, RpcAccess access)
        {
            Access = access;
            _offer = new Offer(target, dispatcher);
            for (int i = 0; i < (dispatcher?.Methods.Count ?? 0); i++)
            {
                _methods[dispatcher!.Methods[i]] = i;
            }
        }

        /// <summary>What is called; null once it was taken back, so that connections that have called it keep nothing of it.</summary>
        public Offer? Offered => Volatile.Read(ref _offer);

        public RpcAccess Access { get; }

        public IEnumerable<string> Methods => _methods.Keys;

        public bool TryFind(string method, out int index) => _methods.TryGetValue(method, out index);

        public void TakeBack() => Volatile.Write(ref _offer, null);
    }

    /// <summary>An object and its dispatcher.</summary>
    internal sealed record Offer(object Target, RpcDispatcher? Dispatcher);
}

namespace GlooX
{
    using GlooX.Protocol;
    using GlooX.Server;

    /// <summary>
    /// Answers calls over mutual TLS on one port. Only what carries <see cref="RpcServiceAttribute"/> or <see cref="RpcAttribute"/> can be
    /// called. All members are safe for concurrent use.
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
        private readonly ILogger _logger;
        private readonly ConcurrentDictionary<string, Service> _services = new(StringComparer.Ordinal);
        private readonly ConcurrentDictionary<ServerConnection, bool> _connections = new();
        private readonly List<TlsRoute> _routes = [];
        private TlsListener? _listener;
        private TlsListener? _door; // for connections that others accept
        private int _disposed;

        /// <summary>Makes a server that does not listen yet.</summary>
        /// <param name="options">Null: the defaults.</param>
        public RpcServer(RpcServerOptions? options = null)
        {
            _options = options ?? new RpcServerOptions();
            FrameMemory = new FrameMemory(_options.MaxFrameMemory);
            Pace = PaceOf(_options);
            _logger = (_options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger("GlooX.Rpc");
        }

        /// <summary>Where it listens, as <c>host:port</c> with the real port, or <c>unix:/path</c>.</summary>
        /// <exception cref="InvalidOperationException">It does not listen.</exception>
        public string Url => Listener.Endpoint.ToString();

        /// <summary><see cref="Url"/>; null: it does not listen.</summary>
        internal string? ListensAt => _listener is null ? null : Url;

        private ListenerLimits Limits => new(_options.MaxConnections, _options.MaxConnectionsPerPeer, _options.HandshakeTimeout);

        internal FrameMemory FrameMemory { get; }

        /// <summary>How often its connections look at the clock, in ms: late by no more than a quarter of the shortest time that is watched.</summary>
        internal long Pace { get; }

        internal bool IsStopping => Volatile.Read(ref _disposed) != 0;

        internal int ConnectionCount => _connections.Count;

        internal TlsListener Listener => _listener ?? throw new InvalidOperationException("the server does not listen: call StartAsync first");

        /// <summary>Offers an object: all methods of its class with <see cref="RpcAttribute"/> and of its contracts.</summary>
        /// <param name="target">The object; called from many threads at once.</param>
        /// <param name="service">The service's name; empty (default) is what a caller reaches without naming a service.</param>
        /// <param name="access">Who may call it. Null: agents, clients and children, without a token.</param>
        /// <exception cref="ArgumentException">The name is taken or malformed, or nothing of the object can be called.</exception>
        public void Add(object target, string service = "", RpcAccess? access = null)
        {
            ArgumentNullException.ThrowIfNull(target);
            AddService(service, new Service(target, DispatcherOf(target), access ?? new RpcAccess()));
        }

        /// <summary>Takes a service back: its calls in flight go on, later ones fail with <see cref="RpcError.ServiceNotFound"/>. The name is free.</summary>
        /// <param name="service">The service's name.</param>
        /// <returns>False: there is none of that name.</returns>
        public bool Remove(string service)
        {
            if (!_services.TryRemove(service, out Service? removed))
            {
                return false;
            }

            removed.TakeBack();
            return true;
        }

        /// <summary>Binds the port and begins to answer.</summary>
        /// <param name="url">
        /// <c>host:port</c>; port 0: any that is free, see <see cref="Url"/>. Or <c>unix:/path</c>: a UNIX-domain socket, which only this user
        /// can reach; certificates are asked for all the same.
        /// </param>
        /// <param name="ct">Gives up.</param>
        /// <returns>Completes when the port is bound.</returns>
        /// <exception cref="ArgumentException">The URL is malformed.</exception>
        /// <exception cref="RpcException">The port or path is in use, or the address is not this machine's.</exception>
        /// <exception cref="IdentityException">The certificates cannot be used.</exception>
        public async Task StartAsync(string url, CancellationToken ct = default)
        {
            if (_listener is not null)
            {
                throw new InvalidOperationException($"the server listens already, on {Url}");
            }

            RpcEndpoint endpoint = RpcEndpoint.Parse(url);
            Identity identity = (_options.Identity ?? Identity.Load()).ReachedBy(endpoint.IsAny ? _options.Names : [endpoint.Host, .. _options.Names]);
            identity.DenyForNow(_options.DeniedSerials);
            SslApplicationProtocol[] protocols = [TlsConnection.Rpc, .. _routes.Select(r => r.Protocol)];
            _listener = await TlsListener.BindAsync(endpoint, identity, Limits, protocols, _logger, ct).ConfigureAwait(false);
            _listener.Route(TlsConnection.Rpc, ServeAsync, RpcRole.None);
            _routes.ForEach(r => _listener.Route(r.Protocol, r.Handler, r.Role));

            _listener.Start();
        }

        /// <summary>
        /// Answers on a connection that somebody else has accepted, such as a web server. TLS is spoken over it as over the server's own port,
        /// and callers are trusted by the same rule. The server need not listen.
        /// </summary>
        /// <param name="transport">Reads and writes asynchronously, and ends a read when it is disposed. Owned by the server from now on.</param>
        /// <param name="caller">The caller as <c>host:port</c>, for messages.</param>
        /// <param name="ct">Breaks the connection.</param>
        /// <returns>Completes when the connection has ended, whatever the reason.</returns>
        /// <exception cref="ObjectDisposedException">The server was stopped.</exception>
        /// <exception cref="IdentityException">The certificates cannot be used.</exception>
        public Task ServeAsync(Stream transport, string caller, CancellationToken ct = default)
        {
            ArgumentNullException.ThrowIfNull(transport);
            ArgumentNullException.ThrowIfNull(caller);
            ObjectDisposedException.ThrowIf(IsStopping, this);
            return LazyInitializer.EnsureInitialized(ref _door, MakeDoor).ServeAsync(transport, caller, ct);
        }

        /// <summary>
        /// Stops: the port closes, callers are told to go elsewhere, and calls that have come or are on the way are served for
        /// <see cref="RpcServerOptions.DrainTimeout"/>. Another server may have the port at once.
        /// </summary>
        /// <returns>Completes when everything is closed.</returns>
        public async ValueTask DisposeAsync()
        {
            if (Interlocked.Exchange(ref _disposed, 1) != 0)
            {
                return;
            }

            // First, for a caller that is told to go elsewhere must not be let in here again.
            List<TlsListener> doors = [.. new[] { _listener, Volatile.Read(ref _door) }.OfType<TlsListener>()];
            foreach (TlsListener door in doors)
            {
                await door.StopAcceptingAsync().ConfigureAwait(false);
            }

            foreach (ServerConnection connection in _connections.Keys)
            {
                connection.AnnounceShutdown("the process is shutting down");
            }

            // Callers close their connections when they have no more calls here; only they know when that is.
            await Task.WhenAll(_connections.Keys.Select(static c => c.Closed)).WaitAsync(_options.DrainTimeout).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await Task.WhenAll(_connections.Keys.Select(c => c.FinishAsync(ShuttingDown(), TimeSpan.FromSeconds(1)))).ConfigureAwait(false);
            foreach (TlsListener door in doors)
            {
                await door.DisposeAsync().ConfigureAwait(false);
            }
        }

        /// <summary>Another protocol on the same port, for callers of a role, or for all (null); before <see cref="StartAsync"/>.</summary>
        internal void Route(SslApplicationProtocol protocol, Func<TlsConnection, Task> handler, RpcRole? role) => _routes.Add(new TlsRoute(protocol, handler, role));

        /// <exception cref="ArgumentException">Nothing of the object can be called.</exception>
        internal static RpcDispatcher DispatcherOf(object target) => RpcRegistry.FindDispatcher(target.GetType())
            ?? throw new ArgumentException($"nothing of {target.GetType()} can be called: no method has [Rpc], no interface has [RpcService], or its project does not run the GlooX source generator (it comes with the GlooX package)", nameof(target));

        internal void AddService(string name, Service service)
        {
            if (name.Contains('/', StringComparison.Ordinal))
            {
                throw new ArgumentException($"'{name}' is no name for a service: it may not contain '/'", nameof(name));
            }

            if (!_services.TryAdd(name, service))
            {
                throw new ArgumentException(name.Length == 0 ? "a service without a name is offered already: give this one a name" : $"a service named '{name}' is offered already", nameof(name));
            }
        }

        /// <summary>What <c>service/method</c> or <c>method</c> means here, to this caller.</summary>
        /// <exception cref="RpcException"><see cref="RpcError.ServiceNotFound"/>, <see cref="RpcError.MethodNotFound"/> or <see cref="RpcError.Forbidden"/>.</exception>
        internal Definition Resolve(string name, Caller caller)
        {
            int slash = name.IndexOf('/', StringComparison.Ordinal);
            string serviceName = slash < 0 ? "" : name[..slash];
            string method = name[(slash + 1)..];
            if (!_services.TryGetValue(serviceName, out Service? service) || service.Offered is not { } offered)
            {
                string there = string.Join(", ", _services.Keys.Where(k => k.Length > 0).Order(StringComparer.Ordinal));
                throw new RpcException(RpcError.ServiceNotFound, serviceName.Length == 0
                    ? $"this process offers no service without a name, so '{method}' cannot be called; it offers: {there}"
                    : $"this process offers no service '{serviceName}'; it offers: {there}");
            }

            if (caller.TokenRefusal(serviceName, service.Access) is { } noToken)
            {
                throw new RpcException(RpcError.Forbidden, noToken);
            }

            if (!service.TryFind(method, out int index))
            {
                string methods = string.Join(", ", service.Methods.Order(StringComparer.Ordinal));
                string where = serviceName.Length == 0 ? offered.Target.GetType().Name : serviceName;
                throw new RpcException(RpcError.MethodNotFound, methods.Length == 0
                    ? $"{where} exposes no method '{method}'; in fact it exposes none (mark methods with [Rpc])"
                    : $"{where} exposes no method '{method}'; it exposes: {methods}");
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

        private TlsListener MakeDoor()
        {
            Identity identity = (_options.Identity ?? Identity.Load()).ReachedBy(_options.Names);
            identity.DenyForNow(_options.DeniedSerials);
            TlsListener door = TlsListener.Unbound(identity, Limits, [TlsConnection.Rpc], _logger);
            door.Route(TlsConnection.Rpc, ServeAsync, RpcRole.None);
            return door;
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
                    connection.Close(ShuttingDown()); // let in just before the port closed: nobody else may know of it
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
