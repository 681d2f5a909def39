namespace GlooX.Grid;

/// <summary>
/// The list of members as it is shown, computed from the engine's view: one entry for each address, unreachable only after a while, and
/// no member removed merely because an engine restarts. A state machine without clock, lock or thread.
/// </summary>
internal sealed class MemberTable(TimeSpan showUnreachableAfter)
{
    private readonly SortedDictionary<string, Entry> _entries = new(StringComparer.Ordinal);

    /// <summary>How long a missing member stays listed after a sign of life.</summary>
    private static readonly TimeSpan HoldFor = TimeSpan.FromSeconds(1);

    /// <summary>How long a living member may take to return after its engine, or ours, has restarted.</summary>
    private static readonly TimeSpan HoldLimit = TimeSpan.FromSeconds(8);

    /// <param name="Member">The member as shown.</param>
    /// <param name="UnreachableSince">When it became unreachable.</param>
    /// <param name="MissingSince">When the engine stopped listing it, for a member that is held.</param>
    /// <param name="HeldUntil">Until when it stays listed although the engine does not list it.</param>
    private sealed record Entry(GridMember Member, TimeSpan? UnreachableSince, TimeSpan? MissingSince = null, TimeSpan? HeldUntil = null);

    public IEnumerable<GridMember> Members => _entries.Values.Select(e => e.Member);

    /// <summary>Whether the passing of time alone will change the table: update it again soon.</summary>
    public bool IsPending { get; private set; }

    /// <summary>Holds all members: this agent's engine is a new one, and members of before may still have to arrive.</summary>
    public void HoldAll(TimeSpan now)
    {
        foreach (string address in _entries.Keys.ToList())
        {
            Hold(address, now);
        }
    }

    /// <summary>Holds a member that is known to live although the engine does not list it now.</summary>
    public void Hold(string address, TimeSpan now)
    {
        if (_entries.TryGetValue(address, out Entry? entry))
        {
            _entries[address] = entry with { MissingSince = entry.MissingSince ?? now, HeldUntil = now + HoldFor };
        }
    }

    /// <summary>
    /// Members that the next update would remove: worth a probe first. A member that was unreachable before is not.
    /// </summary>
    public IReadOnlyList<GridMember> Vanished(IReadOnlyCollection<MemberView> others, TimeSpan now) => [.. _entries.Values
        .Where(e => e.Member.Reachable
            && !(e.HeldUntil > now)
            && !(now - e.MissingSince >= HoldLimit)
            && others.All(o => o.Address != e.Member.Address))
        .Select(e => e.Member)];

    /// <summary>Removes all members: this agent is in no grid any more.</summary>
    public IReadOnlyList<GridChange> Clear()
    {
        var changes = new List<GridChange>();
        foreach (Entry entry in _entries.Values.ToList())
        {
            Remove(entry.Member, changes);
        }

        IsPending = false;
        return changes;
    }

    /// <param name="others">The live members without this agent.</param>
    /// <param name="now">Monotonic time.</param>
    public IReadOnlyList<GridChange> Update(IReadOnlyCollection<MemberView> others, TimeSpan now)
    {
        var changes = new List<GridChange>();
        Dictionary<string, MemberView> seen = Newest(others);
        IsPending = false;

        foreach (Entry entry in _entries.Values.Where(e => !seen.ContainsKey(e.Member.Address)).ToList())
        {
            if (entry.HeldUntil > now)
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
        _entries[view.Address] = new Entry(member, since);
        IsPending |= reachable && since is not null;

        if (known is null)
        {
            changes.Add(new GridChange(GridChangeKind.Joined, member));
        }
        else if (reachable != wasReachable)
        {
            changes.Add(new GridChange(reachable ? GridChangeKind.Reachable : GridChangeKind.Unreachable, member));
        }
    }

    private void Remove(GridMember member, List<GridChange> changes)
    {
        _entries.Remove(member.Address);
        changes.Add(new GridChange(GridChangeKind.Removed, member));
    }

    /// <summary>Of two incarnations at one address, the old one is about to be downed.</summary>
    private static Dictionary<string, MemberView> Newest(IEnumerable<MemberView> members)
    {
        var newest = new Dictionary<string, MemberView>(StringComparer.Ordinal);
        foreach (MemberView member in members)
        {
            if (!newest.TryGetValue(member.Address, out MemberView? other)
                || (member.Reachable != other.Reachable
                    ? member.Reachable
                    : string.CompareOrdinal(member.Incarnation, other.Incarnation) > 0))
            {
                newest[member.Address] = member;
            }
        }

        return newest;
    }
}
