using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>
/// Finds or forms a grid: probes all known peers round by round and does what <see cref="BootstrapRule"/> decides. Ends with an engine
/// that is a member, when there is no peer, or when cancelled.
/// </summary>
internal sealed class Bootstrap(
    GridOptions options,
    LocalNode local,
    KnownPeers peers,
    Prober prober,
    Func<string, CancellationToken, Task<Engine>> startEngine,
    TimeProvider time,
    ILogger logger)
{
    private const int MaxProbes = 50;
    private static readonly TimeSpan Round = TimeSpan.FromMilliseconds(400);
    private static readonly TimeSpan ShortRound = TimeSpan.FromMilliseconds(150);
    private static readonly TimeSpan JoinTimeout = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan FormTimeout = TimeSpan.FromSeconds(5);

    private readonly Dictionary<string, int> _failedJoins = new(StringComparer.Ordinal);
    private Engine? _engine;
    private int _lowestFor;

    /// <param name="isSeed">Whether another agent waits for this one to form a grid.</param>
    /// <param name="ct">Cancels the operation; no engine is left running.</param>
    /// <returns>The engine; null when the only known peer is this agent itself by another name.</returns>
    public async Task<Engine?> RunAsync(bool isSeed, CancellationToken ct)
    {
        long start = time.GetTimestamp();
        try
        {
            while (true)
            {
                IReadOnlyList<ProbeReply> answers = await ProbeWhileEngineStartsAsync(isSeed, ct).ConfigureAwait(false);
                if (!isSeed && peers.IsEmpty)
                {
                    await DropEngineAsync().ConfigureAwait(false);
                    return null;
                }

                if (_engine is null)
                {
                    // No address yet. The answers may just have shown one; otherwise the next round may.
                    await Task.Delay(local.Address is null ? Round : TimeSpan.Zero, time, ct).ConfigureAwait(false);
                    continue;
                }

                string self = local.Address!;
                _lowestFor = BootstrapRule.IsLowest(self, answers) ? _lowestFor + 1 : 0;
                BootstrapStep step = BootstrapRule.Decide(new BootstrapFacts(
                    self, answers, _failedJoins, _lowestFor, time.GetElapsedTime(start), options.FormAfter, isSeed));
                if (step.Action != BootstrapAction.Wait && await TryAsync(step, self, ct).ConfigureAwait(false))
                {
                    Engine member = _engine;
                    _engine = null;
                    return member;
                }

                bool soon = answers.Any(a => a.State == GridState.Forming);
                await Task.Delay(soon ? ShortRound : Round, time, ct).ConfigureAwait(false);
            }
        }
        finally
        {
            await DropEngineAsync().ConfigureAwait(false);
        }
    }

    /// <summary>The engine, if an address is known, starts during the probes: both take some time.</summary>
    private async Task<IReadOnlyList<ProbeReply>> ProbeWhileEngineStartsAsync(bool isSeed, CancellationToken ct)
    {
        if (_engine is { Ended.IsCompleted: true })
        {
            await DropEngineAsync().ConfigureAwait(false);
        }

        // A seed does not probe: another agent waits for it.
        IEnumerable<string> asked = isSeed ? [] : peers.Known.Take(MaxProbes);
        Task<ProbeResult[]> probing = Task.WhenAll(asked.Select(peer => prober.ProbeForDiscoveryAsync(peer, ct)));
        await Task.WhenAll(StartEngineAsync(ct), probing).ConfigureAwait(false);

        ProbeResult[] results = await probing.ConfigureAwait(false);
        ProbeReply[] answers =
        [
            .. results.Select(r => r.Reply).OfType<ProbeReply>()
                .Where(r => !local.IsSelf(r))
                .DistinctBy(r => r.NodeId, StringComparer.Ordinal)
        ];
        foreach (MemberView member in answers.SelectMany(a => a.Members))
        {
            peers.Learn(member.Address);
        }

        return answers;
    }

    private async Task StartEngineAsync(CancellationToken ct)
    {
        if (_engine is null && local.Address is { } address)
        {
            _engine = await startEngine(address, ct).ConfigureAwait(false);
            local.Enter(local.State, _engine);
        }
    }

    private async Task<bool> TryAsync(BootstrapStep step, string self, CancellationToken ct)
    {
        Engine engine = _engine!;
        if (step.Action == BootstrapAction.Form)
        {
            logger.Forming(self);
            local.Enter(GridState.Forming, engine);
            engine.Form();
        }
        else
        {
            logger.Joining(step.Target.Address);
            local.Enter(GridState.Joining, engine);
            engine.Join(step.Target);
        }

        TimeSpan timeout = step.Action == BootstrapAction.Form ? FormTimeout : JoinTimeout;
        try
        {
            await Task.WhenAny(engine.Joined, engine.Ended).WaitAsync(timeout, time, ct).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            logger.JoinFailed(step.Action == BootstrapAction.Form ? self : step.Target.Address, timeout);
        }

        if (engine.Joined.IsCompleted && !engine.Ended.IsCompleted)
        {
            return true;
        }

        local.Enter(GridState.Joining, engine);
        if (step.Action == BootstrapAction.Join)
        {
            _failedJoins[step.Target.Address] = _failedJoins.GetValueOrDefault(step.Target.Address) + 1;
        }

        return false;
    }

    private async Task DropEngineAsync()
    {
        if (_engine is { } engine)
        {
            _engine = null;
            local.Enter(GridState.Joining, null);
            await engine.DisposeAsync().ConfigureAwait(false);
        }
    }
}
