namespace GlooX;

/// <summary>What a process does.</summary>
public enum ProcessState
{
    /// <summary>It runs.</summary>
    Running,

    /// <summary>It has ended for good.</summary>
    Exited,

    /// <summary>Its node does not answer, or has forgotten it: a node remembers for five minutes how a process ended.</summary>
    Unknown,

    /// <summary>It has ended and is started again, after a pause; see <see cref="SpawnOptions.Restart"/>.</summary>
    Restarting,
}
