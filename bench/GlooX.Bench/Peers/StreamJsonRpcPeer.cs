using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using StreamJsonRpc;

namespace GlooX.Bench.Peers;

/// <summary>Over SslStream on a socket, with its formatter on MessagePack-CSharp.</summary>
internal sealed class StreamJsonRpcPeer : IPeer
{
    public string Kind => "streamjsonrpc";

    public Task<IAsyncDisposable> ServeAsync(Identity identity, Action<int> listening, CancellationToken ct)
    {
        var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        Task serving = ServeAsync(listener, identity, ct);
        listening(((IPEndPoint)listener.LocalEndpoint).Port);
        return Task.FromResult<IAsyncDisposable>(new Server(listener, serving));
    }

    public async Task<IEchoClient> ConnectAsync(int port, Identity identity, CancellationToken ct)
    {
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(IPAddress.Loopback, port, ct);
        var stream = new SslStream(new NetworkStream(socket, ownsSocket: true));
        await stream.AuthenticateAsClientAsync(
            new SslClientAuthenticationOptions
            {
                TargetHost = "127.0.0.1",
                ClientCertificates = [identity.Client],
                EnabledSslProtocols = SslProtocols.Tls13,
                RemoteCertificateValidationCallback = (_, certificate, _, _) => PeerTrust.Accepts(certificate, identity, server: true),
            },
            ct);
        JsonRpc rpc = Over(stream);
        rpc.StartListening();
        return new Client(rpc);
    }

    private static async Task ServeAsync(TcpListener listener, Identity identity, CancellationToken ct)
    {
        Socket socket = await listener.AcceptSocketAsync(ct);
        socket.NoDelay = true;
        await using var stream = new SslStream(new NetworkStream(socket, ownsSocket: true));
        await stream.AuthenticateAsServerAsync(
            new SslServerAuthenticationOptions
            {
                ServerCertificate = identity.Server,
                EnabledSslProtocols = SslProtocols.Tls13,
                ClientCertificateRequired = true,
                RemoteCertificateValidationCallback = (_, certificate, _, _) => PeerTrust.Accepts(certificate, identity, server: false),
            },
            ct);
        JsonRpc rpc = Over(stream);
        rpc.AddLocalRpcTarget(new Target());

        // Null: requests run at once instead of one after the other.
        rpc.SynchronizationContext = null;
        rpc.StartListening();
        await rpc.Completion;
    }

    private static JsonRpc Over(Stream stream) => new(new LengthHeaderMessageHandler(stream, stream, new MessagePackFormatter()));

    public sealed class Target
    {
        public ValueTask<string> Say(int id, string text) => new(text);
    }

    private sealed class Server(TcpListener listener, Task serving) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            listener.Dispose();
            await serving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing); // ended by the listener or by its caller
        }
    }

    private sealed class Client(JsonRpc rpc) : EchoClient<string>
    {
        public override ValueTask DisposeAsync()
        {
            rpc.Dispose();
            return default;
        }

        protected override ValueTask<string> SendAsync(int id, string text) => new(rpc.InvokeAsync<string>("Say", id, text));

        protected override string TextOf(string reply) => reply;
    }
}
