using System.Net.Security;
using System.Security.Authentication;
using GlooX.Bench.Peers.Proto;
using Google.Protobuf;
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
                    ClientCertificateContext = PeerTrust.ClientContext(identity),
                    CertificateChainPolicy = PeerTrust.Policy(identity, server: true),
                },
            },
        });
        return Task.FromResult<IEchoClient>(new Client(channel));
    }

    private sealed class EchoService : Echo.EchoBase
    {
        private static readonly SayReply s_item = new() { Text = Peer.Text };

        public override Task<SayReply> Say(SayRequest request, ServerCallContext context) => Task.FromResult(new SayReply { Text = request.Text });

        public override Task<Blob> Echo(Blob request, ServerCallContext context) => Task.FromResult(request);

        public override async Task Count(CountRequest request, IServerStreamWriter<SayReply> responseStream, ServerCallContext context)
        {
            // Else each item would be flushed for itself.
            responseStream.WriteOptions = new WriteOptions(WriteFlags.BufferHint);
            for (int i = 0; i < request.Count && !context.CancellationToken.IsCancellationRequested; i++)
            {
                await responseStream.WriteAsync(s_item);
            }
        }
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

        protected override async ValueTask<int> EchoAsync(byte[] payload) =>
            (await _echo.EchoAsync(new Blob { Data = UnsafeByteOperations.UnsafeWrap(payload) }).ResponseAsync.ConfigureAwait(false)).Data.Length;

        protected override async IAsyncEnumerable<SayReply> Count(int count)
        {
            using AsyncServerStreamingCall<SayReply> call = _echo.Count(new CountRequest { Count = count });
            while (await call.ResponseStream.MoveNext(CancellationToken.None).ConfigureAwait(false))
            {
                yield return call.ResponseStream.Current;
            }
        }
    }
}
