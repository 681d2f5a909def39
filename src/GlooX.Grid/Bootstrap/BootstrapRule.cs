namespace GlooX.Grid;

internal enum BootstrapAct
{
    Wait,
    Form,
    Join,
}

internal readonly record struct BootstrapStep(BootstrapAct Act, NodeKey Target = default);

/// <summary>What one round of probes has shown.</summary>
/// <param name="Self">This agent's address.</param>
/// <param name="Answers">Those who answered, without this agent itself.</param>
/// <param name="FailedJoins">How often joining by way of an address failed.</param>
/// <param name="LowestFor">For how many rounds in a row this agent's address has been the lowest of the waiting ones.</param>
/// <param name="Waited">How long this agent has been looking.</param>
/// <param name="FormAfter">See <see cref="GridOptions.FormAfter"/>.</param>
/// <param name="IsSeed">Somebody asked this agent for a grid while it had no peers of its own.</param>
internal sealed record BootstrapFacts(
    string Self,
    IReadOnlyList<ProbeReply> Answers,
    IReadOnlyDictionary<string, int> FailedJoins,
    int LowestFor,
    TimeSpan Waited,
    TimeSpan FormAfter,
    bool IsSeed);

/// <summary>Who joins whom, and who begins a grid.</summary>
internal static class BootstrapRule
{
    private const int LowestRounds = 3;

    /// <summary>
    /// A grid that is there is joined. Else one agent begins: a seed at once, of several waiting ones the lowest after three rounds
    /// (by then the others have heard of it), one whose peers are all silent after <see cref="GridOptions.FormAfter"/>.
    /// Two that begin at the same time merge later.
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
            return new BootstrapStep(BootstrapAct.Join, new NodeKey(best.Address, best.Incarnation));
        }

        bool waitedTooLong = facts.Waited > 3 * facts.FormAfter; // for one who says it forms and never does
        bool form = facts.IsSeed || waitedTooLong || (!facts.Answers.Any(a => a.State == GridState.Forming)
            && (facts.Answers.Any(a => a.State == GridState.Joining) ? facts.LowestFor >= LowestRounds : facts.Waited >= facts.FormAfter));
        return new BootstrapStep(form ? BootstrapAct.Form : BootstrapAct.Wait);
    }

    /// <summary>Whether this agent is the lowest of those that wait, and nobody forms.</summary>
    public static bool IsLowest(string self, IReadOnlyList<ProbeReply> answers) =>
        answers.Any(a => a.State == GridState.Joining)
        && answers.All(a => a.State == GridState.Alone || (a.State == GridState.Joining && string.CompareOrdinal(self, a.Address) < 0));

    private static bool IsBetter(ProbeReply a, ProbeReply b, IReadOnlyDictionary<string, int> failed)
    {
        int failedA = failed.GetValueOrDefault(a.Address);
        int failedB = failed.GetValueOrDefault(b.Address);
        return failedA != failedB ? failedA < failedB : MergeRule.Compare(MergeRule.LiveReachable(a.Members), MergeRule.LiveReachable(b.Members)) > 0;
    }
}
