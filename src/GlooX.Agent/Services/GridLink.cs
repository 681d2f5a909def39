using System.Collections.Concurrent;
using GlooX.Grid;
using GlooX.Hosts;
using GlooX.Tls;
using GlooX.Transport;

namespace GlooX.Services;

/// <summary>
/// Ties the grid's engine to the one port: its streams are connections of the protocol <c>gloox-grid/1</c>, its probes are RPC calls.
/// Keeps one client for each node that it talks to.
/// </summary>
internal sealed class GridLink(Identity identity) : IGridTransport, IAsyncDisposable
{
    // A cold TLS handshake on a machine that is far too busy; an address where nothing answers is given up as soon as ever.
    private static readonly TimeSpan s_greetTimeout = TimeSpan.FromSeconds(10);

    private readonly ConcurrentDictionary<string, RpcClient> _clients = new(StringComparer.Ordinal);

    public RpcClient Client(string address) =>
        _clients.GetOrAdd(address, static (a, i) => RpcClient.Connect(a, new RpcClientOptions { Identity = i, ServerRole = RpcRole.Agent, GreetTimeout = s_greetTimeout }), identity);

    public async Task<Stream> DialAsync(string address, CancellationToken cancellationToken)
    {
        try
        {
            TlsConnection connection = await TlsConnection.DialAsync(RpcEndpoint.Parse(address).Dialable, TlsConnection.Grid, identity, null, RpcRole.Agent, cancellationToken).ConfigureAwait(false);
            return connection.Stream;
        }
        catch (RpcException e)
        {
            throw new IOException(e.Message, e.InnerException ?? e);
        }
    }

    public async Task<ProbeReply> ProbeAsync(string address, ProbeRequest request, CancellationToken cancellationToken)
    {
        RpcEndpoint endpoint = RpcEndpoint.Parse(address).Dialable;
        RpcClient client = Client(address);
        try
        {
            ProbeReply reply = await client.As<IPeerService>(IPeerService.ServiceName).ProbeAsync(request, endpoint.Host, cancellationToken).ConfigureAwait(false);
            return reply with { ReachedFrom = client.Current?.LocalAddress?.MapToIPv4IfPossible() };
        }
        catch (RpcException e)
        {
            throw new IOException(e.Message, e.InnerException ?? e);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (RpcClient client in _clients.Values)
        {
            await client.DisposeAsync().ConfigureAwait(false);
        }
    }
}

internal static class AddressText
{
    public static string MapToIPv4IfPossible(this System.Net.IPAddress address) =>
        (address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address).ToString();
}
