using System.Net;
using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>
/// An agent's membership in a grid of equals, without any store or leader outside.
/// <list type="bullet">
/// <item>Alone, it costs nothing: no engine runs until there is a peer, or a peer asks.</item>
/// <item>A member whose process is gone (its port refuses) is removed in about a second, by whoever is left, be it one.</item>
/// <item>A silent member is shown as unreachable, and returns by itself.</item>
/// <item>Sides that forgot each other, or never knew each other, merge when they meet.</item>
/// </list>
/// The engine may restart at any time for that; nothing that matters lives in it, and <see cref="IMembership.Members"/> bridges the gap.
/// All members are thread-safe.
/// </summary>
public sealed class GridMembership : IMembership, IAsyncDisposable
{
    private static readonly TimeSpan PrefaceTimeout = TimeSpan.FromSeconds(5);

    private readonly GridOptions _options;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly Standing _standing;
    private readonly PeerBook _peers;
    private readonly Prober _prober;
    private readonly MemberFeed _feed;
    private readonly Life _life;
    private readonly Lock _gate = new();
    private CancellationTokenSource? _stop;
    private Task _living = Task.CompletedTask;
    private bool _disposed;

    /// <summary>Starts nothing yet.</summary>
    /// <param name="options">How it behaves.</param>
    /// <param name="transport">The way out.</param>
    /// <param name="logger">What people should know is logged at Information; broken links and the engine's own words at Debug.</param>
    /// <param name="time">The clock of all waiting, the engine's inner timers excepted.</param>
    public GridMembership(GridOptions options, IGridTransport transport, ILogger logger, TimeProvider? time = null)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(transport);
        ArgumentNullException.ThrowIfNull(logger);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.Port, nameof(options));
        _options = options;
        _logger = logger;
        _time = time ?? TimeProvider.System;
        _standing = new Standing(options);
        _peers = new PeerBook(options.MergeInterval, options.RememberPeersFor, _time);
        _prober = new Prober(transport, _standing, _peers, options.ProbeTimeout, _time);
        _feed = new MemberFeed(_standing, _prober, options, change => Changed?.Invoke(this, change), _time, logger);
        _life = new Life(options, transport, _standing, _peers, _prober, _feed, _time, logger);
    }

    /// <inheritdoc/>
    public event EventHandler<GridChange>? Changed;

    /// <inheritdoc/>
    public string? Address => _standing.Address;

    /// <inheritdoc/>
    public GridState State => _standing.State;

    /// <inheritdoc/>
    public IReadOnlyList<GridMember> Members => _feed.Members;

    /// <summary>What is known of each configured peer.</summary>
    public IReadOnlyList<PeerState> PeerStates => _peers.Configured;

    /// <summary>All other agents ever heard of and not forgotten, configured ones first: what a memory on disk would keep.</summary>
    public IReadOnlyList<string> KnownPeers => _peers.Known;

    /// <summary>Sets the "host:port" by which the others reach this agent. Once; the same again is fine.</summary>
    /// <exception cref="InvalidOperationException">Another one is in use, given or found out.</exception>
    public void SetAdvertisedAddress(string address)
    {
        if (!_standing.Adopt(HostPort.Parse(address).ToString()))
        {
            throw new InvalidOperationException($"this agent is already known as {_standing.Address}; it cannot become {address}");
        }
    }

    /// <summary>
    /// Begins: with peers (given, or learned before) it looks for their grid, without any it stays alone until one asks.
    /// Returns at once; see <see cref="WaitUpAsync"/>. May be called again after <see cref="LeaveAsync"/>.
    /// </summary>
    /// <param name="peers">"host:port" of other agents; this agent itself may be among them.</param>
    /// <param name="cancellationToken">Before it began.</param>
    /// <exception cref="InvalidOperationException">It has begun already.</exception>
    public Task StartAsync(IEnumerable<string> peers, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(peers);
        cancellationToken.ThrowIfCancellationRequested();
        string[] addresses = [.. peers.Select(p => HostPort.Parse(p).ToString())];
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            if (_stop is not null)
            {
                throw new InvalidOperationException("the membership has begun already");
            }

            foreach (string address in addresses.Where(a => a != Address))
            {
                _peers.Configure(address);
            }

            _stop = new CancellationTokenSource();
            CancellationToken stop = _stop.Token;
            _living = Task.Run(() => _life.RunAsync(stop), CancellationToken.None);
        }

        return Task.CompletedTask;
    }

    /// <summary>Tells of another agent. It is looked for from now on, and if this agent was alone, joined.</summary>
    public void Learn(string address)
    {
        string peer = HostPort.Parse(address).ToString();
        if (peer != Address)
        {
            _peers.Learn(peer);
            _life.Call();
        }
    }

    /// <summary>
    /// Completes when this agent is in a grid, be it one of its own. With silent peers that takes <see cref="GridOptions.FormAfter"/>
    /// (<see cref="PeerStates"/> tells why), without any, or without an address, it waits for somebody.
    /// </summary>
    public Task WaitUpAsync(CancellationToken cancellationToken) => _standing.Up.WaitAsync(cancellationToken);

    /// <summary>
    /// The answer to another agent's probe. Who asks is remembered; who asks an agent that is alone gets it to begin a grid, or to join the prober's.
    /// </summary>
    /// <param name="request">From the prober, which must be authenticated.</param>
    /// <param name="reachedAs">
    /// The local host by which the prober reached this agent. It is adopted when no address is known, so an owner that listens on
    /// all interfaces does better to set one: a neighbour on the same machine may come by 127.0.0.1.
    /// </param>
    public ProbeReply AnswerProbe(ProbeRequest request, string? reachedAs)
    {
        ArgumentNullException.ThrowIfNull(request);
        _standing.AdoptHost(reachedAs);
        if (request.NodeId != _options.NodeId && HostPort.TryParse(request.From, out HostPort from) && from.ToString() is var prober && prober != Address)
        {
            lock (_gate)
            {
                _peers.Learn(prober);
                if (_stop is { IsCancellationRequested: false }
                    && _standing.Enter(request.State == GridState.Joining ? GridState.Forming : GridState.Joining, ifNow: GridState.Alone))
                {
                    _life.Call();
                }
            }
        }

        return _standing.Reply();
    }

    /// <summary>
    /// Takes an inbound grid stream and owns it. Ends, without an exception, when the stream has ended: at once when it was meant
    /// for an engine that does not run (any more).
    /// </summary>
    public async Task AcceptAsync(Stream stream, EndPoint? remote, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(stream);
        await using (stream.ConfigureAwait(false))
        {
            try
            {
                string wanted;
                using (var limit = new CancellationTokenSource(PrefaceTimeout, _time))
                using (var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellationToken))
                {
                    wanted = await Preface.ReadAsync(stream, both.Token).ConfigureAwait(false);
                }

                if (_standing.Engine is { } engine && engine.Incarnation == wanted)
                {
                    await engine.AcceptAsync(stream, remote, cancellationToken).ConfigureAwait(false);
                }
                else
                {
                    _logger.StreamRefused(remote?.ToString(), $"{wanted} does not run here");
                }
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or ObjectDisposedException)
            {
                _logger.StreamRefused(remote?.ToString(), e.Message);
            }
        }
    }

    /// <inheritdoc/>
    public void Down(string address) => _standing.Engine?.Down(HostPort.Parse(address).ToString());

    /// <inheritdoc/>
    public async Task LeaveAsync(CancellationToken cancellationToken)
    {
        CancellationTokenSource? stop;
        Task living;
        lock (_gate)
        {
            (stop, living) = (_stop, _living);
        }

        if (stop is null)
        {
            return;
        }

        await stop.CancelAsync().ConfigureAwait(false);
        await living.WaitAsync(cancellationToken).ConfigureAwait(false);
        lock (_gate)
        {
            if (_stop == stop)
            {
                _stop = null; // not disposed: another LeaveAsync may be about to cancel it too
            }
        }
    }

    /// <summary>Leaves, and awaits the end of all loops: after it no handler is called any more.</summary>
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
