using Microsoft.Extensions.Hosting;

namespace GlooX.Hosting;

/// <summary>
/// Starts and stops the server with its host. It stops before any other service does: those that accept connections for it wait for their
/// end, and what its handlers use is still there.
/// </summary>
internal sealed class RpcHost(RpcServer server, GlooXRpcOptions options) : IHostedLifecycleService
{
    public Task StartAsync(CancellationToken cancellationToken) =>
        options.Url is { } url ? server.StartAsync(url, cancellationToken) : Task.CompletedTask;

    public Task StoppingAsync(CancellationToken cancellationToken) => server.DisposeAsync().AsTask();

    // A host whose start failed goes straight here.
    public Task StopAsync(CancellationToken cancellationToken) => server.DisposeAsync().AsTask();

    public Task StartingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}

/// <summary>A client that was added; there is an <see cref="RpcClient"/> with this key.</summary>
internal sealed record ClientUrl(string Url);
