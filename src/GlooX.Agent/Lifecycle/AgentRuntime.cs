using System.Diagnostics;
using System.Net;
using GlooX.Addons;
using GlooX.Bundles;
using GlooX.Channels;
using GlooX.Contracts;
using GlooX.Grid;
using GlooX.Hosts;
using GlooX.Placement;
using GlooX.Processes;
using GlooX.Services;
using GlooX.Slots;
using GlooX.Trust;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX.Lifecycle;

/// <summary>
/// The composition root of an agent: makes its parts, starts them in order, and stops them in the reverse order. A constructor of a part
/// starts nothing. All members are safe for concurrent use.
/// </summary>
internal sealed class AgentRuntime
{
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(20);
    private readonly string _nodeId;
    private readonly IMachine _machine = Machine.Local(Path.GetTempPath());
    private readonly CancellationTokenSource _stop = new();
    private readonly PartSequence _parts;
    private readonly AgentOptions _options;
    private readonly RpcEndpoint _endpoint;
    private readonly string[] _peers;
    private readonly ILogger _spawning;
    private readonly Ledger _ledger;
    private readonly GridLink _link;
    private readonly ReplicationLoop _replication;
    private readonly ProcessAdoption _adoption;
    private volatile NodeState _state;
    private volatile RpcEndpoint? _listening;

    /// <param name="agent">The agent that has the parts.</param>
    /// <param name="url">Where the agent is to listen.</param>
    /// <param name="peer">A member of the grid to join; null: none.</param>
    /// <param name="options">How the agent behaves.</param>
    /// <param name="changed">Called for each change of the grid.</param>
    /// <param name="faulted">Called for each failure in the background work of an add-on.</param>
    /// <exception cref="ArgumentException">A URL is malformed, or an option is out of its range.</exception>
    public AgentRuntime(Agent agent, string url, string? peer, AgentOptions options, Action<GridChange> changed, Action<AddonFault> faulted)
    {
        _options = options = options.Spawns ? options : options with { MaxSlots = 0, WarmHosts = 0 };
        _endpoint = AgentSetup.EndpointOf(url);
        _peers = peer is null ? [] : [RpcEndpoint.Parse(peer).Dialable.ToString()];
        IEnumerable<string> names = AgentSetup.NamesOf(options, _endpoint);
        Identity = options.Identity ?? Identity.Load();
        _nodeId = AgentId.New(Identity.AsAgent().Node);
        AgentSetup.Check(options);
        AuditFile? audit = AgentSetup.AuditOf(options);
        var loggers = new AuditLoggerFactory(options.LoggerFactory ?? NullLoggerFactory.Instance, audit);
        Audit = new AuditLog(loggers.CreateLogger(AuditLog.Category));
        ILogger logger = loggers.CreateLogger("GlooX.Agent"), channels = loggers.CreateLogger("GlooX.Channels");
        _spawning = loggers.CreateLogger("GlooX.Spawning");
        _ledger = new Ledger(AgentSetup.CapacityOf(options, _machine.Read()));
        ControlGroups? groups = AgentSetup.GroupsOf(options);
        BundleStore store = AgentSetup.OpenStore(options);
        AgentState state = AgentSetup.OpenState(options, channels, store);

        // The network: the port, connections to peers, membership.
        _link = new GridLink(Identity.AsAgent(), () => Grid?.Members.Select(static m => m.Address) ?? [], TimeProvider.System);
        Server = new RpcServer(
            new RpcServerOptions { Identity = Identity, Names = [.. names], AcceptJoins = true, LoggerFactory = loggers });
        Grid = new GridMembership(new GridOptions { NodeId = _nodeId }, _link, loggers.CreateLogger("GlooX.Grid"));
        Address = new AgentAddress(Listening, () => Grid.Address);
        Status = new NodeStatusCache(Describe, () => Peers, () => Grid.Members, Service, PeerAt);
        ILogger trust = loggers.CreateLogger("GlooX.Trust");
        Certificates = new CertificateMaintenance(Identity, AgentSetup.KeyProtectionOf(options), trust);
        Revocations = new GridRevocations(
            Identity, () => Peers, at => _link.Client(at), new ProcessRevocations(Identity, () => Processes?.All ?? []).TellAsync, trust);

        // Processes.
        var bundles = new BundleProvider(store, at => _link.Client(at).As<IBundleService>(IBundleService.ServiceName), () => Peers);
        var workspace = new AgentWorkspace(_machine, _spawning);
        Hosts = new HostPool(AgentSetup.PoolOf(options), AgentSetup.LaunchingOf(options), workspace, () => LedgerStatus().Memory.FreeBytes, _spawning, TimeProvider.System);
        var events = new ProcessEvents(() => Url);
        var detached = new DetachedProcesses(state, _machine, _spawning);
        Processes = new ProcessTable(_ledger, _machine, detached, events);
        var starter = new ProcessStarter(Hosts, workspace, groups, detached, _spawning);
        var assigner = new ProcessAssigner(new ChildIdentity(Identity, options.ShareIdentity, _spawning), Address);
        OutputEcho? echo = OutputEcho.Create(options.Output, _spawning);
        var supervisor = new ProcessSupervisor(
            starter, assigner, Processes, detached, _ledger, workspace, events, Status.Changed, echo, _spawning);
        _adoption = new ProcessAdoption(detached, supervisor, Processes, _ledger, _machine, workspace, groups, store, _spawning);
        var spawner = new Spawner(
            starter, assigner, supervisor, Processes, detached, _adoption, bundles, _ledger, _machine, events, Address, _spawning);
        Placement = new SpawnCoordinator(agent, _nodeId, spawner, Processes, Hosts, bundles, Status, _spawning);
        Watch = new ProcessWatch(agent, events);

        // Channels and add-ons.
        _replication = new ReplicationLoop(
            _nodeId, () => Grid.Members, at => _link.Client(at).As<IChannelService>(IChannelService.ServiceName), state.Channels, channels);
        Hub = new ChannelHub(_replication, channels);
        Addons = new AddonRegistry(agent, Server, loggers, faulted);
        GridAddons = new GridAddons(agent, Addons, loggers.CreateLogger("GlooX.Addons"));

        Server.Add(new AgentService(agent), IAgentService.ServiceName, AgentAccess.Table);
        Server.Add(new PeerService(agent, logger), IPeerService.ServiceName, PeerService.Access);
        Server.Add(new TrustService(Revocations), ITrustService.ServiceName, TrustService.Access);
        Server.Add(new BundleService(bundles), IBundleService.ServiceName, BundleService.Access);
        Server.Add(new ChannelService(Hub, _replication, Audit), IChannelService.ServiceName, ChannelService.Access);
        Server.AddProtocol(GridLink.Protocol, AcceptGridAsync, RpcRole.Agent);
        var knownPeers = BackgroundLoop.Periodic(
            "known peers", PeerMemory.Interval, new PeerMemory(Grid, state, TimeProvider.System).SaveAsync, logger);
        Grid.Changed += (_, change) =>
        {
            knownPeers.Wake();
            Status.OnGridChange(change);
            Revocations.OnGridChange(change);
            _replication.Look();
            changed(change);
        };

        // The order: membership stops before the port, since its streams are connections of the port; processes stop first, so that callers
        // that wait for their end hear of it.
        _parts = new PartSequence(logger);
        if (audit is not null)
        {
            _parts.Add("audit log", () => audit.Start(), audit.DisposeAsync);
        }

        _parts.Add("connections to peers", stop: _link.DisposeAsync);
        _parts.Add("bundles", bundles);
        _parts.Add("workspace", workspace);
        _parts.Add("warm hosts", () => Hosts.Start(), Hosts.DisposeAsync);
        _parts.Add("folder of the agent", detached);
        _parts.Add("state file", state);
        _parts.Add("process supervisor", stop: supervisor.DisposeAsync);
        _parts.Add("port", ct => Server.StartAsync(url, ct), Server.DisposeAsync);
        _parts.Add("adoption of processes", AdoptAsync, _adoption.DisposeAsync);
        _parts.Add("membership", stop: Grid.DisposeAsync);
        _parts.Add("streams of the grid", stop: () => new ValueTask(_stop.CancelAsync()));
        _parts.Add("channels", _replication.Start, _replication.DisposeAsync);
        _parts.Add(new BackgroundLoop("status of nodes", Status.RunAsync, logger));
        _parts.Add(new BackgroundLoop("certificates", Certificates.RunAsync, logger));
        _parts.Add(new BackgroundLoop("revocations", Revocations.RunAsync, logger));
        _parts.Add(new BackgroundLoop("sweep of the workspace", workspace.SweepAsync, logger));
        if (options.DataFolder is not null || _endpoint.Port != 0)
        {
            _parts.Add(knownPeers); // an agent on any free port is not found there again
        }

        if (_peers.Length > 0)
        {
            _parts.Add(new BackgroundLoop(
                "report on joining", new JoinReport(Grid, loggers.CreateLogger(JoinReport.Category), TimeProvider.System).RunAsync, logger));
        }

        _parts.Add("join", JoinAsync);
        _parts.Add("add-ons", AttachAddonsAsync, () => new ValueTask(Addons.DetachAllAsync()));
        if (options.Spawns && !options.RequireUser)
        {
            _parts.Add(new BackgroundLoop("add-ons of the grid", GridAddons.RunAsync, logger));
        }

        _parts.Add("process events", events);
        _parts.Add("spawn coordinator", stop: Placement.DisposeAsync);
        _parts.Add("processes", stop: () => new ValueTask(supervisor.StopAsync()));
    }

    public Identity Identity { get; }

    public AuditLog Audit { get; }

    public bool RequiresUser => _options.RequireUser;

    public bool Spawns => _options.Spawns;

    public RpcServer Server { get; }

    public IMembership Grid { get; }

    public AgentAddress Address { get; }

    public NodeStatusCache Status { get; }

    public CertificateMaintenance Certificates { get; }

    public GridRevocations Revocations { get; }

    public HostPool Hosts { get; }

    public ProcessTable Processes { get; }

    public ProcessWatch Watch { get; }

    public SpawnCoordinator Placement { get; }

    public ChannelHub Hub { get; }

    public AddonRegistry Addons { get; }

    public GridAddons GridAddons { get; }

    /// <summary>Where this agent is reached.</summary>
    public string Url => Address.Url;

    /// <summary>The other members of the grid that are reachable now.</summary>
    public IReadOnlyList<string> Peers =>
        [.. Grid.Members.Where(m => m.NodeId != _nodeId && m.Reachable).Select(static m => m.Address).Order(StringComparer.Ordinal)];

    /// <summary>Starts the parts. Call <see cref="StopAsync"/> also when this throws.</summary>
    public async Task StartAsync(CancellationToken ct)
    {
        await _parts.StartAsync(ct).ConfigureAwait(false);
        Enter(NodeState.Ready);
    }

    /// <summary>Stops the parts, the ones that were never started too. Never throws.</summary>
    public async Task StopAsync()
    {
        Enter(NodeState.Draining);
        await _parts.StopAsync().ConfigureAwait(false);
        _stop.Dispose();
    }

    public NodeInfo Describe()
    {
        (LedgerStatus status, MachineStatus machine) = Measure();
        return new NodeInfo(
            Url, _nodeId, Environment.MachineName, Environment.ProcessId, machine.Cores, status.Memory.FreeBytes, status.Disk.FreeBytes,
                status.Utilization, _options.Weight, [.. Peers])
        {
            FreeResources = new(status.Resources.Free, StringComparer.Ordinal),
            FreeSlots = status.FreeSlots,
            State = _state,
        };
    }

    public LedgerStatus LedgerStatus() => Measure().Ledger;

    public IAgentService Service(string url) => _link.Client(url).As<IAgentService>(IAgentService.ServiceName);

    public IPeerService PeerAt(string url) => _link.Client(url).As<IPeerService>(IPeerService.ServiceName);

    // What processes use is measured before the machine: see Ledger.
    private (LedgerStatus Ledger, MachineStatus Machine) Measure()
    {
        Dictionary<Reservation, Usage> used = Processes.Used();
        MachineStatus machine = _machine.Read();
        return (_ledger.Status(machine, used), machine);
    }

    private void Enter(NodeState state)
    {
        _state = state;
        Status.Changed();
    }

    // The folder is named after the address: the agent that binds this address next finds it.
    private async Task AdoptAsync(CancellationToken ct)
    {
        string address = Listening().ToString();
        await _adoption.StartAsync(await AgentFolder.TryOpenAsync(address, _spawning, ct).ConfigureAwait(false)).ConfigureAwait(false);
        AgentFolder.Sweep();
    }

    private async Task AttachAddonsAsync(CancellationToken ct)
    {
        foreach (AddonSpec addon in _options.Addons)
        {
            await Addons.AttachAsync(addon.Name, addon.Source, addon.Options, ct).ConfigureAwait(false);
        }
    }

    private async Task JoinAsync(CancellationToken ct)
    {
        RpcEndpoint? advertised = _options.AdvertisedUrl is { } known ? RpcEndpoint.Parse(known) : _endpoint.IsAny ? null : Listening();
        Grid.Listen(Listening().Port, advertised?.ToString());
        Grid.Start(_peers);
        if (_peers.Length == 0 || !_options.RequirePeer)
        {
            return; // the membership goes on trying
        }

        // A busy peer may answer so late that the engine has formed a grid of this agent alone: the two merge as soon as the peer answers.
        // Only where no process listens there is nothing to wait for.
        long start = Stopwatch.GetTimestamp();
        while (Grid.State != GridState.Up || Grid.Members.Count < 2)
        {
            IReadOnlyList<PeerState> states = Grid.PeerStates;
            if (states.All(static s => s.IsSelf))
            {
                return;
            }

            bool formedAlone = Grid.State == GridState.Up;
            TimeSpan waited = Stopwatch.GetElapsedTime(start);
            if (waited >= _options.JoinTimeout || (formedAlone && states.All(static s => s.Refused || s.IsSelf)))
            {
                throw new PeerUnreachableException(Server.Url, _peers, $"{string.Join("; ", states)}, after {waited.TotalSeconds:0.#} s");
            }

            await Task.Delay(s_look, ct).ConfigureAwait(false);
        }

        // An agent that has started has the channels of the grid that it has joined.
        await _replication.SyncedAsync(_options.JoinTimeout, ct).ConfigureAwait(false);
    }

    // After the port is bound.
    private RpcEndpoint Listening() => _listening ??= _endpoint.WithPort(RpcEndpoint.Parse(Server.Url).Port);

    private Task AcceptGridAsync(Stream stream, RpcPeer peer) => Grid.AcceptAsync(
        stream, new GridCaller(IPEndPoint.TryParse(peer.Address, out IPEndPoint? remote) ? remote : null, peer.IsMadeFor), _stop.Token);
}
