using System.Threading.Channels;
using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>
/// The loop between the engine's callbacks and the user's handlers: looks whenever it is poked, keeps the list that is shown,
/// and tells the changes one by one.
/// </summary>
internal sealed class MemberFeed : IAsyncDisposable
{
    private static readonly TimeSpan LookAgain = TimeSpan.FromMilliseconds(250);

    /// <summary>How long those who were members before our engine's restart may take to follow into the same grid.</summary>
    private static readonly TimeSpan Settle = TimeSpan.FromSeconds(6);

    private readonly Channel<bool> _pokes = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Standing _standing;
    private readonly GridOptions _options;
    private readonly Action<GridChange> _raise;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Roster _roster;
    private readonly long _start;
    private readonly ITimer _timer;
    private readonly Task _loop;
    private volatile IReadOnlyList<GridMember> _others = [];
    private Engine? _settlingEngine;
    private TimeSpan _settled;

    public MemberFeed(Standing standing, GridOptions options, Action<GridChange> raise, TimeProvider time, ILogger logger)
    {
        _standing = standing;
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

    /// <summary>Something may be different now.</summary>
    public void Poke() => _pokes.Writer.TryWrite(true);

    public async ValueTask DisposeAsync()
    {
        _pokes.Writer.TryComplete();
        await _timer.DisposeAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
    }

    private async Task LoopAsync()
    {
        await foreach (bool _ in _pokes.Reader.ReadAllAsync().ConfigureAwait(false))
        {
            foreach (GridChange change in Look())
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
    }

    private IReadOnlyList<GridChange> Look()
    {
        TimeSpan now = _time.GetElapsedTime(_start);
        (GridState state, Engine? engine) = _standing.Snapshot();
        IReadOnlyList<GridChange> changes;
        if (state == GridState.Up && engine is not null)
        {
            if (_settlingEngine != engine)
            {
                _settlingEngine = engine;
                _settled = now + Settle;
                _roster.CarryOver();
            }

            IEnumerable<MemberView> others = engine.Members().Where(m => m.NodeId != _options.NodeId && m.Address != _standing.Address);
            changes = _roster.Update(others, now, settling: now < _settled);
        }
        else if (state == GridState.Alone)
        {
            changes = _roster.Update([], now, settling: false);
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
}
