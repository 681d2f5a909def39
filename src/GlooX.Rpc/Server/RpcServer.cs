using System.Collections.Concurrent;
using System.Net.Security;
using GlooX.RpcRuntime;
using GlooX.Tls;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX.Server
{
    /// <summary>A service: an object and its dispatcher, with its methods by name.</summary>
    internal sealed class Service
    {
        private readonly Dictionary<string, int> _methods = new(StringComparer.Ordinal);

        public Service(object target, RpcDispatcher? dispatcher)
        {
            Target = target;
            Dispatcher = dispatcher;
            for (int i = 0; i < (dispatcher?.Methods.Count ?? 0); i++)
            {
                _methods[dispatcher!.Methods[i]] = i;
            }
        }

        public object Target { get; }

        public RpcDispatcher? Dispatcher { get; }

        public IEnumerable<string> Methods => _methods.Keys;

        public bool TryFind(string method, out int index) => _methods.TryGetValue(method, out index);
    }
}

namespace GlooX
{
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
        private readonly List<(SslApplicationProtocol Protocol, Func<TlsConnection, Task> Handler)> _routes = [];
        private TlsListener? _listener;
        private Timer? _sweeper;
        private int _disposed;

        /// <summary>Makes a server that does not listen yet.</summary>
        /// <param name="options">Null: the defaults.</param>
        public RpcServer(RpcServerOptions? options = null)
        {
            _options = options ?? new RpcServerOptions();
            _logger = (_options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger("GlooX.Rpc");
        }

        /// <summary>Where it listens, as <c>host:port</c> with the real port, or <c>unix:/path</c>.</summary>
        /// <exception cref="InvalidOperationException">It does not listen.</exception>
        public string Url => Listener.Endpoint.ToString();

        internal TlsListener Listener => _listener ?? throw new InvalidOperationException("the server does not listen: call StartAsync first");

        /// <summary>Offers an object: all methods of its class with <see cref="RpcAttribute"/> and of its contracts.</summary>
        /// <param name="target">The object; called from many threads at once.</param>
        /// <param name="service">The service's name; empty (default) is what a caller reaches without naming a service.</param>
        /// <exception cref="ArgumentException">The name is taken or malformed, or nothing of the object can be called.</exception>
        public void Add(object target, string service = "")
        {
            ArgumentNullException.ThrowIfNull(target);
            RpcDispatcher dispatcher = RpcRegistry.FindDispatcher(target.GetType())
                ?? throw new ArgumentException($"nothing of {target.GetType()} can be called: no method has [Rpc], no interface has [RpcService], or its project does not run the GlooX source generator (it comes with the GlooX package)", nameof(target));
            AddService(service, new Service(target, dispatcher));
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
            Identity identity = _options.Identity ?? Identity.Load();
            SslApplicationProtocol[] protocols = [TlsConnection.Rpc, .. _routes.Select(r => r.Protocol)];
            _listener = await TlsListener.BindAsync(endpoint, identity, new ListenerLimits(_options.MaxConnections, _options.MaxConnectionsPerPeer, _options.HandshakeTimeout), protocols, _logger, ct).ConfigureAwait(false);
            _listener.Route(TlsConnection.Rpc, ServeAsync);
            foreach ((SslApplicationProtocol protocol, Func<TlsConnection, Task> handler) in _routes)
            {
                _listener.Route(protocol, handler);
            }

            _listener.Start();
            TimeSpan period = SweepPeriod(_options);
            _sweeper = new Timer(static s => ((RpcServer)s!).Sweep(), this, period, period);
        }

        /// <summary>
        /// Stops: the port closes, callers are told to go elsewhere, and calls that have come or are on the way are served for
        /// <see cref="RpcServerOptions.DrainTimeout"/>. Another server may have the port at once.
        /// </summary>
        /// <returns>Completes when everything is closed.</returns>
        public async ValueTask DisposeAsync()
        {
            if (Interlocked.Exchange(ref _disposed, 1) != 0 || _listener is null)
            {
                return;
            }

            // First, for a caller that is told to go elsewhere must not be let in here again.
            await _listener.StopAcceptingAsync().ConfigureAwait(false);
            foreach (ServerConnection connection in _connections.Keys)
            {
                connection.AnnounceShutdown("the process is shutting down");
            }

            // Callers close their connections when they have no more calls here; only they know when that is.
            await Task.WhenAll(_connections.Keys.Select(static c => c.Closed)).WaitAsync(_options.DrainTimeout).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await Task.WhenAll(_connections.Keys.Select(c => c.FinishAsync(ShuttingDown(), TimeSpan.FromSeconds(1)))).ConfigureAwait(false);
            await _listener.DisposeAsync().ConfigureAwait(false);
            await _sweeper!.DisposeAsync().ConfigureAwait(false);
        }

        /// <summary>Another protocol on the same port; before <see cref="StartAsync"/>.</summary>
        internal void Route(SslApplicationProtocol protocol, Func<TlsConnection, Task> handler) => _routes.Add((protocol, handler));

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

        /// <summary>What <c>service/method</c> or <c>method</c> means here.</summary>
        internal Definition Resolve(string name)
        {
            int slash = name.IndexOf('/', StringComparison.Ordinal);
            string serviceName = slash < 0 ? "" : name[..slash];
            string method = name[(slash + 1)..];
            if (!_services.TryGetValue(serviceName, out Service? service))
            {
                string there = string.Join(", ", _services.Keys.Where(k => k.Length > 0).Order(StringComparer.Ordinal));
                return new Definition(name, null, null, 0, (RpcError.ServiceNotFound, serviceName.Length == 0
                    ? $"this process offers no service without a name, so '{method}' cannot be called; it offers: {there}"
                    : $"this process offers no service '{serviceName}'; it offers: {there}"));
            }

            if (!service.TryFind(method, out int index))
            {
                string methods = string.Join(", ", service.Methods.Order(StringComparer.Ordinal));
                string where = serviceName.Length == 0 ? service.Target.GetType().Name : serviceName;
                return new Definition(name, null, null, 0, (RpcError.MethodNotFound, methods.Length == 0
                    ? $"{where} exposes no method '{method}'; in fact it exposes none (mark methods with [Rpc])"
                    : $"{where} exposes no method '{method}'; it exposes: {methods}"));
            }

            return new Definition(name, service.Dispatcher, service.Target, index, null);
        }

        /// <summary>Often enough to be late by no more than a quarter of the shortest time that is watched.</summary>
        private static TimeSpan SweepPeriod(RpcServerOptions options)
        {
            double shortest = new[] { options.HandshakeTimeout, options.KeepAliveInterval, options.IdleTimeout }
                .Where(static t => t > TimeSpan.Zero).Select(static t => t.TotalMilliseconds).DefaultIfEmpty(double.MaxValue).Min();
            return TimeSpan.FromMilliseconds(Math.Clamp(shortest / 4, 10, 1000));
        }

        private void Sweep()
        {
            long now = Environment.TickCount64;
            foreach ((ServerConnection connection, _) in _connections)
            {
                connection.Sweep(now);
            }
        }

        private static RpcException ShuttingDown() => new(RpcError.ShuttingDown, "the process is shutting down");

        private async Task ServeAsync(TlsConnection tls)
        {
            var connection = new ServerConnection(this, tls, _options);
            _connections[connection] = true;
            try
            {
                if (Volatile.Read(ref _disposed) != 0)
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
