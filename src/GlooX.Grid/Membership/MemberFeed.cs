using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>
/// The loop between the engine's callbacks and the user's handlers: looks whenever it is poked, keeps the list that is shown,
/// and tells the changes one by one. A member that vanishes is asked first whether its engine merely starts anew, so that a merge
/// does not look as if agents had died.
/// </summary>
internal sealed class MemberFeed : IAsyncDisposable
{
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(250);

    private readonly Channel<bool> _pokes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly CancellationTokenSource _stop = new();
    private readonly Standing _standing;
    private readonly Prober _prober;
    private readonly GridOptions _options;
    private readonly Action<GridChange> _raise;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Roster _roster;
    private readonly long _start;
    private readonly ITimer _timer;
    private readonly Task _loop;
    private volatile IReadOnlyList<GridMember> _others = [];
    private Engine? _lastEngine;

    public MemberFeed(Standing standing, Prober prober, GridOptions options, Action<GridChange> raise, TimeProvider time, ILogger logger)
    {
        _standing = standing;
        _prober = prober;
        _options = options;
        _raise = raise;
        _time = time;
        _logger = logger;
        _roster = new Roster(options.ShowUnreachableAfter);
        _start = time.GetTimestamp();
        _timer = time.CreateTimer(_ => Poke(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _loop = LoopAsync();
    }

    public IReadOnlyList<GridMember> Members
    {
        get
        {
            IReadOnlyList<GridMember> others = _others;
            return _standing.Address is { } address
                ? [.. others.Append(new GridMember(address, _options.NodeId, _standing.Engine?.Incarnation ?? "", Reachable: true)).OrderBy(m => m.Address, StringComparer.Ordinal)]
                : others;
        }
    }

    private TimeSpan Now => _time.GetElapsedTime(_start);

    /// <summary>Something may be different now.</summary>
    public void Poke() => _pokes.Writer.TryWrite(true);

    public async ValueTask DisposeAsync()
    {
        if (_pokes.Writer.TryComplete())
        {
            await _stop.CancelAsync().ConfigureAwait(false);
            await _timer.DisposeAsync().ConfigureAwait(false);
            await _loop.ConfigureAwait(false);
            _stop.Dispose();
        }

        await _loop.ConfigureAwait(false);
    }

    private async Task LoopAsync()
    {
        try
        {
            await foreach (bool _ in _pokes.Reader.ReadAllAsync().ConfigureAwait(false))
            {
                foreach (GridChange change in await LookAsync().ConfigureAwait(false))
                {
                    Raise(change);
                }
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // While asking somebody.
        }
    }

    private async Task<IReadOnlyList<GridChange>> LookAsync()
    {
        if (_standing.Snapshot() is { State: GridState.Up, Engine: { } current })
        {
            if (_lastEngine != current)
            {
                _lastEngine = current;
                _roster.HoldAll(Now);
            }

            await HoldThoseAliveAsync(_roster.Vanished(Others(current), Now)).ConfigureAwait(false);
        }

        // Anew: asking took its time.
        (GridState state, Engine? engine) = _standing.Snapshot();
        IReadOnlyList<GridChange> changes;
        if (state == GridState.Up && engine is not null && engine == _lastEngine)
        {
            changes = _roster.Update(Others(engine), Now);
        }
        else if (state == GridState.Alone)
        {
            changes = _roster.Clear();
        }
        else
        {
            return []; // between two engines: the last known list stays
        }

        _others = [.. _roster.Members];
        if (_roster.IsPending)
        {
            _timer.Change(LookAgain, Timeout.InfiniteTimeSpan);
        }

        return changes;
    }

    private List<MemberView> Others(Engine engine) =>
        [.. engine.Members().Where(m => m.NodeId != _options.NodeId && m.Address != _standing.Address)];

    private async Task HoldThoseAliveAsync(IReadOnlyList<GridMember> vanished)
    {
        ProbeResult[] results = await Task.WhenAll(vanished.Select(m => _prober.AskAsync(m.Address, null, _stop.Token))).ConfigureAwait(false);
        foreach ((GridMember member, ProbeResult result) in vanished.Zip(results))
        {
            if (result.Reply is { } reply && reply.NodeId == member.NodeId && reply.State != GridState.Alone)
            {
                _roster.Hold(member.Address, Now);
            }
        }
    }

    private void Raise(GridChange change)
    {
        _logger.MemberChanged(change.Member.Address, change.Kind);
        try
        {
            _raise(change);
        }
#pragma warning disable CA1031 // The handlers are the user's.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _logger.HandlerThrew(e);
        }
    }
}
