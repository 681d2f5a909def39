namespace GlooX.Grid;

/// <summary>
/// Decides when a member is removed. A member never removes itself: the survivor of two stays up, and both halves of a cut grid go on until
/// they meet again.
/// </summary>
internal static class DowningRule
{
    /// <summary>
    /// Ticks that follow sooner are a timer that catches up after the process was suspended; counting them would remove all members.
    /// </summary>
    public static readonly TimeSpan ShortestTick = TimeSpan.FromSeconds(0.5);

    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(400);
    private const int LastRank = 5;

    /// <summary>Number of reachable members with a lower address, at most 5: the first acts, the next only if the first did not.</summary>
    public static int Rank(string self, IEnumerable<string> reachable) =>
        Math.Min(LastRank, reachable.Count(address => string.CompareOrdinal(address, self) < 0));

    public static TimeSpan Delay(int rank) => rank * Step;

    /// <summary>Whether a member has been silent long enough, in ticks of a second.</summary>
    public static bool IsForgotten(int silentTicks, TimeSpan forgetAfter, int rank) => silentTicks >= forgetAfter.TotalSeconds + rank;

    public static bool IsTick(TimeSpan sinceLast) => sinceLast >= ShortestTick;

    /// <summary>
    /// Whether a silent member lives: it answers and still lists this one as a member, or another member hears its heartbeats.
    /// Then one link is broken and not the member.
    /// </summary>
    public static bool IsSeen(NodeKey self, NodeKey silent, IEnumerable<ProbeReply> answers) => answers.Any(answer =>
        answer.Address == silent.Address && answer.Incarnation == silent.Incarnation
            ? answer.Members.Any(m => m.Address == self.Address && m.Incarnation == self.Incarnation)
            : ViewOf(silent, answer)?.Heard == true);

    /// <summary>Number of other members that monitor the silent one and do not hear its heartbeats.</summary>
    public static int Witnesses(NodeKey silent, IEnumerable<ProbeReply> answers) => answers.Count(answer =>
        answer.Address != silent.Address && ViewOf(silent, answer)?.Heard == false);

    private static MemberView? ViewOf(NodeKey member, ProbeReply answer) =>
        answer.Members.FirstOrDefault(m => m.Address == member.Address && m.Incarnation == member.Incarnation);
}
