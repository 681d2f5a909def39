using System.Net;
using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>
/// Membership on Akka.NET Cluster, without a store or a leader outside of the agents.
/// <list type="bullet">
/// <item>An agent without peers runs no engine until it learns of a peer or another agent asks.</item>
/// <item>A member whose process has ended (its port refuses) is removed in about a second, by any survivor, even a single one.</item>
/// <item>A member that does not respond is shown as unreachable and becomes reachable again by itself.</item>
/// <item>Grids that were cut apart, or that never knew each other, merge when they meet.</item>
/// </list>
/// The engine may restart at any time; it holds no state that would be missed, and <see cref="Members"/> bridges the restart.
/// </summary>
internal sealed class GridMembership : IMembership
{
    private static readonly TimeSpan PrefaceTimeout = TimeSpan.FromSeconds(5);

    private readonly GridOptions _options;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly LocalNode _local;
    private readonly KnownPeers _peers;
    private readonly Prober _prober;
    private readonly MemberFeed _feed;
    private readonly MembershipLoop _membership;
    private readonly Lock _gate = new();
    private BackgroundLoop? _loop;
    private bool _isLeaving;
    private bool _disposed;

    /// <param name="options">Timeouts and addresses.</param>
    /// <param name="transport">Carries probes and streams.</param>
    /// <param name="logger">Changes are logged at Information, broken links and the engine's own messages at Debug.</param>
    /// <param name="time">Clock of all waits but the engine's own; the machine's when null.</param>
    public GridMembership(GridOptions options, IGridTransport transport, ILogger logger, TimeProvider? time = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(options.Port, nameof(options));
        _options = options;
        _logger = logger;
        _time = time ?? TimeProvider.System;
        _local = new LocalNode(options);
        _peers = new KnownPeers(options.MergeInterval, options.RememberPeersFor, _time);
        _prober = new Prober(transport, _local, _peers, options.ProbeTimeout, _time);
        _feed = new MemberFeed(_local, _prober, options, change => Changed?.Invoke(this, change), _time, logger);
        _membership = new MembershipLoop(options, transport, _local, _peers, _prober, _feed, _time, logger);
    }

    /// <inheritdoc/>
    public event EventHandler<GridChange>? Changed;

    /// <inheritdoc/>
    public string? Address => _local.Address;

    /// <inheritdoc/>
    public GridState State => _local.State;

    /// <inheritdoc/>
    public IReadOnlyList<GridMember> Members => _feed.Members;

    /// <inheritdoc/>
    public IReadOnlyList<PeerState> PeerStates => _peers.Configured;

    /// <inheritdoc/>
    public IReadOnlyList<string> PeerAddresses => _peers.Known;

    /// <inheritdoc/>
    public void SetAdvertisedAddress(string address)
    {
        if (!_local.Adopt(HostPort.Parse(address).ToString()))
        {
            throw new InvalidOperationException($"This agent's address is {_local.Address} already; it cannot become {address}.");
        }
    }

    /// <inheritdoc/>
    public void Listen(int port, string? address)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(port);
        _local.Port = port;
        if (address is not null)
        {
            SetAdvertisedAddress(address);
        }
    }

    /// <inheritdoc/>
    public void Start(IEnumerable<string> peers)
    {
        if (_local.Port == 0)
        {
            throw new InvalidOperationException("The membership does not know this agent's port: call Listen first.");
        }

        string[] addresses = [.. peers.Select(p => HostPort.Parse(p).ToString())];
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_loop is not null)
            {
                throw new InvalidOperationException("The membership is already started.");
            }

            foreach (string address in addresses.Where(a => a != Address))
            {
                _peers.Configure(address);
            }

            _isLeaving = false;
            _loop = new BackgroundLoop("membership", _membership.RunAsync, _logger, _time).Start();
        }
    }

    /// <inheritdoc/>
    public void Learn(string address)
    {
        string peer = HostPort.Parse(address).ToString();
        if (peer != Address)
        {
            _peers.Learn(peer);
            _membership.Wake();
        }
    }

    /// <inheritdoc/>
    public Task WaitUpAsync(CancellationToken ct) => _local.Up.WaitAsync(ct);

    /// <inheritdoc/>
    public ProbeReply AnswerProbe(ProbeRequest request, string? reachedAs)
    {
        _local.AdoptHost(reachedAs);
        if (request.NodeId != _options.NodeId
            && HostPort.TryParse(request.From, out HostPort from)
            && from.ToString() is var prober
            && prober != Address)
        {
            lock (_gate)
            {
                _peers.Learn(prober);
                if (_loop is not null
                    && !_isLeaving
                    && _local.Enter(request.State == GridState.Joining ? GridState.Forming : GridState.Joining, ifNow: GridState.Alone))
                {
                    _membership.Wake();
                }
            }
        }

        return _local.Reply();
    }

    /// <inheritdoc/>
    public async Task AcceptAsync(Stream stream, GridCaller caller, CancellationToken ct)
    {
        await using (stream.ConfigureAwait(false))
        {
            try
            {
                string wanted;
                using (var limit = new CancellationTokenSource(PrefaceTimeout, _time))
                using (var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, ct))
                {
                    wanted = await Preface.ReadAsync(stream, both.Token).ConfigureAwait(false);
                }

                if (_local.Engine is { } engine && engine.Incarnation == wanted)
                {
                    await engine.AcceptAsync(stream, caller, ct).ConfigureAwait(false);
                }
                else
                {
                    _logger.StreamRefused(caller.Remote?.ToString(), $"the engine {wanted} does not run here");
                }
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
            {
                _logger.StreamRefused(caller.Remote?.ToString(), e.Message);
            }
        }
    }

    /// <inheritdoc/>
    public void Down(string address) => _local.Engine?.Down(HostPort.Parse(address).ToString());

    /// <inheritdoc/>
    public async Task LeaveAsync(CancellationToken ct)
    {
        BackgroundLoop? loop;
        lock (_gate)
        {
            loop = _loop;
            _isLeaving = true;
        }

        if (loop is not null && await loop.StopAsync().WaitAsync(ct).ConfigureAwait(false))
        {
            lock (_gate)
            {
                _loop = _loop == loop ? null : _loop;
            }
        }
    }

    /// <summary>Leaves the grid and stops all background work: afterwards no handler is called any more.</summary>
    public async ValueTask DisposeAsync()
    {
        lock (_gate)
        {
            _disposed = true;
        }

        await LeaveAsync(CancellationToken.None).ConfigureAwait(false);
        await _feed.DisposeAsync().ConfigureAwait(false);
        await _prober.DisposeAsync().ConfigureAwait(false);
    }
}
