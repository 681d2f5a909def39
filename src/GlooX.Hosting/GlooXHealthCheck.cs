using GlooX.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Diagnostics.HealthChecks;
using Microsoft.Extensions.Hosting;

namespace GlooX;

/// <summary>
/// Whether the host's RPC server takes calls, and every process with a client from <see cref="GlooXHosting.AddGlooXClient"/> can be
/// connected to: <c>services.AddHealthChecks().AddCheck&lt;GlooXHealthCheck&gt;("gloox")</c>.
/// </summary>
/// <remarks>A client without a connection makes one for this; where that takes long, give the check a timeout.</remarks>
/// <param name="services">The host's services.</param>
public sealed class GlooXHealthCheck(IServiceProvider services) : IHealthCheck
{
    /// <inheritdoc/>
    public async Task<HealthCheckResult> CheckHealthAsync(HealthCheckContext context, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(context);
        var data = new Dictionary<string, object>(StringComparer.Ordinal);
        Exception? cause = null;
        var faults = new List<string>();
        if (services.GetService<RpcServer>() is { } server)
        {
            data["connections"] = server.ConnectionCount;
            if (server.IsListening)
            {
                data["url"] = server.Url;
            }

            if (services.GetService<IHostApplicationLifetime>()?.ApplicationStopping.IsCancellationRequested == true)
            {
                faults.Add("the RPC server is shutting down");
            }
            else if (!server.IsListening && services.GetRequiredService<GlooXRpcOptions>().Url is { } wanted)
            {
                faults.Add($"the RPC server does not listen on {wanted}");
            }
        }

        foreach (ClientUrl client in services.GetServices<ClientUrl>())
        {
            try
            {
                await services.GetRequiredKeyedService<RpcClient>(client.Url).OpenAsync(cancellationToken).ConfigureAwait(false);
            }
            catch (GlooXException e)
            {
                cause = e;
                faults.Add(e.Message);
            }
        }

        return faults.Count == 0
            ? HealthCheckResult.Healthy(data: data)
            : new HealthCheckResult(context.Registration.FailureStatus, string.Join("; ", faults), cause, data);
    }
}
