using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using GlooX.Transport;
using GlooX.Transport.Linux;

namespace GlooX.Tls;

/// <summary>A connection after its TLS handshake.</summary>
/// <param name="Stream">The encrypted stream; the holder of the connection disposes it.</param>
/// <param name="Transport">The stream below <paramref name="Stream"/>.</param>
/// <param name="Remote">The other side as <c>host:port</c>.</param>
/// <param name="LocalAddress">The address of this machine that the connection uses.</param>
/// <param name="Peer">The verified other side.</param>
internal sealed record TlsConnection(SslStream Stream, Stream Transport, string Remote, IPAddress? LocalAddress, Peer Peer) : IAsyncDisposable
{
    public static readonly SslApplicationProtocol Rpc = new("gloox/1");
    public static readonly SslApplicationProtocol Grid = new("gloox-grid/1");
    public static readonly SslApplicationProtocol Join = new("gloox-join/1");

    public ValueTask DisposeAsync() => Stream.DisposeAsync();

    /// <summary>Dials, and verifies that the server's certificate carries the dialled name and has a role.</summary>
    /// <param name="endpoint">The server.</param>
    /// <param name="protocol">The ALPN protocol to speak.</param>
    /// <param name="identity">The identity of this process.</param>
    /// <param name="serverName">The host, address or node that the certificate must carry; null: the dialled host.</param>
    /// <param name="serverRole">The roles that the certificate must have.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <param name="how">Null: the defaults.</param>
    /// <exception cref="RpcException"><see cref="RpcError.Connection"/> (inner: the <see cref="SocketException"/> or <see cref="IOException"/>) or <see cref="RpcError.Tls"/>.</exception>
    public static Task<TlsConnection> DialAsync(
        RpcEndpoint endpoint, SslApplicationProtocol protocol, Identity identity, string? serverName, RpcRole serverRole, CancellationToken ct, DialOptions? how = null)
    {
        IdentityParts mine = identity.Current;
        string? refusal = null;
        Peer? peer = null;
        var options = new SslClientAuthenticationOptions
        {
            ClientCertificateContext = mine.ClientContext,
            EnabledSslProtocols = SslProtocols.Tls13,
            CertificateChainPolicy = CertificateAuthority.Policy(mine.Authority, server: true),
            RemoteCertificateValidationCallback = (_, certificate, chain, errors) =>
            {
                refusal = PeerVerifier.Verify(certificate, chain, errors, mine.Authority, mine.Revocations, serverName ?? endpoint.Host, out peer);
                if (peer is not null && (peer.Roles & serverRole) != serverRole)
                {
                    refusal ??= $"the certificate '{peer.Subject}' has the role {CertificateNames.Describe(peer.Roles)}, not {CertificateNames.Describe(serverRole)}";
                }

                return refusal is null;
            },
        };
        return DialAsync(endpoint, protocol, options, () => (refusal, peer), ct, identity, how);
    }

    /// <summary>Dials with the caller's own verification.</summary>
    /// <param name="endpoint">The server.</param>
    /// <param name="protocol">The ALPN protocol to speak.</param>
    /// <param name="options">All TLS options except the target and the protocol.</param>
    /// <param name="verdict">Returns the outcome of the verification after the handshake.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <param name="identity">Closes the connection when the server's certificate is revoked; null: revocation has no effect.</param>
    /// <param name="how">Null: the defaults.</param>
    /// <exception cref="RpcException"><see cref="RpcError.Connection"/> (inner: the <see cref="SocketException"/> or <see cref="IOException"/>) or <see cref="RpcError.Tls"/>.</exception>
    public static async Task<TlsConnection> DialAsync(
        RpcEndpoint endpoint, SslApplicationProtocol protocol, SslClientAuthenticationOptions options, Func<(string? Refusal, Peer? Peer)> verdict, CancellationToken ct, Identity? identity = null, DialOptions? how = null)
    {
        string remote = endpoint.ToString();
        SslStream? stream = null;
        try
        {
            how ??= DialOptions.Standard;
            (Stream transport, IPAddress? local) = await ConnectAsync(endpoint, how, ct).ConfigureAwait(false);
            how.OnConnected?.Invoke();
            stream = new SslStream(transport, leaveInnerStreamOpen: false);
            options.TargetHost = endpoint.Host;
            options.ApplicationProtocols = [protocol];
            await stream.AuthenticateAsClientAsync(options, ct).ConfigureAwait(false);
            if (stream.NegotiatedApplicationProtocol != protocol)
            {
                throw new RpcException(RpcError.Protocol, $"{remote} does not speak {protocol}. Is it a GlooX process?") { Url = remote };
            }

            Peer peer = verdict().Peer ?? Peer.Anonymous;
            identity?.Watch(stream, peer);
            return new TlsConnection(stream, transport, remote, local, peer);
        }
        catch (Exception e)
        {
            if (stream is not null)
            {
                await stream.DisposeAsync().ConfigureAwait(false);
            }

            throw e switch
            {
                SocketException { SocketErrorCode: SocketError.ConnectionRefused } => new RpcException(RpcError.Connection, $"cannot connect to {remote}: nothing listens there. Is the agent running?", e) { Url = remote },
                SocketException => new RpcException(RpcError.Connection, $"cannot connect to {remote}: {e.Message}", e) { Url = remote },
                AuthenticationException => new RpcException(RpcError.Tls, $"{remote} is not trusted: {verdict().Refusal ?? e.InnerException?.Message ?? e.Message}", e) { Url = remote },
                IOException => new RpcException(RpcError.Connection, $"{remote} ended the TLS handshake: {e.InnerException?.Message ?? e.Message}. Is it a GlooX process?", e) { Url = remote },
                _ => e,
            };
        }
    }

    private static async Task<Connected> ConnectAsync(RpcEndpoint endpoint, DialOptions how, CancellationToken ct)
    {
        if (endpoint.Path is { } path)
        {
            return new Connected(await ConnectUnixAsync(path, ct).ConfigureAwait(false), null);
        }

        IPAddress[] addresses = IPAddress.TryParse(endpoint.Host, out IPAddress? only) ? [only] : await how.Resolve(endpoint.Host, ct).ConfigureAwait(false);
        return await HappyEyeballs.RunAsync(HappyEyeballs.Interleave(addresses), (address, end) => ConnectAsync(new IPEndPoint(address, endpoint.Port), end), TimeProvider.System, ct).ConfigureAwait(false);
    }

    private static async Task<Connected> ConnectAsync(IPEndPoint endpoint, CancellationToken ct)
    {
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            SocketTuning.Apply(socket);
            Stream transport = await SocketStream.ConnectAsync(socket, endpoint, ct).ConfigureAwait(false);
            return new Connected(transport, (socket.LocalEndPoint as IPEndPoint)?.Address);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    // Such a socket connects at once, unless the server's backlog is full; the kernel offers no event for that.
    private static async Task<Stream> ConnectUnixAsync(string path, CancellationToken ct)
    {
        while (true)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                socket.Blocking = false;
                socket.Connect(new UnixDomainSocketEndPoint(path));
                return SocketStream.Open(socket);
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.WouldBlock)
            {
                socket.Dispose();
                await Task.Delay(10, ct).ConfigureAwait(false);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }
    }
}

/// <summary>How to reach the server, before TLS.</summary>
internal sealed record DialOptions
{
    public static readonly DialOptions Standard = new();

    /// <summary>Resolves a host name; the best address first.</summary>
    public Func<string, CancellationToken, Task<IPAddress[]>> Resolve { get; init; } = static (host, ct) => Dns.GetHostAddressesAsync(host, ct);

    /// <summary>Called when the server's machine has accepted the connection, before TLS.</summary>
    public Action? OnConnected { get; init; }
}

/// <summary>A connection without TLS, and the address of this machine that it uses.</summary>
internal readonly record struct Connected(Stream Transport, IPAddress? Local) : IAsyncDisposable
{
    public ValueTask DisposeAsync() => Transport.DisposeAsync();
}

/// <summary>
/// Settings of every socket. TCP keep-alive stays off: with a shorter user timeout Linux ends the connection when one probe is lost
/// (tcp_keepalive_timer). The protocol above sends its own probes, which TCP repeats.
/// </summary>
internal static class SocketTuning
{
    private const int LinuxTcpUserTimeout = 18;

    // Unacknowledged data ends the connection after this long. Without it, recovery after a cut waits for TCP's backoff, minutes at worst.
    private const int UserTimeoutMilliseconds = 10_000;

    public static void Apply(Socket socket)
    {
        if (socket.AddressFamily == AddressFamily.Unix)
        {
            return;
        }

        socket.NoDelay = true;
        if (OperatingSystem.IsLinux())
        {
            socket.SetRawSocketOption((int)SocketOptionLevel.Tcp, LinuxTcpUserTimeout, BitConverter.GetBytes(UserTimeoutMilliseconds));
        }
    }
}
