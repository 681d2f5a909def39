using GlooX.Trust;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX;

/// <summary>
/// An authority as a process of its own, under a user of its own: it issues certificates for tokens, renews them, and revokes. It is no member of the
/// grid and runs nothing that others send, so that whoever may spawn at an agent does not come near its key. All members are safe for concurrent use.
/// </summary>
/// <remarks>While it is down, nobody new joins; agents and their certificates go on.</remarks>
public sealed class AuthorityServer : IAsyncDisposable
{
    private const UnixFileMode ForAll = (UnixFileMode)0b110_110_110;
    private readonly List<RpcServer> _servers = [];

    private AuthorityServer()
    {
    }

    /// <summary>Where it listens.</summary>
    public IReadOnlyList<string> Urls => [.. _servers.Select(static s => s.Url)];

    /// <summary>Starts the authority of this user's store.</summary>
    /// <param name="urls">Where to listen: <c>host:port</c>, or <c>unix:/path</c>, which every user of the machine can reach.</param>
    /// <param name="loggerFactory">Where to log; null: nowhere.</param>
    /// <param name="ct">Cancels the operation; nothing is left behind.</param>
    /// <returns>The authority.</returns>
    /// <exception cref="ArgumentException">A URL is malformed, or there is none.</exception>
    /// <exception cref="IdentityException">The store cannot be used, or it joined another authority.</exception>
    /// <exception cref="RpcException">An address is in use, or not this machine's.</exception>
    public static async Task<AuthorityServer> StartAsync(IReadOnlyList<string> urls, ILoggerFactory? loggerFactory = null, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(urls);
        if (urls.Count == 0)
        {
            throw new ArgumentException("an authority listens somewhere: give host:port or unix:/path", nameof(urls));
        }

        Identity identity = Identity.LoadStore();
        if (!identity.IsIssuer)
        {
            throw new IdentityException(GlooXHome.Path, $"this user's machine joined at {identity.JoinedAt}: an authority has a store of its own (GLOOX_HOME)");
        }

        loggerFactory ??= NullLoggerFactory.Instance;
        var revocations = new GridRevocations(
            identity,
            static () => [],
            static url => throw new InvalidOperationException($"an authority calls nobody, not {url} either"),
            static (_, _) => Task.CompletedTask,
            loggerFactory.CreateLogger("GlooX.Trust"));
        var authority = new AuthorityServer();
        try
        {
            foreach (string url in urls)
            {
                var server = new RpcServer(new RpcServerOptions { Identity = identity, AcceptJoins = true, LoggerFactory = loggerFactory });
                authority._servers.Add(server);
                server.Add(new AuthorityService(revocations), IAuthorityService.ServiceName, AuthorityService.Access);
                server.Add(new TrustService(revocations), ITrustService.ServiceName, TrustService.Access);
                await server.StartAsync(url, ct).ConfigureAwait(false);
                if (RpcEndpoint.Parse(url).Path is { } socket && !OperatingSystem.IsWindows())
                {
                    // Certificates decide who may do what, as they do over the network.
                    File.SetUnixFileMode(socket, ForAll);
                }
            }

            return authority;
        }
        catch
        {
            await authority.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Stops listening.</summary>
    /// <returns>Completes when the ports are closed.</returns>
    public async ValueTask DisposeAsync()
    {
        foreach (RpcServer server in _servers)
        {
            await server.DisposeAsync().ConfigureAwait(false);
        }
    }
}
