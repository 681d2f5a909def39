using System.Net;
using GlooX.Hosting;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace GlooX;

/// <summary>GlooX.Rpc in the generic host and in ASP.NET Core.</summary>
public static class GlooXHosting
{
    /// <summary>
    /// Adds an <see cref="RpcServer"/> that starts and stops with the host. When the host stops, callers are told, and calls in flight may
    /// finish for <see cref="RpcServerOptions.DrainTimeout"/>.
    /// </summary>
    /// <param name="services">The host's services.</param>
    /// <param name="configure">Where it listens and what it offers.</param>
    /// <returns><paramref name="services"/>.</returns>
    /// <exception cref="InvalidOperationException">There is one already.</exception>
    public static IServiceCollection AddGlooXRpc(this IServiceCollection services, Action<GlooXRpcOptions> configure)
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentNullException.ThrowIfNull(configure);
        if (services.Any(static s => s.ServiceType == typeof(RpcServer)))
        {
            throw new InvalidOperationException("the host has an RPC server already: offer all services there");
        }

        var options = new GlooXRpcOptions();
        configure(options);
        services.AddSingleton(options);
        services.AddSingleton(static provider => provider.GetRequiredService<GlooXRpcOptions>().Build(provider));
        services.AddSingleton<IHostedService, RpcHost>();
        return services;
    }

    /// <summary>
    /// Adds a contract of another process as a singleton. It connects on the first call. Contracts of one URL share a connection, with the
    /// options that were given first.
    /// </summary>
    /// <typeparam name="TContract">An interface with <see cref="RpcServiceAttribute"/>.</typeparam>
    /// <param name="services">The host's services.</param>
    /// <param name="url">The other process, as <c>host:port</c>.</param>
    /// <param name="service">Which of its services; empty: the one without a name.</param>
    /// <param name="options">Null: the defaults. Without a logger factory of their own they take the host's.</param>
    /// <returns><paramref name="services"/>.</returns>
    public static IServiceCollection AddGlooXClient<TContract>(this IServiceCollection services, string url, string service = "", RpcClientOptions? options = null)
        where TContract : class
    {
        ArgumentNullException.ThrowIfNull(services);
        ArgumentException.ThrowIfNullOrWhiteSpace(url);
        if (!services.Any(s => s.ServiceType == typeof(RpcClient) && url.Equals(s.ServiceKey)))
        {
            RpcClientOptions given = options ?? new RpcClientOptions();
            services.AddKeyedSingleton(
                url, (provider, _) => new RpcClient(url, given with { LoggerFactory = given.LoggerFactory ?? provider.GetService<ILoggerFactory>() }));
            services.AddSingleton(new ClientUrl(url));
        }

        return services.AddSingleton(provider => provider.GetRequiredKeyedService<RpcClient>(url).As<TContract>(service));
    }

    /// <summary>
    /// Serves the host's <see cref="RpcServer"/> on an endpoint of Kestrel. TLS is GlooX's own, as on its own port, so that trust is decided by
    /// one rule: leave out <c>UseHttps</c>.
    /// </summary>
    /// <typeparam name="TBuilder">In practice <c>ListenOptions</c>.</typeparam>
    /// <param name="builder">The endpoint.</param>
    /// <returns><paramref name="builder"/>.</returns>
    /// <exception cref="InvalidOperationException">The host has no RPC server.</exception>
    public static TBuilder UseGlooXRpc<TBuilder>(this TBuilder builder)
        where TBuilder : IConnectionBuilder
    {
        RpcServer server = builder.ApplicationServices.GetService<RpcServer>()
            ?? throw new InvalidOperationException("the host has no RPC server: call services.AddGlooXRpc first");
        builder.Run(connection =>
        {
            if (connection.Features.Get<ITlsHandshakeFeature>() is not null)
            {
                throw new InvalidOperationException("UseGlooXRpc brings TLS of its own: leave out UseHttps on this endpoint");
            }

            string caller = connection.RemoteEndPoint is IPEndPoint address ? address.ToString() : connection.ConnectionId;
            
            // Not ended by ConnectionClosed, which overtakes what the caller has sent: the pipe ends in order.
            return server.ServeAsync(new DuplexStream(connection.Transport), caller, CancellationToken.None);
        });
        return builder;
    }
}
