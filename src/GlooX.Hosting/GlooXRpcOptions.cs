using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace GlooX;

/// <summary>The RPC server of a host: see <see cref="GlooXHosting.AddGlooXRpc"/>.</summary>
public sealed class GlooXRpcOptions
{
    private readonly List<(string Name, RpcAccess? Access, Func<IServiceProvider, object> Make)> _services = [];
    private readonly List<Func<IServiceProvider, RpcInterceptor>> _interceptors = [];

    /// <summary>
    /// Where to listen, as <c>host:port</c>; port 0: any that is free, see <see cref="RpcServer.Url"/>. Null (default): on no port of its own,
    /// but on the web server's endpoints with <see cref="GlooXHosting.UseGlooXRpc"/>.
    /// </summary>
    public string? Url { get; set; }

    /// <summary>How callers are treated. Without a logger factory of its own it takes the host's.</summary>
    public RpcServerOptions Server { get; set; } = new();

    /// <summary>
    /// Offers a service. One object serves all calls: the singleton that is registered as <typeparamref name="T"/>, or else one that is made
    /// for this. For what lives as long as one call let it take an <see cref="IServiceScopeFactory"/>.
    /// </summary>
    /// <typeparam name="T">A class with <see cref="RpcAttribute"/> on methods or with contracts, or a contract that is registered.</typeparam>
    /// <param name="name">The service's name; empty (default) is what a caller reaches without naming a service.</param>
    /// <param name="access">Who may call it. Null: agents, clients and children, without a token.</param>
    /// <returns>This.</returns>
    public GlooXRpcOptions AddService<T>(string name = "", RpcAccess? access = null)
        where T : class
    {
        _services.Add((name, access, static provider => ActivatorUtilities.GetServiceOrCreateInstance<T>(provider)));
        return this;
    }

    /// <summary>Adds an interceptor, inside those of <see cref="Server"/>: the singleton that is registered, or else one that is made for this.</summary>
    /// <typeparam name="T">The interceptor.</typeparam>
    /// <returns>This.</returns>
    public GlooXRpcOptions AddInterceptor<T>()
        where T : RpcInterceptor
    {
        _interceptors.Add(static provider => ActivatorUtilities.GetServiceOrCreateInstance<T>(provider));
        return this;
    }

    internal RpcServer Build(IServiceProvider provider)
    {
        var server = new RpcServer(Server with
        {
            LoggerFactory = Server.LoggerFactory ?? provider.GetService<ILoggerFactory>(),
            Interceptors = [.. Server.Interceptors, .. _interceptors.Select(make => make(provider))],
        });
        foreach ((string name, RpcAccess? access, Func<IServiceProvider, object> make) in _services)
        {
            server.Add(make(provider), name, access);
        }

        return server;
    }
}
