namespace GlooX.Grid;

internal enum BootstrapAction
{
    Wait,
    Form,
    Join,
}

internal readonly record struct BootstrapStep(BootstrapAction Action, NodeKey Target = default);

/// <summary>What is known after a round of probes.</summary>
/// <param name="Self">This agent's address.</param>
/// <param name="Answers">The answers of other agents.</param>
/// <param name="FailedJoins">Failed attempts to join, by the address of the peer.</param>
/// <param name="LowestFor">Consecutive rounds in which this agent's address was the lowest of all that look for a grid.</param>
/// <param name="Waited">How long this agent has been looking for a grid.</param>
/// <param name="FormAfter">See <see cref="GridOptions.FormAfter"/>.</param>
/// <param name="IsSeed">Whether another agent asked for a grid while this agent had no peers.</param>
internal sealed record BootstrapFacts(
    string Self,
    IReadOnlyList<ProbeReply> Answers,
    IReadOnlyDictionary<string, int> FailedJoins,
    int LowestFor,
    TimeSpan Waited,
    TimeSpan FormAfter,
    bool IsSeed);

/// <summary>Decides whether an agent joins a grid, forms one, or waits.</summary>
internal static class BootstrapRule
{
    private const int LowestRounds = 3;

    /// <summary>
    /// An existing grid is joined. Otherwise one agent forms a grid: a seed at once; the lowest of several agents that look for a grid
    /// after three rounds (by then the others know it); an agent whose peers do not answer after <see cref="GridOptions.FormAfter"/>.
    /// Two grids formed at the same time merge later.
    /// </summary>
    public static BootstrapStep Decide(BootstrapFacts facts)
    {
        IEnumerable<ProbeReply> formed = facts.Answers.Where(a => a.State == GridState.Up && a.Incarnation.Length > 0);
        ProbeReply? best = null;
        foreach (ProbeReply candidate in formed)
        {
            if (best is null || IsBetter(candidate, best, facts.FailedJoins))
            {
                best = candidate;
            }
        }

        if (best is not null)
        {
            return new BootstrapStep(BootstrapAction.Join, new NodeKey(best.Address, best.Incarnation));
        }

        bool waitedTooLong = facts.Waited > 3 * facts.FormAfter; // a peer that says it forms a grid may never do so
        bool form = facts.IsSeed || waitedTooLong || (!facts.Answers.Any(a => a.State == GridState.Forming)
            && (facts.Answers.Any(a => a.State == GridState.Joining) ? facts.LowestFor >= LowestRounds : facts.Waited >= facts.FormAfter));
        return new BootstrapStep(form ? BootstrapAction.Form : BootstrapAction.Wait);
    }

    /// <summary>Whether this agent's address is the lowest of all that look for a grid, and no agent forms one.</summary>
    public static bool IsLowest(string self, IReadOnlyList<ProbeReply> answers) =>
        answers.Any(a => a.State == GridState.Joining)
        && answers.All(a => a.State == GridState.Alone || (a.State == GridState.Joining && string.CompareOrdinal(self, a.Address) < 0));

    private static bool IsBetter(ProbeReply a, ProbeReply b, IReadOnlyDictionary<string, int> failed)
    {
        int failedA = failed.GetValueOrDefault(a.Address);
        int failedB = failed.GetValueOrDefault(b.Address);
        return failedA != failedB
            ? failedA < failedB
            : MergeRule.Compare(MergeRule.LiveReachable(a.Members), MergeRule.LiveReachable(b.Members)) > 0;
    }
}
