namespace GlooX.Grid;

/// <summary>
/// What the membership needs from the network: authenticated streams and probes. The port that accepts both must stay open as long as
/// the process runs, while engines come and go: a refused connection is taken as proof that the process has ended.
/// </summary>
internal interface IGridTransport
{
    /// <summary>
    /// Opens an authenticated stream to the grid port of <paramref name="address"/>, where it goes to
    /// <see cref="IMembership.AcceptAsync"/>. The caller disposes the stream. Unacknowledged data should break the stream within
    /// seconds (TCP_USER_TIMEOUT), or a member returns late after a long cut.
    /// </summary>
    /// <exception cref="IOException">
    /// Or a SocketException: the stream could not be opened. A refusal must appear as ConnectionRefused, as this or as an inner exception.
    /// </exception>
    Task<Stream> DialAsync(string address, CancellationToken ct);

    /// <summary>
    /// Sends a probe to the agent at <paramref name="address"/>, where <see cref="IMembership.AnswerProbe"/> answers it. Fails as
    /// <see cref="DialAsync"/> does. Sets <see cref="ProbeReply.ReachedFrom"/> when it knows the local address.
    /// </summary>
    Task<ProbeReply> ProbeAsync(string address, ProbeRequest request, CancellationToken ct);
}

/// <summary>A probe: who asks.</summary>
/// <param name="From">The prober's advertised "host:port"; empty while unknown.</param>
/// <param name="NodeId">The prober's <see cref="GridOptions.NodeId"/>.</param>
/// <param name="State">The state of the prober's membership.</param>
internal sealed record ProbeRequest(string From, string NodeId, GridState State);

/// <summary>The answer to a probe: who answers, and which members it sees.</summary>
/// <param name="Address">The advertised "host:port" of the agent that answers; empty while unknown.</param>
/// <param name="Incarnation">The engine that runs now; empty when none runs.</param>
/// <param name="NodeId">The <see cref="GridOptions.NodeId"/> of the agent that answers.</param>
/// <param name="State">The state of its membership.</param>
/// <param name="Members">The live members that it knows, itself included; empty before <see cref="GridState.Up"/>.</param>
internal sealed record ProbeReply(string Address, string Incarnation, string NodeId, GridState State, IReadOnlyList<MemberView> Members)
{
    /// <summary>
    /// The prober's own host on the connection of the probe. Not part of the answer: the prober's transport sets it, and a prober
    /// without an advertised address takes it.
    /// </summary>
    public string? ReachedFrom { get; init; }
}

/// <summary>One member as another member sees it at this moment, without smoothing.</summary>
/// <param name="Address">The member's advertised "host:port".</param>
/// <param name="Incarnation">The member's engine.</param>
/// <param name="NodeId">The member's process.</param>
/// <param name="Reachable">False when some member finds it unreachable.</param>
/// <param name="Heard">
/// Whether the agent that answers receives the member's heartbeats; null when it does not monitor this member. In large grids each
/// member monitors nine others.
/// </param>
internal sealed record MemberView(string Address, string Incarnation, string NodeId, bool Reachable, bool? Heard);

/// <summary>State of an agent's membership.</summary>
internal enum GridState
{
    /// <summary>In no grid and looking for none: no peer is known, or the membership is not started or has left. No engine runs.</summary>
    Alone,

    /// <summary>Looking for a grid among its peers.</summary>
    Joining,

    /// <summary>Found no grid and is forming one; others wait for it.</summary>
    Forming,

    /// <summary>Member of a grid, which may have one member only.</summary>
    Up,
}
