namespace GlooX.Grid;

internal enum MergeVerdict
{
    /// <summary>The same grid, or one in which gossip is still under way.</summary>
    Same,

    /// <summary>Another grid, which should come to us.</summary>
    Stay,

    /// <summary>Another grid, to which we should go.</summary>
    Yield,
}

/// <summary>Which of two grids gives itself up. The larger one stays, so each yield makes a larger grid, and nothing can go back and forth.</summary>
internal static class MergeRule
{
    /// <summary>How often in a row another grid must show before anybody yields: gossip may lag by one look.</summary>
    public const int Looks = 2;

    public static MergeVerdict Judge(NodeKey self, IReadOnlyList<MemberView> ours, ProbeReply other)
    {
        if (other.State != GridState.Up)
        {
            return MergeVerdict.Same;
        }

        HashSet<NodeKey> mine = LiveReachable(ours);
        HashSet<NodeKey> theirs = LiveReachable(other.Members);
        var it = new NodeKey(other.Address, other.Incarnation);
        bool mutual = ours.Any(m => Key(m) == it) && other.Members.Any(m => Key(m) == self);
        if (mutual || theirs.Count == 0 || theirs.Overlaps(mine))
        {
            return MergeVerdict.Same;
        }

        return Compare(mine, theirs) < 0 ? MergeVerdict.Yield : MergeVerdict.Stay;
    }

    /// <summary>Greater than zero: <paramref name="a"/> is the one that stays. The larger, of equal ones that with the lowest address.</summary>
    public static int Compare(IReadOnlyCollection<NodeKey> a, IReadOnlyCollection<NodeKey> b) => a.Count != b.Count
        ? a.Count.CompareTo(b.Count)
        : string.CompareOrdinal(Lowest(b), Lowest(a));

    public static HashSet<NodeKey> LiveReachable(IEnumerable<MemberView> members) => [.. members.Where(m => m.Reachable).Select(Key)];

    private static NodeKey Key(MemberView member) => new(member.Address, member.Incarnation);

    private static string? Lowest(IReadOnlyCollection<NodeKey> keys) => keys.Select(k => k.Address).Min(StringComparer.Ordinal);
}
