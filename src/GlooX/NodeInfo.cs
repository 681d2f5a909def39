namespace GlooX;

/// <summary>A node as it describes itself at one moment.</summary>
/// <param name="Url">Where it is reached, as <c>host:port</c>.</param>
/// <param name="NodeId">Unique for each start of an agent.</param>
/// <param name="Machine">The machine's name.</param>
/// <param name="Pid">The agent's process id.</param>
/// <param name="Cores">Processors that it may use.</param>
/// <param name="FreeMemoryBytes">Memory that a new process could be promised.</param>
/// <param name="FreeDiskBytes">Disk that a new process could be promised.</param>
/// <param name="Utilization">0 (nothing promised) to 1 (full): the larger share of memory and disk.</param>
/// <param name="Peers">The other members of its grid, as it sees them.</param>
public sealed record NodeInfo(
    string Url, string NodeId, string Machine, int Pid, int Cores, long FreeMemoryBytes, long FreeDiskBytes, double Utilization, string[] Peers);
