using System.Runtime.CompilerServices;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Http.Connections;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.SignalR;
using Microsoft.AspNetCore.SignalR.Client;

namespace GlooX.Bench.Peers;

internal sealed class SignalRPeer : IPeer
{
    public string Kind => "signalr";

    public Task<IAsyncDisposable> ServeAsync(Identity identity, Action<int> listening, CancellationToken ct)
    {
        WebApplicationBuilder builder = Kestrel.Create(identity, HttpProtocols.Http1);

        // The default of one invocation at a time would serialize the callers; as many as the largest load has never throttles.
        builder.Services.AddSignalR(hub => hub.MaximumParallelInvocationsPerClient = 1024).AddMessagePackProtocol();
        WebApplication app = builder.Build();
        app.MapHub<EchoHub>("/hub");
        return Kestrel.StartAsync(app, listening, ct);
    }

    public async Task<IEchoClient> ConnectAsync(int port, Identity identity, CancellationToken ct)
    {
        // The server speaks TLS 1.3 only, so the connection cannot be of an older version.
        HubConnection connection = new HubConnectionBuilder()
            .WithUrl($"https://127.0.0.1:{port}/hub", http =>
            {
                http.Transports = HttpTransportType.WebSockets;
                http.SkipNegotiation = true;
                http.WebSocketConfiguration = socket =>
                {
                    socket.ClientCertificates.Add(identity.Client);
                    socket.RemoteCertificateValidationCallback = (_, certificate, _, _) => PeerTrust.Accepts(certificate, identity, server: true);
                };
            })
            .AddMessagePackProtocol()
            .Build();
        await connection.StartAsync(ct);
        return new Client(connection);
    }

    public sealed class EchoHub : Hub
    {
        public Task<string> Say(int id, string text) => Task.FromResult(text);

        public async IAsyncEnumerable<string> Count(int count, [EnumeratorCancellation] CancellationToken ct)
        {
            await Task.Yield();
            for (int i = 0; i < count && !ct.IsCancellationRequested; i++)
            {
                yield return Peer.Text;
            }
        }
    }

    private sealed class Client(HubConnection connection) : EchoClient<string>
    {
        public override ValueTask DisposeAsync() => connection.DisposeAsync();

        protected override ValueTask<string> SendAsync(int id, string text) => new(connection.InvokeAsync<string>("Say", id, text));

        protected override string TextOf(string reply) => reply;

        protected override IAsyncEnumerable<string> Count(int count) => connection.StreamAsync<string>("Count", count);
    }
}
