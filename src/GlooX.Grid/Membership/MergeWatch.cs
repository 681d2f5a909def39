using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>
/// While this agent is in a grid, probes known peers that are not members: they may be in another grid after a cut that was longer than
/// the engine remembers, or because both sides formed alone. Ends when this agent's engine must restart.
/// </summary>
internal sealed class MergeWatch(
    GridOptions options,
    LocalNode local,
    KnownPeers peers,
    Prober prober,
    TimeProvider time,
    ILogger logger)
{
    private const int MaxProbes = 5;
    private const int MissingRounds = 3;

    private readonly Dictionary<string, int> _foreign = new(StringComparer.Ordinal);

    /// <returns>Why the engine must restart.</returns>
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
                return "other members removed this agent";
            }

            missing = engine.Contains(self) ? 0 : missing + 1;
            if (missing >= MissingRounds)
            {
                return "this agent is no longer listed as a member";
            }

            if (missing == 0 && await FindBetterAsync(engine, self, ct).ConfigureAwait(false) is { } better)
            {
                return $"this agent joins the grid of {better}, which takes precedence";
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

        IReadOnlyList<string> due = peers.Due(present, MaxProbes);
        foreach (string forgotten in _foreign.Keys.Where(peer => !peers.Knows(peer)).ToList())
        {
            _foreign.Remove(forgotten);
        }

        ProbeResult[] results = await Task.WhenAll(due.Select(peer => prober.ProbeForDiscoveryAsync(peer, ct))).ConfigureAwait(false);
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

    /// <summary>Whether this agent should leave its grid and join the peer's.</summary>
    private bool Judge(string peer, ProbeResult result, NodeKey self, IReadOnlyList<MemberView> ours)
    {
        MergeVerdict verdict = result.Reply is { } reply && !local.IsSelf(reply)
            ? MergeRule.Judge(self, ours, reply)
            : MergeVerdict.Same;
        if (verdict == MergeVerdict.Same)
        {
            _foreign.Remove(peer);
            return false;
        }

        int confirmations = _foreign[peer] = _foreign.GetValueOrDefault(peer) + 1;
        foreach (MemberView member in result.Reply!.Members)
        {
            peers.Learn(member.Address);
        }

        if (verdict == MergeVerdict.Stay && confirmations == MergeRule.Confirmations)
        {
            logger.Foreign(peer);
        }

        return verdict == MergeVerdict.Yield && confirmations >= MergeRule.Confirmations;
    }
}
