namespace GlooX.Grid;

/// <summary>Who is in the grid. All that the rest of an agent knows about membership.</summary>
public interface IMembership
{
    /// <summary>This agent's own "host:port", null while unknown.</summary>
    string? Address { get; }

    /// <summary>What this agent is about.</summary>
    GridState State { get; }

    /// <summary>
    /// The members, this agent included (as soon as it has an address), by address. Members that are gone are not in it;
    /// cut-off ones are, as not reachable. While the engine restarts this is the last known list.
    /// </summary>
    IReadOnlyList<GridMember> Members { get; }

    /// <summary>
    /// Raised for each change of another member, in order, one at a time and outside all locks, after <see cref="Members"/> shows it.
    /// A handler that blocks holds up the following changes; one that throws harms nobody.
    /// </summary>
#pragma warning disable MA0046 // A change is data and not EventArgs.
    event EventHandler<GridChange>? Changed;
#pragma warning restore MA0046

    /// <summary>
    /// Takes the member at <paramref name="address"/> off the list of all, because it said goodbye or somebody knows better.
    /// If it lives and has not left, it comes back by itself within seconds, and no change is told. Unknown addresses are ignored.
    /// </summary>
    void Down(string address);

    /// <summary>
    /// Leaves without waiting for anybody's consent, within about two seconds. The others notice when they find this agent
    /// without an engine; who wants it sooner tells them to call <see cref="Down"/>.
    /// </summary>
    Task LeaveAsync(CancellationToken cancellationToken);
}

/// <summary>A member of the grid.</summary>
/// <param name="Address">Its advertised "host:port".</param>
/// <param name="NodeId">Its process: another id at the same address is another process.</param>
/// <param name="Incarnation">Its engine, which may restart within the same process; empty for this agent before it has one.</param>
/// <param name="Reachable">
/// False when any member has found it unreachable for <see cref="GridOptions.ShowUnreachableAfter"/>: a hint, no reason to drop work.
/// </param>
public sealed record GridMember(string Address, string NodeId, string Incarnation, bool Reachable);

/// <summary>One change of the list of members.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Member">To whom; its state after the change.</param>
public sealed record GridChange(GridChangeKind Kind, GridMember Member);

/// <summary>What may happen to a member.</summary>
public enum GridChangeKind
{
    /// <summary>It is new.</summary>
    Joined,

    /// <summary>It is cut off or stands still, and may come back.</summary>
    Unreachable,

    /// <summary>It was unreachable and is not any more.</summary>
    CameBack,

    /// <summary>
    /// Its process is gone, or it left, or it was silent for too long. If it comes back it joins.
    /// An engine that merely starts anew within a living process, as in a merge, is not told.
    /// </summary>
    Removed,
}

/// <summary>What was last heard of a configured peer: the stuff of messages such as "127.0.0.1:9997: connection refused".</summary>
/// <param name="Address">As configured.</param>
/// <param name="Answered">Whether the last probe was answered.</param>
/// <param name="Detail">Why it was not, or in which state the peer is; "not asked yet" before the first probe.</param>
public sealed record PeerState(string Address, bool Answered, string Detail)
{
    /// <summary>Whether it is this agent itself, by this or another name.</summary>
    public bool IsSelf { get; init; }

    /// <summary>Whether nobody listens there.</summary>
    public bool Refused { get; init; }

    /// <summary>"address: detail".</summary>
    public override string ToString() => $"{Address}: {Detail}";
}
