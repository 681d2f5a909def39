using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>
/// From nothing to a grid: asks all known peers round by round and does what <see cref="BootstrapRule"/> says. Ends only with an
/// engine that is a member, with nobody left to ask, or when it is cancelled.
/// </summary>
internal sealed class Bootstrap(
    GridOptions options,
    Standing standing,
    PeerBook peers,
    Prober prober,
    Func<string, CancellationToken, Task<Engine>> startEngine,
    TimeProvider time,
    ILogger logger)
{
    private const int MostProbes = 50;
    private static readonly TimeSpan Round = TimeSpan.FromMilliseconds(400);
    private static readonly TimeSpan ShortRound = TimeSpan.FromMilliseconds(150);
    private static readonly TimeSpan JoinTimeout = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan FormTimeout = TimeSpan.FromSeconds(5);

    private readonly Dictionary<string, int> _failedJoins = new(StringComparer.Ordinal);
    private Engine? _engine;
    private int _lowestFor;

    /// <param name="isSeed">Somebody waits for this agent to begin.</param>
    /// <param name="ct">Ends it, without leaving an engine behind.</param>
    /// <returns>Null: there is no peer after all, only this agent by another name.</returns>
    public async Task<Engine?> RunAsync(bool isSeed, CancellationToken ct)
    {
        long start = time.GetTimestamp();
        try
        {
            while (true)
            {
                IReadOnlyList<ProbeReply> answers = await ProbeWhileWarmingUpAsync(isSeed, ct).ConfigureAwait(false);
                if (!isSeed && peers.IsEmpty)
                {
                    await DropEngineAsync().ConfigureAwait(false);
                    return null;
                }

                if (_engine is null)
                {
                    // No address yet. The answers may just have given one; if not, nothing can be done but ask on.
                    await Task.Delay(standing.Address is null ? Round : TimeSpan.Zero, time, ct).ConfigureAwait(false);
                    continue;
                }

                string self = standing.Address!;
                _lowestFor = BootstrapRule.IsLowest(self, answers) ? _lowestFor + 1 : 0;
                BootstrapStep step = BootstrapRule.Decide(new BootstrapFacts(
                    self, answers, _failedJoins, _lowestFor, time.GetElapsedTime(start), options.FormAfter, isSeed));
                if (step.Act != BootstrapAct.Wait && await TryAsync(step, self, ct).ConfigureAwait(false))
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

    /// <summary>The engine starts, if it can, while the answers are under way: both take a while.</summary>
    private async Task<IReadOnlyList<ProbeReply>> ProbeWhileWarmingUpAsync(bool isSeed, CancellationToken ct)
    {
        if (_engine is { Ended.IsCompleted: true })
        {
            await DropEngineAsync().ConfigureAwait(false);
        }

        // A seed asks nobody: somebody waits for it.
        IEnumerable<string> asked = isSeed ? [] : peers.Known.Take(MostProbes);
        Task<ProbeResult[]> probing = Task.WhenAll(asked.Select(peer => prober.AskPatientlyAsync(peer, ct)));
        await Task.WhenAll(WarmUpAsync(ct), probing).ConfigureAwait(false);

        ProbeResult[] results = await probing.ConfigureAwait(false);
        ProbeReply[] answers = [.. results.Select(r => r.Reply).OfType<ProbeReply>().Where(r => !standing.IsMe(r)).DistinctBy(r => r.NodeId, StringComparer.Ordinal)];
        foreach (MemberView member in answers.SelectMany(a => a.Members))
        {
            peers.Learn(member.Address);
        }

        return answers;
    }

    private async Task WarmUpAsync(CancellationToken ct)
    {
        if (_engine is null && standing.Address is { } address)
        {
            _engine = await startEngine(address, ct).ConfigureAwait(false);
            standing.Enter(standing.State, _engine);
        }
    }

    private async Task<bool> TryAsync(BootstrapStep step, string self, CancellationToken ct)
    {
        Engine engine = _engine!;
        if (step.Act == BootstrapAct.Form)
        {
            logger.Forming(self);
            standing.Enter(GridState.Forming, engine);
            engine.Form();
        }
        else
        {
            logger.Joining(step.Target.Address);
            standing.Enter(GridState.Joining, engine);
            engine.Join(step.Target);
        }

        TimeSpan timeout = step.Act == BootstrapAct.Form ? FormTimeout : JoinTimeout;
        try
        {
            await Task.WhenAny(engine.Joined, engine.Ended).WaitAsync(timeout, time, ct).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            logger.JoinFailed(step.Act == BootstrapAct.Form ? self : step.Target.Address, timeout);
        }

        if (engine.Joined.IsCompleted && !engine.Ended.IsCompleted)
        {
            return true;
        }

        standing.Enter(GridState.Joining, engine);
        if (step.Act == BootstrapAct.Join)
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
            standing.Enter(GridState.Joining, null);
            await engine.DisposeAsync().ConfigureAwait(false);
        }
    }
}
