namespace GlooX;

/// <summary>How a channel behaves, in the whole grid; fixed when it is created. Immutable.</summary>
public sealed record ChannelOptions
{
    /// <summary>
    /// Most keys. Default 1,000,000. A write beyond it fails on the node that makes it; nodes that write at once may together exceed it a
    /// little. Each key costs about 200 bytes beside its characters and its value, on every node.
    /// </summary>
    public int MaxEntries { get; init; } = 1_000_000;

    /// <summary>
    /// Most bytes of all keys (two for each character) and values. Default 1 GiB. Held by every node; bounded as <see cref="MaxEntries"/>
    /// is.
    /// </summary>
    public long MaxBytes { get; init; } = 1L << 30;

    /// <summary>Longest key, in bytes of UTF-8. Default 1,024, at most 65,536.</summary>
    public int MaxKeyBytes { get; init; } = 1024;

    /// <summary>Largest value, in bytes as serialized. Default 1 MiB, at most 8 MiB. A large one holds up what is sent behind it.</summary>
    public int MaxValueBytes { get; init; } = 1 << 20;

    /// <summary>
    /// How long entries live that are written without a time of their own. Null (default): for ever. In whole milliseconds.
    /// </summary>
    public TimeSpan? TimeToLive { get; init; }

    /// <summary>Whether and how the channel survives a restart of all nodes. Default <see cref="ChannelDurability.Memory"/>.</summary>
    public ChannelDurability Durability { get; init; }

    /// <summary>What a write waits for that does not say otherwise. Default <see cref="Acknowledgement.Local"/>.</summary>
    public Acknowledgement Acknowledge { get; init; }

    /// <summary>
    /// Who may read and watch the channel through an agent: a caller needs one of these roles. Default: everybody. Agents may in any case, since
    /// every agent holds the channel.
    /// </summary>
    public RpcRole Readers { get; init; } = RpcRole.Agent | RpcRole.Client | RpcRole.Child | RpcRole.Observer;

    /// <summary>
    /// Who may write, count in and remove the channel through an agent. Default: agents, clients and children. Agents may in any case;
    /// observers never may.
    /// </summary>
    public RpcRole Writers { get; init; } = RpcRole.Agent | RpcRole.Client | RpcRole.Child;

    /// <summary>These options, checked.</summary>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    internal ChannelOptions Checked()
    {
        bool isValid = MaxEntries > 0 && MaxBytes > 0 && MaxKeyBytes is > 0 and <= 65_536 && MaxValueBytes is > 0 and <= 8 << 20
            && TimeToLive is not { TotalMilliseconds: < 1 } && Enum.IsDefined(Durability) && Enum.IsDefined(Acknowledge)
            && Readers != RpcRole.None && (Readers & ~RpcRole.Any) == RpcRole.None && Writers != RpcRole.None && (Writers & ~(RpcRole.Any & ~RpcRole.Observer)) == RpcRole.None;
        return isValid ? this : throw new ArgumentException($"an option of the channel is out of its range: {this}");
    }
}

/// <summary>
/// What of a channel is on disk when a node ends without warning. Nodes without <c>AgentOptions.DataFolder</c> keep it in memory whatever
/// it says.
/// </summary>
public enum ChannelDurability
{
    /// <summary>Nothing: the state lives as long as one node does.</summary>
    Memory,

    /// <summary>
    /// Each write is given to the operating system before it counts as done: it survives the end of the process, not that of the machine.
    /// </summary>
    Process,

    /// <summary>As <see cref="Process"/>, and flushed to the disk each second: the machine's end costs at most the last second.</summary>
    EverySecond,

    /// <summary>Each write is flushed to the disk (fsync) before it counts as done. Writes that wait at once share a flush.</summary>
    EveryWrite,
}

/// <summary>
/// Who must have applied a write before it counts as done. It is applied here in any case, and reaches all that are reachable.
/// </summary>
public enum Acknowledgement
{
    /// <summary>This node. The others follow, usually within a millisecond.</summary>
    Local,

    /// <summary>At least one other.</summary>
    One,

    /// <summary>More than half of all members, this one and unreachable ones included.</summary>
    Majority,

    /// <summary>All members that are reachable.</summary>
    All,
}

/// <summary>How one write is made. Immutable.</summary>
public sealed record ChannelWriteOptions
{
    /// <summary>
    /// How long the entry lives, in whole milliseconds. Null (default): as <see cref="ChannelOptions.TimeToLive"/> says. Each node measures
    /// by its own clock, so clocks need not agree.
    /// </summary>
    public TimeSpan? TimeToLive { get; init; }

    /// <summary>
    /// Whether the entry goes when the node that wrote it leaves, dies or is forgotten by the grid. Default false. A node that is cut off
    /// for less than it takes to be forgotten keeps it; one that comes back later has it again.
    /// </summary>
    public bool Ephemeral { get; init; }

    /// <summary>Whom to wait for. Null (default): as <see cref="ChannelOptions.Acknowledge"/> says.</summary>
    public Acknowledgement? Acknowledge { get; init; }

    /// <summary>How long to wait for them. Default 5 s.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(5);

    internal static ChannelWriteOptions Default { get; } = new();
}
