using System.Collections.ObjectModel;
using System.Diagnostics;
using GlooX.Addons;
using GlooX.Bundles;
using GlooX.Channels;
using GlooX.Channels.Storage;
using GlooX.Contracts;
using GlooX.Grid;
using GlooX.Hosts;
using GlooX.Lifecycle;
using GlooX.Placement;
using GlooX.Processes;
using GlooX.Services;
using GlooX.Slots;
using GlooX.Trust;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX;

/// <summary>
/// A server process on a machine: one URL, one port. It answers calls over mutual TLS and is a member of a grid of agents.
/// <see cref="AddService"/> adds methods of the application's own. All members are safe for concurrent use.
/// </summary>
/// <remarks>When a peer dies or is cut off, the agent goes on; see <see cref="Changed"/>. When this agent ends, the others drop it.</remarks>
public sealed class Agent : IAsyncDisposable
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(20);
    private readonly string _nodeId = Guid.NewGuid().ToString("N")[..12];
    private readonly CancellationTokenSource _stop = new();
    private readonly IMachine _machine = Machine.Local(Path.GetTempPath());
    private RpcServer _server = null!;
    private GridLink _link = null!;
    private IMembership? _grid;
    private Ledger? _ledger;
    private Spawner? _spawner;
    private ProcessEvents? _events;
    private ProcessWatch? _watch;
    private HostPool? _hosts;
    private AgentWorkspace? _workspace;
    private BundleProvider? _bundles;
    private SpawnCoordinator? _placement;
    private NodeStatusCache? _board;
    private CertificateMaintenance? _upkeep;
    private AddonRegistry? _addons;
    private GridAddons? _spread;
    private ChannelHub? _channels;
    private ReplicationLoop? _replication;
    private readonly List<BackgroundLoop> _loops = [];
    private ILogger _logger = NullLogger.Instance;
    private Task _sweeping = Task.CompletedTask;
    private StateFile? _stateFile;
    private double _weight = 1;
    private volatile NodeState _state;
    private Identity _identity = null!;
    private int _disposed;

    private Agent()
    {
    }

    /// <summary>Raised, outside locks and in order, when another node joined, became unreachable, came back or was removed.</summary>
    public event EventHandler<GridChange>? Changed;

    /// <summary>Raised when background work of an add-on has failed; see <see cref="AddonContext.Run"/>.</summary>
    public event EventHandler<AddonFault>? AddonFaulted;

    /// <summary>Where this agent is reached, as <c>host:port</c>.</summary>
    public string Url => _grid?.Address ?? _server.Url;

    /// <summary>The other members of the grid that are reachable now, as <c>host:port</c>.</summary>
    public ReadOnlyCollection<string> Peers =>
        new([.. Grid.Members.Where(m => m.NodeId != _nodeId && m.Reachable).Select(m => m.Address).Order(StringComparer.Ordinal)]);

    /// <summary>The names of the add-ons that are attached.</summary>
    public IReadOnlyList<string> Addons => Desk.Names;

    /// <summary>The names of all channels of the grid, as far as this agent has heard; <c>channel</c> is always among them.</summary>
    public IReadOnlyList<string> Channels => Hub.Names();

    /// <summary>How many hosts are warm now.</summary>
    internal int WarmHosts => _hosts?.Count ?? 0;

    /// <summary>How many of them have a payload loaded.</summary>
    internal int PreparedHosts => _hosts?.PreparedCount ?? 0;

    internal Spawner Spawner => _spawner ?? throw new InvalidOperationException("the agent is not started: it spawns nothing");

    internal ProcessWatch Watch => _watch ?? throw new InvalidOperationException("the agent is not started: it spawns nothing");

    internal SpawnCoordinator Placement => _placement ?? throw new InvalidOperationException("the agent is not started: it spawns nothing");

    internal NodeStatusCache Board => _board ?? throw new InvalidOperationException("the agent is not started: it hears of no nodes");

    private AddonRegistry Desk => _addons ?? throw new InvalidOperationException("the agent is not started: use Agent.StartAsync");

    private GridAddons Spread => _spread ?? throw new InvalidOperationException("the agent is not started: attach its add-ons to it alone");

    internal CertificateMaintenance CertificateMaintenance => _upkeep ?? throw new InvalidOperationException("the agent is not started: it revokes nothing");

    internal ChannelHub Hub => _channels ?? throw new InvalidOperationException("the agent is not started: it has no channels; ask its parent for them");

    internal IMembership Grid => _grid ?? throw new InvalidOperationException("the agent is not started: use Agent.StartAsync");

    /// <summary>Starts an agent, and joins it to the grid of <paramref name="peer"/>.</summary>
    /// <param name="url">Where to listen: <c>host:port</c>; 0.0.0.0 means all addresses, a port alone 127.0.0.1, port 0 any that is free.</param>
    /// <param name="peer">Any member of the grid to join; null: the agent starts a grid of its own, which others may join.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="ct">Cancels the operation; nothing is left behind.</param>
    /// <returns>The agent, a member of the grid.</returns>
    /// <exception cref="ArgumentException">A URL is malformed, or an option is out of its range.</exception>
    /// <exception cref="RpcException">The port is in use, or the address is not this machine's.</exception>
    /// <exception cref="IdentityException">The certificates cannot be used.</exception>
    /// <exception cref="PeerUnreachableException">Nothing listens at the address of the peer, or the agent did not join its grid within <see cref="AgentOptions.JoinTimeout"/>.</exception>
    public static async Task<Agent> StartAsync(string url, string? peer = null, AgentOptions? options = null, CancellationToken ct = default)
    {
        var agent = new Agent();
        try
        {
            await agent.RunAsync(url, peer, options ?? new AgentOptions(), ct).ConfigureAwait(false);
            agent._state = NodeState.Ready;
            agent._board!.Changed();
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
        return Desk.AttachAsync(name, handler, options, ct);
    }

    /// <summary>Attaches an object as an add-on: all methods of its class with <see cref="RpcAttribute"/> and of its contracts can be called.</summary>
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
        return service is AddonSource source ? AttachAddonAsync(name, source, options, ct) : Desk.AttachAsync(name, service, options, ct);
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
        return Desk.AttachAsync(name, source, options, ct);
    }

    /// <summary>Attaches an add-on to all nodes of the grid, those that join later too: its code travels with it.</summary>
    /// <param name="name">1 to 100 letters, digits, dots, dashes and underscores.</param>
    /// <param name="source">Where its code lies here; the assembly and those beside it may take 6 MiB packed.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="ct">Cancels the wait.</param>
    /// <returns>Completes when all reachable nodes have it.</returns>
    /// <exception cref="AddonException">It cannot be attached here (then it is nowhere), or a node does not have it after a minute.</exception>
    /// <exception cref="ChannelException">A reachable node does not answer.</exception>
    public Task AttachAddonEverywhereAsync(string name, AddonSource source, AddonOptions? options = null, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        return Spread.AttachAsync(name, source, options, ct);
    }

    /// <summary>Detaches an add-on that was attached to all nodes.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="ct">Cancels the wait.</param>
    /// <returns>Completes when no reachable node has it any more.</returns>
    /// <exception cref="AddonException">None of that name was attached to all nodes, or a node still has it after a minute.</exception>
    public Task DetachAddonEverywhereAsync(string name, CancellationToken ct = default) => Spread.DetachAsync(name, ct);

    /// <summary>Detaches an add-on: calls in flight go on, later ones fail, its background work is cancelled.</summary>
    /// <param name="name">Its name.</param>
    /// <returns>Completes when it has ended.</returns>
    /// <exception cref="AddonException">There is none of that name.</exception>
    public Task DetachAddonAsync(string name) => Desk.DetachAsync(name);

    /// <summary>Creates a channel in the whole grid; does nothing if it exists.</summary>
    /// <param name="name">Its name: 1 to 1,024 bytes of UTF-8.</param>
    /// <param name="options">Fixed for good. Null: the defaults, or whatever it has if it exists.</param>
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
    /// The channels as members, for scripts: with <c>dynamic n1 = agent.AsDynamic()</c>, <c>n1.my_nodes.a1 = 99</c> sets and <c>n1.my_nodes.a1</c>
    /// gets; <c>n1.my_nodes["any key"]</c> too, and the methods <c>set, get, delete, add, on_set, on_delete</c>. Setting blocks while nodes lag behind.
    /// </summary>
    /// <returns>A dynamic view of the channels.</returns>
    [System.Diagnostics.CodeAnalysis.RequiresDynamicCode("dynamic needs code at run time")]
    public dynamic AsDynamic() => new DynamicChannels(this);

    /// <summary>Leaves the grid and stops; calls in flight may finish for two seconds.</summary>
    /// <returns>Completes when the port is closed.</returns>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
        {
            return;
        }

        _state = NodeState.Draining;
        _board?.Changed();

        // Processes first, so that those who wait for their end hear of it. The grid before the port, since its streams are connections of the port.
        // Then the processes of spawns that were under way.
        var sequence = new StopSequence(_logger);
        await sequence.StopAsync("processes", _spawner is null ? null : _spawner.StopAsync).ConfigureAwait(false);
        await sequence.StopAsync("spawn coordinator", _placement).ConfigureAwait(false);
        _events?.Close();
        await sequence.StopAsync("add-ons", _addons is null ? null : _addons.DetachAllAsync).ConfigureAwait(false);
        await sequence.StopAsync("background work", StopLoopsAsync).ConfigureAwait(false);
        await sequence.StopAsync("channels", _replication).ConfigureAwait(false);
        await sequence.StopAsync("state file", Sync(_stateFile)).ConfigureAwait(false);
        await sequence.StopAsync("membership", _grid).ConfigureAwait(false);
        await sequence.StopAsync("port", _server).ConfigureAwait(false);
        await sequence.StopAsync("process table", _spawner).ConfigureAwait(false);
        await sequence.StopAsync("warm hosts", _hosts).ConfigureAwait(false);
        await sequence.StopAsync("workspace", Sync(_workspace)).ConfigureAwait(false);
        await sequence.StopAsync("bundles", Sync(_bundles)).ConfigureAwait(false);
        await sequence.StopAsync("connections to peers", _link).ConfigureAwait(false);
        _stop.Dispose();
    }

    private static Func<ValueTask>? Sync(IDisposable? part) => part is null ? null : () =>
    {
        part.Dispose();
        return default;
    };

    private async Task StopLoopsAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(_loops.Select(static l => l.StopAsync()).Append<Task>(_sweeping)).ConfigureAwait(false);
    }

    private void RunLoop(string name, Func<CancellationToken, Task> body) => _loops.Add(new BackgroundLoop(name, body, _logger).Start());

    /// <summary>How many processes of a kind this agent has room for; see <see cref="GlooXClient.SlotsAsync(Provision, CancellationToken)"/> for others.</summary>
    /// <param name="provision">What one of them needs.</param>
    /// <returns>The numbers at this moment; they promise nothing.</returns>
    public SlotCount Slots(Provision provision)
    {
        Dictionary<Reservation, Usage> used = Spawner.Used();
        return LedgerOf(_machine.Read(), used).Count(provision);
    }

    /// <summary>Serves an object beside the agent's own services: the methods of its class with <see cref="RpcAttribute"/> and of its contracts.</summary>
    /// <param name="service">The object. It is not disposed.</param>
    /// <param name="name">The name by which clients call the service, as in <c>client.As&lt;T&gt;(name)</c>. Empty (default): the agent's nameless service.</param>
    /// <exception cref="ArgumentException">No method of the object can be called, or the name is taken.</exception>
    public void AddService(object service, string name = "") => _server.Add(service, name);

    internal GlooXClient ConnectTo(string url) => new GlooXClient(url, new RpcClientOptions { Identity = _identity });

    internal NodeInfo Describe()
    {
        Dictionary<Reservation, Usage> used = _spawner?.Used() ?? [];
        MachineStatus machine = _machine.Read();
        LedgerStatus status = LedgerOf(machine, used);
        return new NodeInfo(
            Url, _nodeId, Environment.MachineName, Environment.ProcessId, machine.Cores, status.Memory.FreeBytes, status.Disk.FreeBytes, status.Utilization, _weight, [.. Peers])
        {
            FreeResources = new(status.Resources.Free, StringComparer.Ordinal),
            FreeSlots = status.FreeSlots,
            State = _state,
        };
    }

    private long FreeMemory() => LedgerOf(_machine.Read(), _spawner?.Used() ?? []).Memory.FreeBytes;

    // A spawned process hands out nothing, so its start does without; asked, it speaks of its machine.
    private LedgerStatus LedgerOf(MachineStatus machine, Dictionary<Reservation, Usage> used) =>
        (_ledger ?? new Ledger(new Capacity(machine.TotalMemoryBytes, machine.TotalDiskBytes))).Status(machine, used);

    private async Task RunAsync(string url, string? peer, AgentOptions options, CancellationToken ct)
    {
        RpcEndpoint endpoint = RpcEndpoint.Parse(url);
        if (endpoint.Path is not null)
        {
            throw new ArgumentException($"an agent cannot listen on '{url}', for its grid is reached over the network: give host:port", nameof(url));
        }

        string[] peers = peer is null ? [] : [RpcEndpoint.Parse(peer).Dialable.ToString()];
        IEnumerable<string> names = ((RpcEndpoint?[])[endpoint, options.AdvertisedUrl is { } known ? RpcEndpoint.Parse(known) : null])
            .OfType<RpcEndpoint>().Where(e => !e.IsAny).Select(e => e.Host).Concat(options.Names);
        Identity identity = options.Identity ?? Identity.Load();
        AgentSetup.Check(options);
        _logger = (options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger("GlooX.Agent");
        _ledger = new Ledger(AgentSetup.CapacityOf(options, _machine.Read()));
        _identity = identity;
        _weight = options.Weight;
        _board = new NodeStatusCache(Describe, () => Peers, Service, PeerAt);
        _upkeep = new CertificateMaintenance(identity, () => Peers, Service, (options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger("GlooX.Trust"));
        ILogger spawning = (options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger("GlooX.Spawning");
        ControlGroups? groups = AgentSetup.GroupsOf(options);
        _workspace = new AgentWorkspace(_machine, spawning);
        _hosts = new HostPool(new PoolRule(options.WarmHosts, options.MaxWarmHosts), new LaunchRule(options.Launcher, options.PassEnvironment, options.AllowedUsers), _workspace, FreeMemory, spawning, TimeProvider.System);
        _events = new ProcessEvents(() => Url);
        _watch = new ProcessWatch(this, _events);
        _spawner = new Spawner(new ProcessStarter(new ChildIdentity(identity, spawning), _hosts, _workspace, groups, spawning), _ledger, _machine, _workspace, groups, id => _bundles?.Store.TryLease(id), _events, _board.Changed, OutputEcho.Create(options.Output, spawning), spawning);
        _bundles = new BundleProvider(AgentSetup.OpenStore(options), url => _link.Client(url).As<IBundleService>(IBundleService.ServiceName), () => Peers);
        _placement = new SpawnCoordinator(this, _nodeId, _spawner, _hosts, _bundles, _board, spawning);
        ILogger logger = (options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger("GlooX.Grid");
        _link = new GridLink(identity.AsAgent(), () => _grid?.Members.Select(static m => m.Address) ?? [], TimeProvider.System);
        _server = new RpcServer(new RpcServerOptions { Identity = identity, Names = [.. names], AcceptJoins = true, LoggerFactory = options.LoggerFactory });
        _server.Add(new AgentService(this), IAgentService.ServiceName, AgentAccess.Table);
        _server.Add(new PeerService(this), IPeerService.ServiceName, PeerService.Access);
        _server.Add(new BundleService(_bundles), IBundleService.ServiceName, BundleService.Access);
        _addons = new AddonRegistry(this, _server, options.LoggerFactory ?? NullLoggerFactory.Instance, fault => AddonFaulted?.Invoke(this, fault));
        _spread = new GridAddons(this, _addons, (options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger("GlooX.Addons"));
        ILogger channelLogger = (options.LoggerFactory ?? NullLoggerFactory.Instance).CreateLogger("GlooX.Channels");
        _stateFile = options.DataFolder is null ? null : AgentState.Open(options.DataFolder, channelLogger);
        _replication = new ReplicationLoop(
            _nodeId, () => _grid?.Members ?? [], url => _link.Client(url).As<IChannelService>(IChannelService.ServiceName), _stateFile, channelLogger);
        _channels = new ChannelHub(_replication, channelLogger);
        _server.Add(new ChannelService(_channels, _replication), IChannelService.ServiceName, ChannelService.Access);

        // The port is bound before the engine exists, since the engine's name holds the port; a caller in between is told to come again.
        _server.AddProtocol(GridLink.Protocol, AcceptGridAsync, RpcRole.Agent);
        await _server.StartAsync(url, ct).ConfigureAwait(false);
        int port = RpcEndpoint.Parse(_server.Url).Port;
        await _spawner.TakeOverAsync(await DetachedProcessStore.TryOpenAsync(endpoint.WithPort(port).ToString(), spawning, ct).ConfigureAwait(false)).ConfigureAwait(false); // whoever binds this address again finds them
        DetachedProcessStore.Sweep();
        IMembership grid = new GridMembership(
            new GridOptions
            {
                NodeId = _nodeId,
                Port = port,
                AdvertisedAddress = options.AdvertisedUrl is { } advertised ? RpcEndpoint.Parse(advertised).ToString()
                    : endpoint.IsAny ? null
                    : endpoint.WithPort(port).ToString(),
            },
            _link,
            logger);
        grid.Changed += (_, change) =>
        {
            _board.OnGridChange(change);
            _upkeep.OnGridChange(change);
            _replication.Look();
            Changed?.Invoke(this, change);
        };
        _grid = grid;
        RunLoop("status of nodes", _board.RunAsync);
        RunLoop("certificates", _upkeep.RunAsync);
        _sweeping = Task.Run(() => _workspace.SweepAsync(_stop.Token), CancellationToken.None);
        _replication.Start();
        grid.Start(peers);
        if (peers.Length > 0)
        {
            await JoinAsync(grid, peers, options, ct).ConfigureAwait(false);
        }

        RunLoop("add-ons of the grid", _spread.RunAsync);
        foreach (AddonSpec addon in options.Addons)
        {
            await _addons.AttachAsync(addon.Name, addon.Source, addon.Options, ct).ConfigureAwait(false);
        }
    }

    internal IAgentService Service(string url) => _link.Client(url).As<IAgentService>(IAgentService.ServiceName);

    internal IPeerService PeerAt(string url) => _link.Client(url).As<IPeerService>(IPeerService.ServiceName);

    private async Task JoinAsync(IMembership grid, string[] peers, AgentOptions options, CancellationToken ct)
    {
        if (!options.RequirePeer)
        {
            return; // the grid's engine goes on trying
        }

        // A busy peer may answer so late that the engine has formed a grid of this agent alone: the two merge as soon as it does. Only where
        // nobody listens there is nothing to wait for.
        long start = Stopwatch.GetTimestamp();
        while (grid.State != GridState.Up || grid.Members.Count < 2)
        {
            IReadOnlyList<PeerState> states = grid.PeerStates;
            if (states.All(s => s.IsSelf))
            {
                return;
            }

            bool formedAlone = grid.State == GridState.Up;
            TimeSpan waited = Stopwatch.GetElapsedTime(start);
            if (waited >= options.JoinTimeout || (formedAlone && states.All(s => s.Refused || s.IsSelf)))
            {
                throw new PeerUnreachableException(_server.Url, peers, $"{string.Join("; ", states)}, after {waited.TotalSeconds:0.#} s");
            }

            await Task.Delay(s_look, ct).ConfigureAwait(false);
        }

        // Whoever gets the agent finds in it the channels of the grid that it has joined.
        await _replication!.SyncedAsync(options.JoinTimeout, ct).ConfigureAwait(false);
    }

    private async Task AcceptGridAsync(Stream stream, RpcPeer peer)
    {
        if (_grid is { } grid)
        {
            await grid.AcceptAsync(stream, System.Net.IPEndPoint.TryParse(peer.Address, out System.Net.IPEndPoint? remote) ? remote : null, _stop.Token).ConfigureAwait(false);
        }
    }
}
