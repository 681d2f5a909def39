using System.Net;
using System.Security.Authentication;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace GlooX.Bench.Peers;

/// <summary>The web server under gRPC and SignalR: no logging, TLS 1.3 only, a client certificate of our authority required.</summary>
internal static class Kestrel
{
    public static WebApplicationBuilder Create(Identity identity, HttpProtocols protocols)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Listen(IPAddress.Loopback, 0, listen =>
        {
            listen.Protocols = protocols;
            listen.UseHttps(new HttpsConnectionAdapterOptions
            {
                ServerCertificate = identity.Server,
                SslProtocols = SslProtocols.Tls13,
                ClientCertificateMode = ClientCertificateMode.RequireCertificate,
                ClientCertificateValidation = (certificate, _, _) => PeerTrust.Accepts(certificate, identity, server: false),
            });
        }));
        return builder;
    }

    public static async Task<IAsyncDisposable> StartAsync(WebApplication app, Action<int> listening, CancellationToken ct)
    {
        await app.StartAsync(ct);
        string address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.Single();
        listening(new Uri(address).Port);
        return app;
    }
}
