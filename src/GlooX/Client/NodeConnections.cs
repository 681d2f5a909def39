using GlooX.Contracts;

namespace GlooX.Client;

/// <summary>
/// The connections of one client: one to each node, which all that the client and its processes ask of that node share. A connection is
/// closed when the last of those that use it lets it go. Thread-safe.
/// </summary>
/// <param name="options">Of each connection. Null: the defaults. The tokens of add-ons are sent to agents only.</param>
internal sealed class NodeConnections(RpcClientOptions? options)
{
    private readonly RpcClientOptions? _options = options?.Tokens.Keys.Any(static s => s.StartsWith(AddonRequest.ServicePrefix, StringComparison.Ordinal)) == true
        ? options with { TokenRole = options.TokenRole | RpcRole.Agent }
        : options;
    private readonly Dictionary<(string Url, string Process), (RpcClient Client, int Uses)> _nodes = [];
    private readonly Lock _gate = new();

    /// <summary>The connection to a node or a spawned process; <see cref="ReleaseAsync"/> lets it go.</summary>
    /// <param name="url">Where it answers.</param>
    /// <param name="process">The name in the certificate of the process, and no other process is accepted; empty: the URL decides.</param>
    /// <exception cref="ArgumentException">The URL is malformed.</exception>
    public RpcClient Acquire(string url, string process = "")
    {
        lock (_gate)
        {
            (RpcClient client, int uses) = _nodes.TryGetValue((url, process), out (RpcClient, int) known)
                ? known
                : (new RpcClient(url, process.Length > 0 ? (_options ?? new RpcClientOptions()) with { ServerName = process } : _options), 0);
            _nodes[(url, process)] = (client, uses + 1);
            return client;
        }
    }

    public async ValueTask ReleaseAsync(string url, string process = "")
    {
        RpcClient client;
        lock (_gate)
        {
            (client, int uses) = _nodes[(url, process)];
            if (uses > 1)
            {
                _nodes[(url, process)] = (client, uses - 1);
                return;
            }

            _nodes.Remove((url, process));
        }

        await client.DisposeAsync().ConfigureAwait(false);
    }

    /// <summary>Asks a node; a connection that nothing else uses is closed after the answer.</summary>
    public async Task<T> AskAsync<T>(string url, Func<IAgentService, ValueTask<T>> ask)
    {
        RpcClient client = Acquire(url);
        try
        {
            return await ask(client.As<IAgentService>(IAgentService.ServiceName)).ConfigureAwait(false);
        }
        finally
        {
            await ReleaseAsync(url).ConfigureAwait(false);
        }
    }
}
