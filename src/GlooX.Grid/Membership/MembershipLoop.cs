using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>
/// The background work of a membership: alone until there is a peer or a request, then from one grid to the next, with one engine for
/// each. Runs as a <see cref="BackgroundLoop"/>, which restarts it after a failure.
/// </summary>
internal sealed class MembershipLoop(
    GridOptions options,
    IGridTransport transport,
    LocalNode local,
    KnownPeers peers,
    Prober prober,
    MemberFeed feed,
    TimeProvider time,
    ILogger logger)
{
    private readonly Channel<bool> _wakes =
        Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    /// <summary>Ends the wait of an agent that is alone: a peer is known now, or another agent asked for a grid.</summary>
    public void Wake() => _wakes.Writer.TryWrite(true);

    /// <summary>Runs until cancelled; only then is this agent alone again.</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        try
        {
            while (true)
            {
                await RunEngineAsync(ct).ConfigureAwait(false);
            }
        }
        finally
        {
            if (ct.IsCancellationRequested)
            {
                local.Enter(GridState.Alone, null);
                feed.Wake();
            }
        }
    }

    /// <summary>From looking for a grid to the end of one engine.</summary>
    private async Task RunEngineAsync(CancellationToken ct)
    {
        if (peers.IsEmpty && local.State == GridState.Alone)
        {
            await _wakes.Reader.ReadAsync(ct).ConfigureAwait(false);
        }

        bool isSeed = local.State == GridState.Forming;
        local.Enter(GridState.Joining, ifNow: GridState.Alone);
        var bootstrap = new Bootstrap(options, local, peers, prober, StartEngineAsync, time, logger);
        Engine? engine = await bootstrap.RunAsync(isSeed, ct).ConfigureAwait(false);
        if (engine is null)
        {
            local.Enter(GridState.Alone, null);
            return;
        }

        await using (engine.ConfigureAwait(false))
        {
            string address = local.Address!;
            string reason;
            try
            {
                local.Enter(GridState.Up, engine);
                feed.Wake();
                logger.Up(address, engine.Incarnation);
                var merging = new MergeWatch(options, local, peers, prober, time, logger);
                reason = await merging.RunAsync(engine, address, ct).ConfigureAwait(false);
            }
            finally
            {
                // Before the engine stops: from here on probes must not find it, and its inbound streams are refused.
                local.Enter(ct.IsCancellationRequested ? GridState.Alone : GridState.Joining, null);
            }

            logger.Restarting(reason);
        }
    }

    private Task<Engine> StartEngineAsync(string address, CancellationToken ct)
    {
        ct.ThrowIfCancellationRequested();
        var self = new NodeKey(address, Incarnation.New(time));
        var setup = new EngineSetup(new EnginePort(self, transport), prober, options, time, logger);
        return Engine.StartAsync(setup, feed.Wake);
    }
}
