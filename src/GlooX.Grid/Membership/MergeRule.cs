namespace GlooX.Grid;

internal enum MergeVerdict
{
    /// <summary>The same grid, or one whose gossip has not converged.</summary>
    Same,

    /// <summary>Another grid, which should join ours.</summary>
    Stay,

    /// <summary>Another grid, which we should join.</summary>
    Yield,
}

/// <summary>
/// Decides which of two grids joins the other. The larger one stays, so each merge makes a larger grid and members never go back and forth.
/// </summary>
internal static class MergeRule
{
    /// <summary>Consecutive probes that must show another grid before an agent yields: gossip may lag by one.</summary>
    public const int Confirmations = 2;

    public static MergeVerdict Judge(NodeKey self, IReadOnlyList<MemberView> ours, ProbeReply other)
    {
        if (other.State != GridState.Up)
        {
            return MergeVerdict.Same;
        }

        HashSet<NodeKey> mine = LiveReachable(ours);
        HashSet<NodeKey> theirs = LiveReachable(other.Members);
        var peer = new NodeKey(other.Address, other.Incarnation);
        bool mutual = ours.Any(m => Key(m) == peer) && other.Members.Any(m => Key(m) == self);
        if (mutual || theirs.Count == 0 || theirs.Overlaps(mine))
        {
            return MergeVerdict.Same;
        }

        return Compare(mine, theirs) < 0 ? MergeVerdict.Yield : MergeVerdict.Stay;
    }

    /// <summary>
    /// Greater than zero when grid <paramref name="a"/> stays: the larger one, of equal ones the one with the lowest address.
    /// </summary>
    public static int Compare(IReadOnlyCollection<NodeKey> a, IReadOnlyCollection<NodeKey> b) => a.Count != b.Count
        ? a.Count.CompareTo(b.Count)
        : string.CompareOrdinal(Lowest(b), Lowest(a));

    public static HashSet<NodeKey> LiveReachable(IEnumerable<MemberView> members) => [.. members.Where(m => m.Reachable).Select(Key)];

    private static NodeKey Key(MemberView member) => new(member.Address, member.Incarnation);

    private static string? Lowest(IReadOnlyCollection<NodeKey> keys) => keys.Select(k => k.Address).Min(StringComparer.Ordinal);
}
