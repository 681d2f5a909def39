using System.Collections.Concurrent;
using GlooX.Grid;
using GlooX.Hosts;
using GlooX.Lifecycle;

namespace GlooX.Services;

/// <summary>
/// Ties the grid's engine to the one port: its streams are connections of the protocol <c>gloox-grid/1</c>, its probes are RPC calls.
/// Keeps one client for each node that it talks to, and drops those of nodes that are gone.
/// </summary>
/// <param name="identity">The agent's.</param>
/// <param name="members">The addresses of the members now.</param>
/// <param name="time">Clock of the pauses.</param>
internal sealed class GridLink(Identity identity, Func<IEnumerable<string>> members, TimeProvider time) : IGridTransport, IAsyncDisposable
{
    /// <summary>How long a client of a node that is not a member stays without being used.</summary>
    public static readonly TimeSpan UnusedLimit = TimeSpan.FromMinutes(10);

    // A cold TLS handshake on a machine that is far too busy; an address where nothing answers is given up as soon as ever.
    private static readonly TimeSpan s_greetTimeout = TimeSpan.FromSeconds(10);

    /// <summary>The grid engine's protocol on the one port.</summary>
    public const string Protocol = "gloox-grid/1";

    private readonly ConcurrentDictionary<string, Known> _clients = new(StringComparer.Ordinal);
    private readonly Lock _gate = new();
    private Task _dropping = Task.CompletedTask;

    private sealed class Known(RpcClient client)
    {
        public RpcClient Client { get; } = client;

        public long UsedAt;
    }

    public int Count => _clients.Count;

    public RpcClient Client(string address)
    {
        if (!_clients.TryGetValue(address, out Known? known))
        {
            known = _clients.GetOrAdd(address, Connect);
            DropUnused();
        }

        Volatile.Write(ref known.UsedAt, time.GetTimestamp());
        return known.Client;
    }

    public async Task<Stream> DialAsync(string address, CancellationToken ct)
    {
        try
        {
            return await Client(address).OpenStreamAsync(Protocol, ct).ConfigureAwait(false);
        }
        catch (RpcException e)
        {
            throw new IOException(e.Message, e.InnerException ?? e);
        }
    }

    public async Task<ProbeReply> ProbeAsync(string address, ProbeRequest request, CancellationToken ct)
    {
        RpcEndpoint endpoint = RpcEndpoint.Parse(address).Dialable;
        RpcClient client = Client(address);
        try
        {
            ProbeReply reply = await client.As<IPeerService>(IPeerService.ServiceName).ProbeAsync(request, endpoint.Host, ct).ConfigureAwait(false);
            return reply with { ReachedFrom = (await client.OpenAsync(ct).ConfigureAwait(false)).LocalAddress?.MapToIPv4IfPossible() };
        }
        catch (RpcException e)
        {
            throw new IOException(e.Message + JoinReport.Cure(e, address), e.InnerException ?? e);
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Known known in _clients.Values)
        {
            await known.Client.DisposeAsync().ConfigureAwait(false);
        }

        await _dropping.ConfigureAwait(false);
    }

    private Known Connect(string address) =>
        new(new RpcClient(address, new RpcClientOptions { Identity = identity, ServerRole = RpcRole.Agent, HandshakeTimeout = s_greetTimeout })) { UsedAt = time.GetTimestamp() };

    // Looked at when one more is made, so that their number is bounded by the nodes of some minutes.
    private void DropUnused()
    {
        HashSet<string> present = [.. members()];
        foreach ((string address, Known known) in _clients)
        {
            if (!present.Contains(address) && time.GetElapsedTime(Volatile.Read(ref known.UsedAt)) >= UnusedLimit && _clients.TryRemove(KeyValuePair.Create(address, known)))
            {
                lock (_gate)
                {
                    _dropping = Task.WhenAll(_dropping, known.Client.DisposeAsync().AsTask());
                }
            }
        }
    }
}

internal static class AddressText
{
    public static string MapToIPv4IfPossible(this System.Net.IPAddress address) =>
        (address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address).ToString();
}
