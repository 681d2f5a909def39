using System.Collections.ObjectModel;
using GlooX.Addons;
using GlooX.Channels;
using GlooX.Contracts;
using GlooX.Grid;
using GlooX.Lifecycle;
using GlooX.Placement;
using GlooX.Processes;
using GlooX.Services;
using GlooX.Slots;
using GlooX.Trust;

namespace GlooX;

/// <summary>
/// A server process on a machine: one URL, one port. It answers calls over mutual TLS and is a member of a grid of agents.
/// <see cref="AddService"/> adds methods of the application's own. All members are safe for concurrent use.
/// </summary>
/// <remarks>
/// When a peer dies or is cut off, the agent goes on; see <see cref="Changed"/>. When this agent ends, the others drop it.
/// </remarks>
public sealed class Agent : IAsyncDisposable
{
    private readonly AgentRuntime _parts;
    private int _disposed;

    private Agent(string url, string? peer, AgentOptions options) => _parts = new AgentRuntime(
        this, url, peer, options, change => Changed?.Invoke(this, change), fault => AddonFaulted?.Invoke(this, fault));

    /// <summary>Raised, outside locks and in order, when another node joined, became unreachable, came back or was removed.</summary>
    public event EventHandler<GridChange>? Changed;

    /// <summary>Raised when background work of an add-on has failed; see <see cref="AddonContext.Run"/>.</summary>
    public event EventHandler<AddonFault>? AddonFaulted;

    /// <summary>Where this agent is reached, as <c>host:port</c>.</summary>
    public string Url => _parts.Url;

    /// <summary>The other members of the grid that are reachable now, as <c>host:port</c>.</summary>
    public ReadOnlyCollection<string> Peers => new([.. _parts.Peers]);

    /// <summary>The names of the add-ons that are attached.</summary>
    public IReadOnlyList<string> Addons => _parts.Addons.Names;

    /// <summary>The names of all channels of the grid, as far as this agent has heard; <c>channel</c> is always among them.</summary>
    public IReadOnlyList<string> Channels => Hub.Names();

    /// <summary>How many hosts are warm now.</summary>
    internal int WarmHosts => _parts.Hosts.Count;

    /// <summary>How many of them have a payload loaded.</summary>
    internal int PreparedHosts => _parts.Hosts.PreparedCount;

    /// <summary>Whether this agent of root runs no code of others as root; see <see cref="AgentOptions.RequireUser"/>.</summary>
    internal bool RequiresUser => _parts.RequiresUser;

    /// <summary>Records who did what.</summary>
    internal AuditLog Audit => _parts.Audit;

    internal ProcessTable Processes => _parts.Processes;

    internal ProcessWatch Watch => _parts.Watch;

    internal SpawnCoordinator Placement => _parts.Placement;

    internal NodeStatusCache Status => _parts.Status;

    /// <summary>Whether the agent runs what others send: processes, and add-ons.</summary>
    internal bool Spawns => _parts.Spawns;

    internal GridRevocations Revocations => _parts.Revocations;

    internal AgentAddress Address => _parts.Address;

    internal ChannelHub Hub => _parts.Hub;

    internal IMembership Grid => _parts.Grid;

    /// <summary>Starts an agent, and joins it to the grid of <paramref name="peer"/>.</summary>
    /// <param name="url">Where to listen: <c>host:port</c>; 0.0.0.0 means all addresses, a port alone 127.0.0.1, port 0 any that is free.</param>
    /// <param name="peer">Any member of the grid to join; null: the agent starts a grid of its own, which others may join.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="ct">Cancels the operation; nothing is left behind.</param>
    /// <returns>The agent, a member of the grid.</returns>
    /// <exception cref="ArgumentException">A URL is malformed, or an option is out of its range.</exception>
    /// <exception cref="RpcException">The port is in use, or the address is not this machine's.</exception>
    /// <exception cref="IdentityException">The certificates cannot be used.</exception>
    /// <exception cref="PeerUnreachableException">Nothing listens at the address of the peer, or the agent did not join its grid within
    /// <see cref="AgentOptions.JoinTimeout"/>.</exception>
    public static async Task<Agent> StartAsync(
        string url, string? peer = null, AgentOptions? options = null, CancellationToken ct = default)
    {
        var agent = new Agent(url, peer, options ?? new AgentOptions());
        try
        {
            await agent._parts.StartAsync(ct).ConfigureAwait(false);
            return agent;
        }
        catch
        {
            await agent.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Asks every reachable peer to describe itself, and adds this agent.</summary>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>One entry for each node that answered, by URL; a node that does not answer is left out.</returns>
    public async Task<IReadOnlyList<NodeInfo>> PeersWithInfoAsync(CancellationToken ct = default)
    {
        NodeInfo?[] answers = await Task.WhenAll(Peers.Select(async address =>
        {
            try
            {
                return await Service(address).InfoAsync(ct).ConfigureAwait(false);
            }
            catch (RpcException)
            {
                return null; // it went away between the look and the call
            }
        })).ConfigureAwait(false);
        return [.. answers.OfType<NodeInfo>().Append(Describe()).OrderBy(n => n.Url, StringComparer.Ordinal)];
    }

    /// <summary>Attaches an add-on: a named service that clients of this node can call from now on.</summary>
    /// <param name="name">1 to 100 letters, digits, dots, dashes and underscores.</param>
    /// <param name="handler">
    /// Called for each call, from many threads at once. Its parameters are the call's arguments; one of type <see cref="AddonContext"/> or
    /// <see cref="CancellationToken"/> is given. It may return a value, a task or a stream.
    /// </param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>Completes when it can be called.</returns>
    /// <exception cref="AddonException">The name is taken or malformed.</exception>
    /// <exception cref="ArgumentException">A parameter cannot travel.</exception>
    /// <example><code>await agent.AttachAddonAsync("poll", (string text) => $"polled: {text}");</code></example>
    public Task AttachAddonAsync(string name, Delegate handler, AddonOptions? options = null, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return _parts.Addons.AttachAsync(name, handler, options, ct);
    }

    /// <summary>
    /// Attaches an object as an add-on: all methods of its class with <see cref="RpcAttribute"/> and of its contracts can be called.
    /// </summary>
    /// <param name="name">1 to 100 letters, digits, dots, dashes and underscores.</param>
    /// <param name="service">The object; see <see cref="IAddon"/>. It is not disposed when it is detached.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>Completes when it can be called.</returns>
    /// <exception cref="AddonException">The name is taken or malformed, or the add-on's start failed.</exception>
    /// <exception cref="ArgumentException">Nothing of the object can be called.</exception>
    public Task AttachAddonAsync(string name, object service, AddonOptions? options = null, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(service);
        return service is AddonSource source ? AttachAddonAsync(name, source, options, ct)
            : _parts.Addons.AttachAsync(name, service, options, ct);
    }

    /// <summary>Loads an add-on from a file, in a context of its own, which is unloaded when it is detached.</summary>
    /// <param name="name">1 to 100 letters, digits, dots, dashes and underscores.</param>
    /// <param name="source">Where its code lies.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>Completes when it can be called.</returns>
    /// <exception cref="AddonException">It cannot be attached; nothing was changed.</exception>
    public Task AttachAddonAsync(string name, AddonSource source, AddonOptions? options = null, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        return _parts.Addons.AttachAsync(name, source, options, ct);
    }

    /// <summary>Attaches an add-on to all nodes of the grid, those that join later too: its code travels with it.</summary>
    /// <param name="name">1 to 100 letters, digits, dots, dashes and underscores.</param>
    /// <param name="source">Where its code lies here; the assembly and those beside it may take 6 MiB packed.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="ct">Cancels the wait.</param>
    /// <returns>Completes when all reachable nodes have it.</returns>
    /// <exception cref="AddonException">It cannot be attached here (then it is nowhere), or a node does not have it after a
    /// minute.</exception>
    /// <exception cref="ChannelException">A reachable node does not answer.</exception>
    public Task AttachAddonEverywhereAsync(string name, AddonSource source, AddonOptions? options = null, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        return _parts.GridAddons.AttachAsync(name, source, options, ct);
    }

    /// <summary>Detaches an add-on that was attached to all nodes.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="ct">Cancels the wait.</param>
    /// <returns>Completes when no reachable node has it any more.</returns>
    /// <exception cref="AddonException">None of that name was attached to all nodes, or a node still has it after a minute.</exception>
    public Task DetachAddonEverywhereAsync(string name, CancellationToken ct = default) => _parts.GridAddons.DetachAsync(name, ct);

    /// <summary>Detaches an add-on: calls in flight go on, later ones fail, its background work is cancelled.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>Completes when it has ended.</returns>
    /// <exception cref="AddonException">There is no add-on of that name.</exception>
    public Task DetachAddonAsync(string name) => _parts.Addons.DetachAsync(name);

    /// <summary>Creates a channel in the whole grid; does nothing if it exists.</summary>
    /// <param name="name">Its name: 1 to 1,024 bytes of UTF-8.</param>
    /// <param name="options">Fixed for good. Null: the defaults, or the options that the channel has if it exists.</param>
    /// <param name="ct">Cancels the wait; it may exist all the same.</param>
    /// <returns>The channel, once all reachable nodes have it.</returns>
    /// <exception cref="ChannelException">It exists with other options, or a reachable node has not confirmed it within 5 s.</exception>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public async Task<IChannel<object?>> CreateChannelAsync(string name, ChannelOptions? options = null, CancellationToken ct = default)
    {
        await Hub.CreateAsync(name, options, ct).ConfigureAwait(false);
        return Channel(name);
    }

    /// <summary>Removes a channel in the whole grid, with all that is in it.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="ct">Cancels the wait; it is removed all the same.</param>
    /// <returns>Once all reachable nodes have removed it. False: there was none.</returns>
    /// <exception cref="ChannelException">It is the built-in one, or a reachable node has not confirmed within 5 s.</exception>
    public Task<bool> RemoveChannelAsync(string name, CancellationToken ct = default) => Hub.RemoveAsync(name, ct);

    /// <summary>A channel by its name; <c>channel</c> is always there.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>The channel, with values of any type.</returns>
    /// <exception cref="ChannelException">There is no channel of that name.</exception>
    public IChannel<object?> Channel(string name) => Channel<object?>(name);

    /// <summary>A channel by its name, with values of one type.</summary>
    /// <typeparam name="T">The type.</typeparam>
    /// <param name="name">Its name.</param>
    /// <returns>The channel.</returns>
    /// <exception cref="ChannelException">There is no channel of that name.</exception>
    public IChannel<T> Channel<T>(string name)
    {
        _ = Hub.Spec(name);
        return new LocalChannel<T>(Hub, name);
    }

    /// <summary>
    /// The channels as members, for scripts: with <c>dynamic n1 = agent.AsDynamic()</c>, <c>n1.my_nodes.a1 = 99</c> sets and
    /// <c>n1.my_nodes.a1</c> gets; <c>n1.my_nodes["any key"]</c> too, and the methods <c>set, get, delete, add, on_set, on_delete</c>.
    /// Setting blocks while nodes lag behind.
    /// </summary>
    /// <returns>A dynamic view of the channels.</returns>
    [System.Diagnostics.CodeAnalysis.RequiresDynamicCode("dynamic needs code at run time")]
    public dynamic AsDynamic() => new DynamicChannels(this);

    /// <summary>Leaves the grid and stops; calls in flight may finish for two seconds.</summary>
    /// <returns>Completes when the port is closed.</returns>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            await _parts.StopAsync().ConfigureAwait(false);
        }
    }

    /// <summary>
    /// How many processes of a kind this agent has room for; see <see cref="GlooXClient.SlotsAsync(Provision, CancellationToken)"/> for
    /// others.
    /// </summary>
    /// <param name="provision">What one of them needs.</param>
    /// <returns>The numbers at this moment; they promise nothing.</returns>
    public SlotCount Slots(Provision provision) => _parts.LedgerStatus().Count(provision);

    /// <summary>
    /// Serves an object beside the agent's own services: the methods of its class with <see cref="RpcAttribute"/> and of its contracts.
    /// </summary>
    /// <param name="service">The object. It is not disposed.</param>
    /// <param name="name">The name by which clients call the service, as in <c>client.As&lt;T&gt;(name)</c>. Empty (default): the agent's
    /// nameless service.</param>
    /// <exception cref="ArgumentException">No method of the object can be called, or the name is taken.</exception>
    public void AddService(object service, string name = "") => _parts.Server.Add(service, name);

    internal GlooXClient ConnectTo(string url) => new GlooXClient(url, new RpcClientOptions { Identity = _parts.Identity });

    internal NodeInfo Describe() => _parts.Describe();

    internal IAgentService Service(string url) => _parts.Service(url);

    internal IPeerService PeerAt(string url) => _parts.PeerAt(url);
}
