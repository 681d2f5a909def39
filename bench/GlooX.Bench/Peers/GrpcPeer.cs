using System.Net.Security;
using System.Security.Authentication;
using GlooX.Bench.Peers.Proto;
using Grpc.Core;
using Grpc.Net.Client;
using Microsoft.AspNetCore.Server.Kestrel.Core;

namespace GlooX.Bench.Peers;

internal sealed class GrpcPeer : IPeer
{
    public string Kind => "grpc";

    public Task<IAsyncDisposable> ServeAsync(Identity identity, Action<int> listening, CancellationToken ct)
    {
        WebApplicationBuilder builder = Kestrel.Create(identity, HttpProtocols.Http2);
        builder.Services.AddGrpc();
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            // The default of 100 streams would throttle 1024 callers.
            kestrel.Limits.Http2.MaxStreamsPerConnection = 4096;
            kestrel.Limits.Http2.InitialConnectionWindowSize = 4 << 20;
            kestrel.Limits.Http2.InitialStreamWindowSize = 1 << 20;
        });
        WebApplication app = builder.Build();
        app.MapGrpcService<EchoService>();
        return Kestrel.StartAsync(app, listening, ct);
    }

    public Task<IEchoClient> ConnectAsync(int port, Identity identity, CancellationToken ct)
    {
        GrpcChannel channel = GrpcChannel.ForAddress($"https://127.0.0.1:{port}", new GrpcChannelOptions
        {
            DisposeHttpClient = true,
            // It sets TCP_NODELAY itself, connects on the first call and keeps to one connection.
            HttpHandler = new SocketsHttpHandler
            {
                InitialHttp2StreamWindowSize = 1 << 20,
                SslOptions = new SslClientAuthenticationOptions
                {
                    EnabledSslProtocols = SslProtocols.Tls13,
                    ClientCertificateContext = identity.Current.ClientContext,
                    CertificateChainPolicy = Tls.CertificateAuthority.Policy(identity.Authority, server: true),
                },
            },
        });
        return Task.FromResult<IEchoClient>(new Client(channel));
    }

    private sealed class EchoService : Echo.EchoBase
    {
        public override Task<SayReply> Say(SayRequest request, ServerCallContext context) => Task.FromResult(new SayReply { Text = request.Text });
    }

    private sealed class Client(GrpcChannel channel) : EchoClient<SayReply>
    {
        private readonly Echo.EchoClient _echo = new(channel);

        public override ValueTask DisposeAsync()
        {
            channel.Dispose();
            return default;
        }

        protected override ValueTask<SayReply> SendAsync(int id, string text) => new(_echo.SayAsync(new SayRequest { Id = id, Text = text }).ResponseAsync);

        protected override string TextOf(SayReply reply) => reply.Text;
    }
}
