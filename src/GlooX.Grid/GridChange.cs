namespace GlooX;

/// <summary>A member of the grid: one agent process, as this agent sees it.</summary>
/// <param name="Address">The member's advertised "host:port".</param>
/// <param name="NodeId">Identifies the member's process. Another id at the same address is another process.</param>
/// <param name="Incarnation">
/// Identifies the run of the member's membership engine, which may restart within one process. Empty for this agent while no engine runs.
/// </param>
/// <param name="Reachable">
/// False when some member has not reached it for two seconds. Unreachable members often come back: this is a hint, not a reason to
/// give up their work.
/// </param>
public sealed record GridMember(string Address, string NodeId, string Incarnation, bool Reachable);

/// <summary>One change in the list of members.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Member">The member in its state after the change.</param>
public sealed record GridChange(GridChangeKind Kind, GridMember Member);

/// <summary>What can happen to a member of the grid.</summary>
public enum GridChangeKind
{
    /// <summary>The member is new in the grid.</summary>
    Joined,

    /// <summary>The member is cut off or does not respond. It may become reachable again.</summary>
    Unreachable,

    /// <summary>The member was unreachable and is reachable again.</summary>
    Reachable,

    /// <summary>
    /// The member's process ended, the member left, or it was unreachable for too long (45 s by default). A member that returns later
    /// joins again. Not raised when a living process merely restarts its membership engine, as in a merge of two grids.
    /// </summary>
    Removed,
}
