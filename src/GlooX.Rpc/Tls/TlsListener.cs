using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using GlooX.Protocol;
using GlooX.Transport;
using GlooX.Transport.Linux;
using Microsoft.Extensions.Logging;

namespace GlooX.Tls;

/// <summary>
/// The one port of a process: TLS 1.3, a client certificate always requested, and every connection routed by its ALPN protocol.
/// </summary>
/// <remarks>
/// TLS itself accepts any certificate. Trust is decided right after the handshake, before any byte is read, so that a refused caller receives
/// the reason in a GoAway frame instead of a broken connection; the same holds for a caller beyond a limit. It accepts on whatever callers do,
/// and shares out handshakes by source (<see cref="AdmissionQueue"/>), so that refused callers cost little and keep nobody out.
/// </remarks>
internal sealed partial class TlsListener : IAsyncDisposable
{
    private const int Backlog = 4096;

    // On a busy machine a good handshake takes a while.
    private static readonly AdmissionLimits s_limits = new(Waiting: 1024, Active: 256, ActivePerSource: 192, FairTime: TimeSpan.FromSeconds(2));
    private static readonly TimeSpan s_linger = TimeSpan.FromSeconds(1);

    private readonly Socket? _socket;
    private readonly UnixSocketFile? _file;
    private readonly Identity _identity;
    private readonly ListenerLimits _limits;
    private readonly ConnectionLimiter _limiter;
    private readonly ILogger _logger;
    private readonly LogThrottle _refusals;
    private readonly LogThrottle _failures;
    private readonly List<SslApplicationProtocol> _protocols;
    private readonly AdmissionQueue _handshakes = new(s_limits, TimeProvider.System);
    private readonly CancellationTokenSource _stop = new();
    private readonly ConcurrentQueue<TlsRoute> _routes = new();
    private readonly ConcurrentDictionary<Task, bool> _connections = new();
    private Task _accepting = Task.CompletedTask;
    private IdentityException? _problem;

    private TlsListener(RpcEndpoint endpoint, Socket? socket, UnixSocketFile? file, Identity identity, ListenerLimits limits, IEnumerable<SslApplicationProtocol> protocols, ILogger logger)
    {
        _socket = socket;
        _file = file;
        _identity = identity;
        _limits = limits;
        _limiter = new ConnectionLimiter(limits.Connections, limits.ConnectionsPerPeer);
        _logger = logger;
        _refusals = new LogThrottle(logger, LogLevel.Warning, "callers that were refused");
        _failures = new LogThrottle(logger, LogLevel.Information, "TLS handshakes that failed");
        Endpoint = socket?.LocalEndPoint is IPEndPoint bound ? new RpcEndpoint(bound.Address.ToString(), bound.Port) : endpoint;
        _protocols = [.. protocols];
    }

    /// <summary>Where it listens, with the actual port.</summary>
    public RpcEndpoint Endpoint { get; }

    /// <summary>A listener without a port, for connections accepted elsewhere: see <see cref="ServeAsync(Stream, string, CancellationToken)"/>.</summary>
    public static TlsListener Unbound(Identity identity, ListenerLimits limits, IEnumerable<SslApplicationProtocol> protocols, ILogger logger) =>
        new(new RpcEndpoint("", 0), null, null, identity, limits, protocols, logger);

    /// <summary>Binds the port; accepts nothing before <see cref="Start"/>.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.Connection"/>: the port is in use, or the address is not one of this machine.</exception>
    public static async Task<TlsListener> BindAsync(
        RpcEndpoint endpoint, Identity identity, ListenerLimits limits, IEnumerable<SslApplicationProtocol> protocols, ILogger logger, CancellationToken ct)
    {
        Socket? socket = null;
        UnixSocketFile? file = null;
        try
        {
            if (endpoint.Path is { } path)
            {
                (socket, file) = UnixSocketFile.Listen(path, Backlog);
            }
            else
            {
                IPEndPoint address = await endpoint.ResolveForBindAsync(ct).ConfigureAwait(false);
                socket = new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
                socket.Bind(address);
                socket.Listen(Backlog);
            }

            return new TlsListener(endpoint, socket, file, identity, limits, protocols, logger);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new RpcException(RpcError.Connection, $"cannot listen on {endpoint}: {e.Message}", e) { Url = endpoint.ToString() };
        }
        catch (SocketException e)
        {
            socket?.Dispose();
            string why = e.SocketErrorCode switch
            {
                SocketError.AddressAlreadyInUse when endpoint.Path is not null => "another process listens there",
                SocketError.AddressAlreadyInUse => "another process listens on that port. Choose another one, or port 0 for any that is free",
                SocketError.AddressNotAvailable => "that is not an address of this machine. 0.0.0.0 means all its addresses",
                SocketError.AccessDenied => "this user may not listen on that port. Choose a port from 1024 up",
                _ => e.Message,
            };
            throw new RpcException(RpcError.Connection, $"cannot listen on {endpoint}: {why}", e) { Url = endpoint.ToString() };
        }
    }

    /// <summary>Sets the handler of a protocol's connections; see <see cref="TlsRoute"/>.</summary>
    public void Route(SslApplicationProtocol protocol, Func<TlsConnection, Task> handler, RpcRole? role) => _routes.Enqueue(new TlsRoute(protocol, handler, role));

    public void Start() => _accepting = Task.Run(AcceptAsync);

    /// <summary>Closes the port; open connections continue.</summary>
    public async Task StopAcceptingAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        _socket?.Dispose();
        _file?.Dispose();
        await _accepting.ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAcceptingAsync().ConfigureAwait(false);
        await Task.WhenAll(_connections.Keys).ConfigureAwait(false);
        _stop.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                Socket socket = await _socket!.AcceptAsync(_stop.Token).ConfigureAwait(false);
                _ = Begin(() => Open(socket), socket, _handshakes.Enter(SourceOf(socket)));
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (ObjectDisposedException)
            {
                return;
            }
            catch (SocketException e)
            {
                // The caller went away before it was accepted, or the process is out of descriptors: keep accepting others.
                LogAccept(_logger, e.Message);
                if (e.SocketErrorCode is SocketError.TooManyOpenSockets or SocketError.NoBufferSpaceAvailable)
                {
                    await Task.Delay(100, CancellationToken.None).ConfigureAwait(false);
                }
            }
        }
    }

    /// <summary>Serves a connection that was accepted elsewhere, and owns it. Completes when the connection has ended; never throws.</summary>
    public async Task ServeAsync(Stream transport, string remote, CancellationToken ct)
    {
        using CancellationTokenRegistration ending = ct.UnsafeRegister(static s => ((Stream)s!).Dispose(), transport);
        await Begin(() => (transport, remote, null), transport, _handshakes.Enter(SourceAddress.Of(remote))).ConfigureAwait(false);
    }

    private static string SourceOf(Socket socket)
    {
        try
        {
            return SourceAddress.Of(socket.RemoteEndPoint);
        }
        catch (SocketException)
        {
            return ""; // it is gone already
        }
    }

    private (Stream Transport, string Remote, IPAddress? Local) Open(Socket socket)
    {
        string remote = Endpoint.Path is not null ? Endpoint.ToString() : socket.RemoteEndPoint?.ToString() ?? "unknown";
        SocketTuning.Apply(socket);
        return (SocketStream.Open(socket), remote, (socket.LocalEndPoint as IPEndPoint)?.Address);
    }

    private Task Begin(Func<(Stream Transport, string Remote, IPAddress? Local)> open, IDisposable owner, AdmissionQueue.Entry entry)
    {
        Task serving;
        using (ExecutionContext.SuppressFlow())
        {
            serving = Task.Run(() => ServeAsync(open, owner, entry)); // handlers must not see the context of this method
        }

        _connections[serving] = true;
        _ = serving.ContinueWith(t => _connections.TryRemove(t, out _), TaskScheduler.Default);
        return serving;
    }

    private async Task ServeAsync(Func<(Stream Transport, string Remote, IPAddress? Local)> open, IDisposable owner, AdmissionQueue.Entry entry)
    {
        string remote = "unknown";
        string? inside = null;
        Stream? opened = null;
        try
        {
            Func<TlsConnection, Task> handler;
            TlsConnection connection;
            try
            {
                (Stream transport, remote, IPAddress? local) = open();
                opened = transport;
                using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token, entry.Late);
                limit.CancelAfter(_limits.Handshake);
                await SocketStream.ReadableAsync(transport, limit.Token).ConfigureAwait(false);
                await entry.StartAsync(limit.Token).ConfigureAwait(false);
                var stream = new SslStream(transport, leaveInnerStreamOpen: false);
                opened = stream;
                IdentityParts mine = Identity(local);
                string? refusal = null;
                Peer? peer = null;
                await stream.AuthenticateAsServerAsync(
                    Options(mine, (certificate, chain, errors) => refusal = PeerVerifier.Verify(certificate, chain, errors, mine.Authority, mine.Revocations, null, out peer)), limit.Token).ConfigureAwait(false);
                if (_routes.LastOrDefault(r => r.Protocol == stream.NegotiatedApplicationProtocol) is not { } route)
                {
                    Refused(remote, $"the protocol '{stream.NegotiatedApplicationProtocol}' is not served here");
                    return;
                }

                if (route.Role is null)
                {
                    peer = refusal is null ? peer ?? Peer.Anonymous : Peer.Anonymous;
                    refusal = null;
                }
                else if (peer is not null && (peer.Roles & route.Role) != route.Role)
                {
                    refusal ??= $"the certificate '{peer.Subject}' has the role {CertificateNames.Describe(peer.Roles)}; the protocol {stream.NegotiatedApplicationProtocol} is for the role {CertificateNames.Describe(route.Role.Value)}";
                }

                if (refusal is not null || peer is null)
                {
                    refusal ??= "its certificate was not checked";
                    Refused(remote, refusal); // first, because the caller may be gone before it can be told
                    await RefuseAsync(stream, RpcError.Unauthorized, refusal, limit.Token).ConfigureAwait(false);
                    return;
                }

                string caller = peer == Peer.Anonymous ? SourceAddress.Of(remote) : stream.RemoteCertificate?.GetCertHashString(HashAlgorithmName.SHA256) ?? "";
                if (_limiter.Enter(caller) is { } full)
                {
                    Refused(remote, full);
                    await RefuseAsync(stream, RpcError.Overloaded, full, limit.Token).ConfigureAwait(false);
                    return;
                }

                inside = caller;
                _identity.Watch(stream, peer);
                connection = new TlsConnection(stream, transport, remote, local, peer);
                handler = route.Handler;
            }
            finally
            {
                entry.Dispose();
            }

            await handler(connection).ConfigureAwait(false);
        }
        catch (AuthenticationException e)
        {
            Failed(remote, e.InnerException?.Message ?? e.Message);
        }
        catch (Exception e) when (e is IOException or SocketException or System.ComponentModel.Win32Exception or ObjectDisposedException or OperationCanceledException or InvalidOperationException)
        {
            Failed(remote, e is not OperationCanceledException ? e.Message : entry.Late.IsCancellationRequested ? "it gave way to others" : "it took too long");
        }
        finally
        {
            if (opened is not null)
            {
                await opened.DisposeAsync().ConfigureAwait(false);
            }

            owner.Dispose();
            if (inside is not null)
            {
                _limiter.Leave(inside);
            }
        }
    }

    private void Refused(string remote, string reason)
    {
        if (_refusals.MayWrite())
        {
            LogRefused(_logger, remote, reason);
        }
    }

    private void Failed(string remote, string reason)
    {
        if (_failures.MayWrite())
        {
            LogHandshake(_logger, remote, reason);
        }
    }

    /// <summary>The current certificates; logs once when their files cannot be used.</summary>
    private IdentityParts Identity(IPAddress? local)
    {
        IdentityParts now = _identity.For(local);
        IdentityException? problem = _identity.Problem;
        if (Interlocked.Exchange(ref _problem, problem) != problem && problem is not null)
        {
            LogNotRenewed(_logger, problem.Message);
        }

        return now;
    }

    private SslServerAuthenticationOptions Options(IdentityParts mine, Action<X509Certificate?, X509Chain?, SslPolicyErrors> verify) => new()
    {
        ServerCertificateContext = mine.ServerContext,
        ApplicationProtocols = _protocols,
        EnabledSslProtocols = SslProtocols.Tls13,
        ClientCertificateRequired = true,
        CertificateRevocationCheckMode = X509RevocationMode.NoCheck,
        AllowTlsResume = false, // a resumed session could arrive without a certificate
        CertificateChainPolicy = CertificateAuthority.Policy(mine.Authority, server: false),
#pragma warning disable CA5359 // refused after the handshake, with the reason
        RemoteCertificateValidationCallback = (_, certificate, chain, errors) =>
        {
            verify(certificate, chain, errors);
            return true;
        },
#pragma warning restore CA5359
    };

    private static async Task RefuseAsync(SslStream stream, RpcError code, string refusal, CancellationToken ct)
    {
        FrameBuffer goAway = FrameBuffer.Begin(FrameType.GoAway, 0);
        FrameBodies.WriteGoAway(goAway, code, refusal);
        byte[] last = goAway.End().ToArray();
        await stream.WriteAsync(last, ct).ConfigureAwait(false);
        await stream.ShutdownAsync().WaitAsync(ct).ConfigureAwait(false);

        // Closing with unread bytes would send a reset that overtakes the refusal: read until the caller closes.
        using var linger = CancellationTokenSource.CreateLinkedTokenSource(ct);
        linger.CancelAfter(s_linger);
        byte[] sink = new byte[4096];
        try
        {
            for (int i = 0; i < 16 && await stream.ReadAsync(sink, linger.Token).ConfigureAwait(false) > 0; i++)
            {
            }
        }
        catch (Exception e) when (e is IOException or OperationCanceledException)
        {
            // the caller has closed, or had enough time to read the refusal
        }
    }

    [LoggerMessage(1001, LogLevel.Warning, "Refused {Remote}: {Reason}")]
    private static partial void LogRefused(ILogger logger, string remote, string reason);

    [LoggerMessage(1002, LogLevel.Information, "The TLS handshake with {Remote} failed: {Reason}")]
    private static partial void LogHandshake(ILogger logger, string remote, string reason);

    [LoggerMessage(1004, LogLevel.Warning, "Accepting a connection failed: {Reason}")]
    private static partial void LogAccept(ILogger logger, string reason);

    [LoggerMessage(1005, LogLevel.Error, "The changed certificate files cannot be used; the previous certificates stay in use: {Reason}")]
    private static partial void LogNotRenewed(ILogger logger, string reason);
}
