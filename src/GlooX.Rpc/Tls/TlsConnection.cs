using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using GlooX.Sockets;

namespace GlooX.Tls;

/// <summary>A stream past its TLS handshake, with what messages need to name the other side.</summary>
/// <param name="Stream">Owned by whoever holds the connection.</param>
/// <param name="Transport">What <paramref name="Stream"/> reads from.</param>
/// <param name="Remote">The other side as <c>host:port</c>.</param>
/// <param name="LocalAddress">The address of this machine that the connection uses.</param>
internal sealed record TlsConnection(SslStream Stream, Stream Transport, string Remote, IPAddress? LocalAddress) : IAsyncDisposable
{
    public static readonly SslApplicationProtocol Rpc = new("gloox/1");
    public static readonly SslApplicationProtocol Grid = new("gloox-grid/1");

    public ValueTask DisposeAsync() => Stream.DisposeAsync();

    /// <summary>Dials and verifies the other side's certificate.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.Connection"/> (inner: the <see cref="SocketException"/> or <see cref="IOException"/>) or <see cref="RpcError.Tls"/>.</exception>
    public static async Task<TlsConnection> DialAsync(RpcEndpoint endpoint, SslApplicationProtocol protocol, Identity identity, CancellationToken ct)
    {
        string remote = endpoint.ToString();
        SslStream? stream = null;
        string? refusal = null;
        try
        {
            (Stream transport, IPAddress? local) = await ConnectAsync(endpoint, ct).ConfigureAwait(false);
            stream = new SslStream(transport, leaveInnerStreamOpen: false);
            await stream.AuthenticateAsClientAsync(
                new SslClientAuthenticationOptions
                {
                    TargetHost = endpoint.Host,
                    ClientCertificateContext = identity.ClientContext,
                    ApplicationProtocols = [protocol],
                    EnabledSslProtocols = SslProtocols.Tls13,
                    CertificateChainPolicy = CertificateAuthority.Policy(identity.Authority, server: true),
                    RemoteCertificateValidationCallback = (_, certificate, _, errors) =>
                    {
                        // The authority decides: it is private to this user. The name in the certificate is not compared yet.
                        if (certificate is not null && (errors & ~SslPolicyErrors.RemoteCertificateNameMismatch) == SslPolicyErrors.None)
                        {
                            return true;
                        }

                        refusal = certificate is System.Security.Cryptography.X509Certificates.X509Certificate2 shown
                            ? CertificateAuthority.Refusal(shown, identity.Authority, server: true)
                            : "it showed no certificate";
                        return false;
                    },
                },
                ct).ConfigureAwait(false);
            if (stream.NegotiatedApplicationProtocol != protocol)
            {
                throw new RpcException(RpcError.Protocol, $"{remote} does not speak {protocol}: is it a GlooX process?") { Url = remote };
            }

            return new TlsConnection(stream, transport, remote, local);
        }
        catch (Exception e)
        {
            if (stream is not null)
            {
                await stream.DisposeAsync().ConfigureAwait(false);
            }

            throw e switch
            {
                SocketException { SocketErrorCode: SocketError.ConnectionRefused } => new RpcException(RpcError.Connection, $"cannot connect to {remote}: nobody listens there. Is the agent running?", e) { Url = remote },
                SocketException => new RpcException(RpcError.Connection, $"cannot connect to {remote}: {e.Message}", e) { Url = remote },
                AuthenticationException => new RpcException(RpcError.Tls, $"{remote} is not trusted: {refusal ?? e.InnerException?.Message ?? e.Message}", e) { Url = remote },
                IOException => new RpcException(RpcError.Connection, $"{remote} ended the TLS handshake: {e.InnerException?.Message ?? e.Message}. Is it a GlooX process?", e) { Url = remote },
                _ => e,
            };
        }
    }

    /// <summary>Tries each address of the host in turn.</summary>
    private static async Task<(Stream Transport, IPAddress? Local)> ConnectAsync(RpcEndpoint endpoint, CancellationToken ct)
    {
        if (endpoint.Path is { } path)
        {
            return (await ConnectUnixAsync(path, ct).ConfigureAwait(false), null);
        }

        IPAddress[] addresses = IPAddress.TryParse(endpoint.Host, out IPAddress? only) ? [only] : await Dns.GetHostAddressesAsync(endpoint.Host, ct).ConfigureAwait(false);
        for (int i = 0; ; i++)
        {
            if (i == addresses.Length)
            {
                throw new SocketException((int)SocketError.HostNotFound);
            }

            var socket = new Socket(addresses[i].AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                SocketTuning.Apply(socket);
                Stream transport = await SocketStream.ConnectAsync(socket, new IPEndPoint(addresses[i], endpoint.Port), ct).ConfigureAwait(false);
                return (transport, (socket.LocalEndPoint as IPEndPoint)?.Address);
            }
            catch (SocketException) when (i < addresses.Length - 1)
            {
                socket.Dispose();
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        }
    }

    // Such a socket connects at once, or its server has no room: then the kernel offers nothing to wait for.
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

/// <summary>Settings of every socket.</summary>
internal static class SocketTuning
{
    private const int LinuxTcpUserTimeout = 18;

    // Unacknowledged data breaks the connection after this long; else recovery after a cut waits for TCP's own backoff, minutes at worst.
    private const int UserTimeoutMilliseconds = 10_000;

    public static void Apply(Socket socket)
    {
        if (socket.AddressFamily == AddressFamily.Unix)
        {
            return;
        }

        socket.NoDelay = true;
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        if (OperatingSystem.IsLinux())
        {
            socket.SetRawSocketOption((int)SocketOptionLevel.Tcp, LinuxTcpUserTimeout, BitConverter.GetBytes(UserTimeoutMilliseconds));
        }
    }
}
