namespace GlooX.Grid;

/// <summary>
/// What the grid needs from the outside: authenticated streams and one question. The listener belongs to the outside too and
/// must outlive the membership's engine: a refused connection is taken as proof that the process is gone.
/// </summary>
public interface IGridTransport
{
    /// <summary>
    /// Opens an authenticated stream to the grid port of <paramref name="address"/>. The caller owns the stream. On the other
    /// side it goes to <see cref="GridMembership.AcceptAsync"/>. Unacknowledged data should break it within seconds
    /// (TCP_USER_TIMEOUT), or the return after a long cut is slow.
    /// </summary>
    /// <exception cref="IOException">Or a SocketException: no stream. Refused must show as ConnectionRefused, here or as an inner exception.</exception>
    Task<Stream> DialAsync(string address, CancellationToken cancellationToken);

    /// <summary>
    /// Asks the agent at <paramref name="address"/> who it is: <see cref="GridMembership.AnswerProbe"/> on the other side.
    /// Fails as <see cref="DialAsync"/> does; fills in <see cref="ProbeReply.ReachedFrom"/> when it can.
    /// </summary>
    Task<ProbeReply> ProbeAsync(string address, ProbeRequest request, CancellationToken cancellationToken);
}

/// <summary>Who asks.</summary>
/// <param name="From">The prober's advertised "host:port", empty while it has none.</param>
/// <param name="NodeId">The prober's <see cref="GridOptions.NodeId"/>.</param>
/// <param name="State">What the prober is about.</param>
public sealed record ProbeRequest(string From, string NodeId, GridState State);

/// <summary>Who answers, and whom it sees.</summary>
/// <param name="Address">The advertised "host:port", empty while there is none.</param>
/// <param name="Incarnation">The engine that runs now; empty: none runs.</param>
/// <param name="NodeId">The answerer's <see cref="GridOptions.NodeId"/>.</param>
/// <param name="State">What the answerer is about.</param>
/// <param name="Members">The live members that it knows, itself included; empty before <see cref="GridState.Up"/>.</param>
public sealed record ProbeReply(string Address, string Incarnation, string NodeId, GridState State, IReadOnlyList<MemberView> Members)
{
    /// <summary>
    /// The prober's own host as its connection sees it. Not part of the answer: the prober's transport fills it in,
    /// and a prober without an advertised address adopts it.
    /// </summary>
    public string? ReachedFrom { get; init; }
}

/// <summary>One member as another one sees it at this moment, without any smoothing.</summary>
/// <param name="Address">The member's advertised "host:port".</param>
/// <param name="Incarnation">The member's engine.</param>
/// <param name="NodeId">The member's process.</param>
/// <param name="Reachable">False: some member finds it unreachable.</param>
/// <param name="Heard">Whether the answerer itself receives its heartbeats; null when it does not watch this one. In large grids each watches nine.</param>
public sealed record MemberView(string Address, string Incarnation, string NodeId, bool Reachable, bool? Heard);

/// <summary>What an agent is about.</summary>
public enum GridState
{
    /// <summary>In no grid and looking for none: it knows no peer, has not started or has left. No engine runs.</summary>
    Alone,

    /// <summary>Looking for a grid among its peers.</summary>
    Joining,

    /// <summary>Found none and begins one: wait for it.</summary>
    Forming,

    /// <summary>Member of a grid, which may have just this one member.</summary>
    Up,
}
