namespace GlooX;

/// <summary>What a spawn is doing.</summary>
public enum SpawnStage
{
    /// <summary>Source is being built; only when it has changed.</summary>
    Building = 0,

    /// <summary>Files travel to the agent; only those that it does not have.</summary>
    Sending = 1,

    /// <summary>The process is being started: files may still travel from the agent to the node that was chosen.</summary>
    Starting = 2,
}

/// <summary>How far a spawn is.</summary>
/// <param name="Stage">What it is doing.</param>
/// <param name="Bytes">While sending: how many bytes were sent. Else 0.</param>
/// <param name="TotalBytes">While sending: how many will be. Else 0.</param>
public readonly record struct SpawnProgress(SpawnStage Stage, long Bytes, long TotalBytes);
