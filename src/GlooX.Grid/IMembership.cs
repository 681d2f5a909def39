using System.Net;

namespace GlooX.Grid;

/// <summary>
/// Membership of one agent in a grid of equals: everything that an agent knows and does about membership goes through this interface.
/// All members are thread-safe.
/// </summary>
internal interface IMembership : IAsyncDisposable
{
    /// <summary>This agent's advertised "host:port"; null while unknown.</summary>
    string? Address { get; }

    /// <summary>The state of this agent's membership.</summary>
    GridState State { get; }

    /// <summary>
    /// The members by address, this agent included once it has an address. Unreachable members are listed, removed ones are not.
    /// While the engine restarts, this is the list of before.
    /// </summary>
    IReadOnlyList<GridMember> Members { get; }

    /// <summary>What the last probe of each configured peer showed.</summary>
    IReadOnlyList<PeerState> PeerStates { get; }

    /// <summary>Addresses of all other agents that are remembered, configured peers first: the list to keep on disk.</summary>
    IReadOnlyList<string> PeerAddresses { get; }

    /// <summary>
    /// Raised for each change of another member after <see cref="Members"/> shows it: in order, one at a time, outside all locks.
    /// A handler that blocks delays later changes; an exception of a handler is logged.
    /// </summary>
    event EventHandler<GridChange>? Changed;

    /// <summary>Sets the "host:port" by which others reach this agent. Setting the same address again has no effect.</summary>
    /// <exception cref="InvalidOperationException">Another address is in use, set before or taken from a connection.</exception>
    void SetAdvertisedAddress(string address);

    /// <summary>Tells where this agent listens, unless <see cref="GridOptions"/> has told it. To be called before <see cref="Start"/>.</summary>
    /// <param name="port">The port of probes and grid streams.</param>
    /// <param name="address">As in <see cref="SetAdvertisedAddress"/>; null: the first connection determines the address.</param>
    void Listen(int port, string? address);

    /// <summary>
    /// Starts the membership and returns at once (see <see cref="WaitUpAsync"/>). With peers it looks for their grid; without any it
    /// stays alone until another agent asks. Allowed again after <see cref="LeaveAsync"/>.
    /// </summary>
    /// <param name="peers">"host:port" of other agents. This agent's own address may be among them.</param>
    /// <exception cref="InvalidOperationException">The membership is already started.</exception>
    void Start(IEnumerable<string> peers);

    /// <summary>Adds the address of another agent. It is probed from now on; an agent that was alone joins its grid.</summary>
    void Learn(string address);

    /// <summary>
    /// Completes when this agent is in a grid, which may be a grid of itself. When no peer answers, that takes
    /// <see cref="GridOptions.FormAfter"/> (<see cref="PeerStates"/> tells why). Without peers, or without an address, it completes when
    /// another agent asks.
    /// </summary>
    Task WaitUpAsync(CancellationToken ct);

    /// <summary>
    /// Answers a probe of another agent and remembers its address. An agent that is alone then forms a grid, or joins the prober's.
    /// </summary>
    /// <param name="request">The request of an authenticated agent.</param>
    /// <param name="reachedAs">
    /// The local host that the prober connected to. It becomes this agent's address when none is known; an agent that listens on all
    /// interfaces should set one instead, since a neighbour on the same machine may connect to 127.0.0.1.
    /// </param>
    ProbeReply AnswerProbe(ProbeRequest request, string? reachedAs);

    /// <summary>
    /// Serves an inbound grid stream, which it disposes at the end. Completes without an exception when the stream has ended: at once
    /// when the stream was meant for an engine that no longer runs.
    /// </summary>
    Task AcceptAsync(Stream stream, GridCaller caller, CancellationToken ct);

    /// <summary>
    /// Removes the member at <paramref name="address"/> from the list of all members, because it said goodbye or is known to be dead.
    /// A living member that has not left returns within seconds, and no change is raised. Unknown addresses are ignored.
    /// </summary>
    void Down(string address);

    /// <summary>
    /// Leaves the grid without waiting for consent, within about two seconds. Others notice that no engine answers; to have them notice
    /// sooner, let one of them call <see cref="Down"/>.
    /// </summary>
    Task LeaveAsync(CancellationToken ct);
}

/// <summary>Result of the last probe of a configured peer, for messages such as "127.0.0.1:9997: connection refused".</summary>
/// <param name="Address">The address as configured.</param>
/// <param name="Answered">Whether the last probe was answered.</param>
/// <param name="Detail">The peer's state, or why the probe failed; "not probed yet" before the first probe.</param>
internal sealed record PeerState(string Address, bool Answered, string Detail)
{
    /// <summary>Whether the address is this agent's own, by this or another name.</summary>
    public bool IsSelf { get; init; }

    /// <summary>Whether the connection was refused: no process listens at the address.</summary>
    public bool Refused { get; init; }

    /// <summary>"address: detail".</summary>
    public override string ToString() => $"{Address}: {Detail}";
}
