using GlooX.Slots;

namespace GlooX;

/// <summary>A node as it describes itself at one moment.</summary>
/// <param name="Url">Where it is reached, as <c>host:port</c>.</param>
/// <param name="NodeId">Unique for each start of an agent.</param>
/// <param name="Machine">The machine's name.</param>
/// <param name="Pid">The agent's process id.</param>
/// <param name="Cores">Processors that it may use.</param>
/// <param name="FreeMemoryBytes">Memory that a new process could be promised.</param>
/// <param name="FreeDiskBytes">Disk that a new process could be promised.</param>
/// <param name="Utilization">0 (nothing promised) to 1 (full): the largest share of memory, disk, a named resource and slots.</param>
/// <param name="Weight">How much it is preferred over others: 2 counts its room twice.</param>
/// <param name="Peers">The other members of its grid, as it sees them.</param>
public sealed record NodeInfo(
    string Url, string NodeId, string Machine, int Pid, int Cores, long FreeMemoryBytes, long FreeDiskBytes, double Utilization, double Weight, string[] Peers)
{
    /// <summary>Whether the agent takes processes.</summary>
    public NodeState State { get; init; } = NodeState.Ready;

    /// <summary>Cores and other named resources that a new process could be promised; one of which nothing is left is there with 0.</summary>
    public Dictionary<string, decimal> FreeResources { get; init; } = [];

    /// <summary>How many more processes it takes, whatever they need; <see cref="int.MaxValue"/> (default) where nothing limits their number.</summary>
    public int FreeSlots { get; init; } = int.MaxValue;
}

/// <summary>The states of an agent, in their order.</summary>
public enum NodeState
{
    /// <summary>The agent starts: it answers, and may not be in the grid yet.</summary>
    Starting = 0,

    /// <summary>The agent takes processes.</summary>
    Ready = 1,

    /// <summary>The agent stops: it takes no more processes.</summary>
    Draining = 2,

    /// <summary>The asked agent does not reach the node at the moment; the rest of the description is what the node said last.</summary>
    Unreachable = 3,
}

/// <summary>A process that an agent spawned.</summary>
/// <param name="Id">Names it at its node.</param>
/// <param name="Class">The class that it serves.</param>
/// <param name="Pid">Its process id, on its node's machine; while it waits to be started again, the last one.</param>
/// <param name="Node">The agent that runs it, as <c>host:port</c>.</param>
/// <param name="Url">Where it answers, as <c>host:port</c>.</param>
/// <param name="MemoryBytes">Memory reserved for it.</param>
/// <param name="DiskBytes">Disk reserved for it.</param>
/// <param name="Daemonize">Whether it outlives its agent.</param>
/// <param name="Started">When it was spawned.</param>
public sealed record ProcessInfo(
    string Id, string Class, int Pid, string Node, string Url, long MemoryBytes, long DiskBytes, bool Daemonize, DateTimeOffset Started)
{
    /// <summary>Cores and other named resources reserved for it.</summary>
    public Dictionary<string, decimal> Resources { get; init; } = [];

    /// <summary>What it is held to of that.</summary>
    public Enforcement Enforced { get; init; }

    /// <summary>Whether it runs, as its node said.</summary>
    public ProcessState State { get; init; }

    /// <summary>How it ended for good; null: it has not.</summary>
    public ExitStatus? Exit { get; init; }

    /// <summary>How often it was started again; see <see cref="SpawnOptions.Restart"/>.</summary>
    public int Restarts { get; init; }

    /// <summary>How it ended last, whether it was started again or not; null: it never has.</summary>
    public ExitStatus? LastExit { get; init; }

    /// <summary>Its own folder, on its node's machine; see <see cref="SpawnOptions.KeepTmpDir"/>.</summary>
    public string TmpDir { get; init; } = "";

    /// <summary>
    /// The name in its certificate, <c>gloox://process/NODE/ID</c>: with it as <see cref="RpcClientOptions.ServerName"/> no other process can answer for it.
    /// Empty: it answers no calls, or has the certificate of its agent.
    /// </summary>
    public string ProcessName { get; init; } = "";
}
