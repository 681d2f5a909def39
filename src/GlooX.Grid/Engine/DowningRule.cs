namespace GlooX.Grid;

/// <summary>
/// When a member is taken off the list. Only ever others, never oneself: the survivor of two survives, and two halves of a grid
/// both go on until they meet again.
/// </summary>
internal static class DowningRule
{
    /// <summary>Ticks that come closer are the timer's catching up after this process stood still, and would make it forget everybody.</summary>
    public static readonly TimeSpan ShortestTick = TimeSpan.FromSeconds(0.5);

    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(400);
    private const int LastRank = 5;

    /// <summary>How many reachable members come before this one: the first acts, the next only if the first did not.</summary>
    public static int Rank(string self, IEnumerable<string> reachable) =>
        Math.Min(LastRank, reachable.Count(address => string.CompareOrdinal(address, self) < 0));

    public static TimeSpan Delay(int rank) => rank * Step;

    /// <summary>Whether a member has been silent long enough, in ticks of a second.</summary>
    public static bool IsForgotten(int silentTicks, TimeSpan forgetAfter, int rank) => silentTicks >= forgetAfter.TotalSeconds + rank;

    public static bool IsTick(TimeSpan sinceLast) => sinceLast >= ShortestTick;

    /// <summary>
    /// Whether a silent member is seen by anybody: it answers and still counts us in, or another member hears its heartbeats.
    /// Then the trouble is one link and not the member.
    /// </summary>
    public static bool IsSeen(NodeKey self, NodeKey silent, IEnumerable<ProbeReply> answers) => answers.Any(answer =>
        answer.Address == silent.Address && answer.Incarnation == silent.Incarnation
            ? answer.Members.Any(m => m.Address == self.Address && m.Incarnation == self.Incarnation)
            : ViewOf(silent, answer)?.Heard == true);

    /// <summary>How many others watch the member and hear nothing.</summary>
    public static int Witnesses(NodeKey silent, IEnumerable<ProbeReply> answers) => answers.Count(answer =>
        answer.Address != silent.Address && ViewOf(silent, answer)?.Heard == false);

    private static MemberView? ViewOf(NodeKey member, ProbeReply answer) =>
        answer.Members.FirstOrDefault(m => m.Address == member.Address && m.Incarnation == member.Incarnation);
}
