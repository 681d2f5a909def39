namespace GlooX.Grid;

/// <summary>
/// Turns what the engine sees into what is shown: one entry for each address, unreachable only after a while, and nobody removed
/// merely because our own engine starts anew. A state machine without clock, lock or thread.
/// </summary>
internal sealed class Roster(TimeSpan showUnreachableAfter)
{
    private readonly SortedDictionary<string, Entry> _entries = new(StringComparer.Ordinal);

    /// <param name="Member">As shown.</param>
    /// <param name="UnreachableSince">Since when it has not been reachable.</param>
    /// <param name="Carried">Not seen by our present engine yet.</param>
    private sealed record Entry(GridMember Member, TimeSpan? UnreachableSince, bool Carried);

    public IEnumerable<GridMember> Members => _entries.Values.Select(e => e.Member);

    /// <summary>Time alone will change something: look again soon.</summary>
    public bool IsPending { get; private set; }

    /// <summary>Our engine is another one from now on.</summary>
    public void CarryOver()
    {
        foreach ((string address, Entry entry) in _entries.ToList())
        {
            _entries[address] = entry with { Carried = true };
        }
    }

    /// <param name="others">The live members without ourselves.</param>
    /// <param name="now">Monotonic time.</param>
    /// <param name="settling">Our engine is new: those who were members before may still be on the way.</param>
    public IReadOnlyList<GridChange> Update(IEnumerable<MemberView> others, TimeSpan now, bool settling)
    {
        var changes = new List<GridChange>();
        Dictionary<string, MemberView> seen = Newest(others);
        IsPending = false;

        foreach (Entry entry in _entries.Values.Where(e => !seen.ContainsKey(e.Member.Address)).ToList())
        {
            if (settling && entry.Carried)
            {
                IsPending = true;
            }
            else
            {
                Remove(entry.Member, changes);
            }
        }

        foreach (MemberView view in seen.Values.OrderBy(v => v.Address, StringComparer.Ordinal))
        {
            if (_entries.TryGetValue(view.Address, out Entry? known) && known.Member.NodeId != view.NodeId)
            {
                Remove(known.Member, changes);
                known = null;
            }

            Show(view, known, now, changes);
        }

        return changes;
    }

    private void Show(MemberView view, Entry? known, TimeSpan now, List<GridChange> changes)
    {
        TimeSpan? since = view.Reachable ? null : known?.UnreachableSince ?? now;
        bool wasReachable = known?.Member.Reachable ?? true;
        bool reachable = since is null || (wasReachable && now - since < showUnreachableAfter);
        var member = new GridMember(view.Address, view.NodeId, view.Incarnation, reachable);
        _entries[view.Address] = new Entry(member, since, Carried: false);
        IsPending |= reachable && since is not null;

        if (known is null)
        {
            changes.Add(new GridChange(GridChangeKind.Joined, member));
        }
        else if (reachable != wasReachable)
        {
            changes.Add(new GridChange(reachable ? GridChangeKind.CameBack : GridChangeKind.Unreachable, member));
        }
    }

    private void Remove(GridMember member, List<GridChange> changes)
    {
        _entries.Remove(member.Address);
        changes.Add(new GridChange(GridChangeKind.Removed, member));
    }

    /// <summary>Two incarnations at one address: the old one is about to be downed.</summary>
    private static Dictionary<string, MemberView> Newest(IEnumerable<MemberView> members)
    {
        var newest = new Dictionary<string, MemberView>(StringComparer.Ordinal);
        foreach (MemberView member in members)
        {
            if (!newest.TryGetValue(member.Address, out MemberView? other)
                || (member.Reachable != other.Reachable ? member.Reachable : string.CompareOrdinal(member.Incarnation, other.Incarnation) > 0))
            {
                newest[member.Address] = member;
            }
        }

        return newest;
    }
}
