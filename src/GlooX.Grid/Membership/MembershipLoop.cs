using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>
/// The loop of an agent's membership: alone until there is a reason, then from one grid to the next. Each turn is one engine.
/// Whoever starts it stops it and awaits its end.
/// </summary>
internal sealed class Life(
    GridOptions options,
    IGridTransport transport,
    Standing standing,
    PeerBook peers,
    Prober prober,
    MemberFeed feed,
    TimeProvider time,
    ILogger logger)
{
    private static readonly TimeSpan AfterStumble = TimeSpan.FromSeconds(1);

    private readonly Channel<bool> _calls = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    /// <summary>There is a peer now, or somebody asked for a grid.</summary>
    public void Call() => _calls.Writer.TryWrite(true);

    public async Task RunAsync(CancellationToken ct)
    {
        try
        {
            while (true)
            {
                try
                {
                    await TurnAsync(ct).ConfigureAwait(false);
                }
#pragma warning disable CA1031 // The loop is what makes the rest recover; it must go on. The failure is logged.
                catch (Exception e) when (!ct.IsCancellationRequested)
#pragma warning restore CA1031
                {
                    logger.Stumbled(e);
                    await Task.Delay(AfterStumble, time, ct).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // As told.
        }
        finally
        {
            standing.Enter(GridState.Alone, null);
            feed.Poke();
        }
    }

    private async Task TurnAsync(CancellationToken ct)
    {
        if (peers.IsEmpty && standing.State == GridState.Alone)
        {
            await _calls.Reader.ReadAsync(ct).ConfigureAwait(false);
        }

        bool isSeed = standing.State == GridState.Forming;
        standing.Enter(GridState.Joining, ifNow: GridState.Alone);
        var bootstrap = new Bootstrap(options, standing, peers, prober, StartEngineAsync, time, logger);
        Engine? engine = await bootstrap.RunAsync(isSeed, ct).ConfigureAwait(false);
        if (engine is null)
        {
            standing.Enter(GridState.Alone, null);
            return;
        }

        await using (engine.ConfigureAwait(false))
        {
            string address = standing.Address!;
            standing.Enter(GridState.Up, engine);
            feed.Poke();
            logger.Up(address, engine.Incarnation);
            string reason;
            try
            {
                reason = await new MergeWatch(options, standing, peers, prober, time, logger).RunAsync(engine, address, ct).ConfigureAwait(false);
            }
            finally
            {
                // Before the engine stops: from here on probes must not find it, and streams for it are turned away.
                standing.Enter(ct.IsCancellationRequested ? GridState.Alone : GridState.Joining, null);
            }

            logger.Restarting(reason);
        }
    }

    private Task<Engine> StartEngineAsync(string address, CancellationToken ct)
    {
        ct.ThrowIfCancellationRequested();
        var self = new NodeKey(address, Incarnation.New(time));
        var setup = new EngineSetup(new EnginePort(self, transport), prober, options, time, logger);
        return Engine.StartAsync(setup, feed.Poke);
    }
}
