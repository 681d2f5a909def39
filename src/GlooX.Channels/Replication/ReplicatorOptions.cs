namespace GlooX.Channels.Replication;

/// <summary>How replication behaves; times in milliseconds.</summary>
internal sealed record ReplicatorOptions
{
    /// <summary>How many digests are sent after the last change before they become rare.</summary>
    public const int StirDigests = 20;

    /// <summary>How far ahead of this machine's clock others may move the hybrid clock. Raising it lets a wrong clock win for longer.</summary>
    public long MaxDrift { get; init; } = 60_000;

    /// <summary>How often one member, in turn, is told what was seen, as long as anything changes. Lowering it finds lost messages sooner, for one small message each time.</summary>
    public long DigestInterval { get; init; } = 1_000;

    /// <summary>How often after that: each digest wakes two processes, and what was lost has been found by then.</summary>
    public long CalmInterval { get; init; } = 5_000;

    /// <summary>How long what another has may be missing here before it is asked for: it is usually under way.</summary>
    public long Patience { get; init; } = 500;

    /// <summary>How long an answer may make no progress before it is given up and asked for again.</summary>
    public long PullTimeout { get; init; } = 3_000;

    /// <summary>How long a tombstone stays at least. It must be longer than any message is under way.</summary>
    public long TombstoneAge { get; init; } = 30_000;

    /// <summary>
    /// After how long an origin that is not a member is forgotten, once nothing of it is left. Raising it makes contexts longer, by 14 bytes
    /// for each process that ended meanwhile. A node that was cut off for longer can bring back what the others have deleted.
    /// </summary>
    public long OriginAge { get; init; } = 24 * 3_600_000;

    /// <summary>
    /// After how long the part of a counter that a process has left is carried by another node; twice as long, and it is that node's own.
    /// Raising it keeps entries of ended processes for longer. Nodes that were cut off from each other for longer can count a share twice.
    /// </summary>
    public long CounterAge { get; init; } = 7 * 24 * 3_600_000;

    /// <summary>How long the names of removed channels are remembered. A node that was cut off for longer can bring its channel back.</summary>
    public long RemovedNameAge { get; init; } = 7 * 24 * 3_600_000;

    /// <summary>How long ephemeral entries stay whose owner was never a member; those of one that was go with it.</summary>
    public long StrangerAge { get; init; } = 30_000;
}

/// <summary>How many members must have applied a write before it counts as acknowledged; numbered as the public enum.</summary>
internal enum AckLevel
{
    Local,
    One,
    Majority,
    All,
}
