using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>
/// Looks, as long as this agent is in a grid, for known peers that are not: they may be in another grid, after a cut that was
/// longer than the engine remembers, or because both sides began alone. Ends when this agent should start anew.
/// </summary>
internal sealed class MergeWatch(
    GridOptions options,
    Standing standing,
    PeerBook peers,
    Prober prober,
    TimeProvider time,
    ILogger logger)
{
    private const int MostProbes = 5;
    private const int MissingLooks = 3;

    private readonly Dictionary<string, int> _foreign = new(StringComparer.Ordinal);

    /// <returns>Why this agent must start anew.</returns>
    public async Task<string> RunAsync(Engine engine, string address, CancellationToken ct)
    {
        var self = new NodeKey(address, engine.Incarnation);
        int missing = 0;
        while (true)
        {
            Task pause = Task.Delay(_foreign.Count > 0 ? options.MergeInterval / 2 : options.MergeInterval, time, ct);
            await Task.WhenAny(engine.Ended, pause).ConfigureAwait(false);
            ct.ThrowIfCancellationRequested();
            if (engine.Ended.IsCompleted)
            {
                return "the others took this agent off the list";
            }

            missing = engine.Contains(self) ? 0 : missing + 1;
            if (missing >= MissingLooks)
            {
                return "not on the list any more";
            }

            if (missing == 0 && await FindBetterAsync(engine, self, ct).ConfigureAwait(false) is { } better)
            {
                return $"the grid of {better} is the one that stays";
            }
        }
    }

    private async Task<string?> FindBetterAsync(Engine engine, NodeKey self, CancellationToken ct)
    {
        IReadOnlyList<MemberView> ours = engine.Members();
        var present = new HashSet<string>(StringComparer.Ordinal);
        foreach (MemberView member in ours)
        {
            if (member.Address != self.Address && !peers.Knows(member.Address))
            {
                peers.Learn(member.Address);
            }

            if (member.Reachable)
            {
                present.Add(member.Address);
            }
        }

        IReadOnlyList<string> due = peers.Due(present, MostProbes);
        ProbeResult[] results = await Task.WhenAll(due.Select(peer => prober.AskPatientlyAsync(peer, ct))).ConfigureAwait(false);
        ours = engine.Members();
        foreach ((string peer, ProbeResult result) in due.Zip(results))
        {
            if (Judge(peer, result, self, ours))
            {
                return peer;
            }
        }

        return null;
    }

    /// <summary>True: yield to it.</summary>
    private bool Judge(string peer, ProbeResult result, NodeKey self, IReadOnlyList<MemberView> ours)
    {
        MergeVerdict verdict = result.Reply is { } reply && !standing.IsMe(reply) ? MergeRule.Judge(self, ours, reply) : MergeVerdict.Same;
        if (verdict == MergeVerdict.Same)
        {
            _foreign.Remove(peer);
            return false;
        }

        int looks = _foreign[peer] = _foreign.GetValueOrDefault(peer) + 1;
        foreach (MemberView member in result.Reply!.Members)
        {
            peers.Learn(member.Address);
        }

        if (verdict == MergeVerdict.Stay && looks == MergeRule.Looks)
        {
            logger.Foreign(peer);
        }

        return verdict == MergeVerdict.Yield && looks >= MergeRule.Looks;
    }
}
