using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>
/// Brings the engine's view to the user's handlers: keeps the list that is shown and raises its changes one by one. Before a vanished
/// member is removed it is probed, since its engine may merely restart: a merge must not look as if agents had died.
/// </summary>
internal sealed class MemberFeed : IAsyncDisposable
{
    private static readonly TimeSpan PendingInterval = TimeSpan.FromMilliseconds(250);

    private readonly LocalNode _local;
    private readonly Prober _prober;
    private readonly GridOptions _options;
    private readonly Action<GridChange> _raise;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly MemberTable _table;
    private readonly long _start;
    private readonly ITimer _timer;
    private readonly BackgroundLoop _loop;
    private volatile IReadOnlyList<GridMember> _others = [];
    private Engine? _lastEngine;

    public MemberFeed(LocalNode local, Prober prober, GridOptions options, Action<GridChange> raise, TimeProvider time, ILogger logger)
    {
        _local = local;
        _prober = prober;
        _options = options;
        _raise = raise;
        _time = time;
        _logger = logger;
        _table = new MemberTable(options.ShowUnreachableAfter);
        _start = time.GetTimestamp();
        _timer = time.CreateTimer(_ => Wake(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _loop = BackgroundLoop.Periodic("member list", Timeout.InfiniteTimeSpan, RaiseChangesAsync, logger, time).Start();
    }

    public IReadOnlyList<GridMember> Members
    {
        get
        {
            IReadOnlyList<GridMember> others = _others;
            if (_local.Address is not { } address)
            {
                return others;
            }

            var self = new GridMember(address, _options.NodeId, _local.Engine?.Incarnation ?? "", Reachable: true);
            return [.. others.Append(self).OrderBy(m => m.Address, StringComparer.Ordinal)];
        }
    }

    private TimeSpan Now => _time.GetElapsedTime(_start);

    /// <summary>The engine's view may have changed.</summary>
    public void Wake() => _loop.Wake();

    /// <summary>Raises the removal of all members that are left; afterwards no handler is called any more.</summary>
    public async ValueTask DisposeAsync()
    {
        await _timer.DisposeAsync().ConfigureAwait(false);
        if (await _loop.StopAsync().ConfigureAwait(false))
        {
            _others = [];
            foreach (GridChange change in _table.Clear())
            {
                Raise(change);
            }
        }
    }

    private async Task RaiseChangesAsync(CancellationToken ct)
    {
        foreach (GridChange change in await UpdateAsync(ct).ConfigureAwait(false))
        {
            Raise(change);
        }
    }

    private async Task<IReadOnlyList<GridChange>> UpdateAsync(CancellationToken ct)
    {
        if (_local.Snapshot() is { State: GridState.Up, Engine: { } current })
        {
            if (_lastEngine != current)
            {
                _lastEngine = current;
                _table.HoldAll(Now);
            }

            await HoldLivingAsync(_table.Vanished(Others(current), Now), ct).ConfigureAwait(false);
        }

        // A new snapshot: the probes took some time.
        (GridState state, Engine? engine) = _local.Snapshot();
        IReadOnlyList<GridChange> changes;
        if (state == GridState.Up && engine is not null && engine == _lastEngine)
        {
            changes = _table.Update(Others(engine), Now);
        }
        else if (state == GridState.Alone)
        {
            changes = _table.Clear();
        }
        else
        {
            return []; // between two engines the last list stays
        }

        _others = [.. _table.Members];
        if (_table.IsPending)
        {
            _timer.Change(PendingInterval, Timeout.InfiniteTimeSpan);
        }

        return changes;
    }

    private List<MemberView> Others(Engine engine) =>
        [.. engine.Members().Where(m => m.NodeId != _options.NodeId && m.Address != _local.Address)];

    private async Task HoldLivingAsync(IReadOnlyList<GridMember> vanished, CancellationToken ct)
    {
        ProbeResult[] results = await Task.WhenAll(vanished.Select(m => _prober.ProbeAsync(m.Address, null, ct))).ConfigureAwait(false);
        foreach ((GridMember member, ProbeResult result) in vanished.Zip(results))
        {
            if (result.Reply is { } reply && reply.NodeId == member.NodeId && reply.State != GridState.Alone)
            {
                _table.Hold(member.Address, Now);
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
#pragma warning disable CA1031 // Handlers are user code; other changes and the membership must go on.
        catch (Exception e)
#pragma warning restore CA1031
        {
            _logger.HandlerFailed(e);
        }
    }
}
