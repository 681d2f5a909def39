namespace GlooX;

/// <summary>What happened to a process, or to the line to its node.</summary>
public enum ProcessEventKind
{
    /// <summary>
    /// The node is watched from now on; what happened there before is not told. It comes first, and again when the node was lost and came
    /// back.
    /// </summary>
    Watching,

    /// <summary>The node is not reached any more: what happens there is not told.</summary>
    Lost,

    /// <summary>The process was started; whether it gets ready is to be seen.</summary>
    Started,

    /// <summary>A class answers; an executable runs.</summary>
    Ready,

    /// <summary>It has ended or could not be started again, and is started again after a pause.</summary>
    Restarting,

    /// <summary>It was started again, and is ready again.</summary>
    Restarted,

    /// <summary>It has ended for good; nothing more comes of it.</summary>
    Exited,
}

/// <summary>Something that happened to a process of the grid; see <see cref="GlooXClient.WatchProcessesAsync"/>. Immutable.</summary>
/// <param name="Kind">What.</param>
/// <param name="Node">Where, as <c>host:port</c>.</param>
/// <param name="Time">When, by the node's clock; of <see cref="ProcessEventKind.Lost"/> by that of the asked agent.</param>
public sealed record ProcessEvent(ProcessEventKind Kind, string Node, DateTimeOffset Time)
{
    /// <summary>Names the process in its grid; empty: it is about the node.</summary>
    public string Id { get; init; } = "";

    /// <summary>The class, or what the process is called.</summary>
    public string Name { get; init; } = "";

    /// <summary>Its process id, on its node's machine; of what has ended, the last one.</summary>
    public int Pid { get; init; }

    /// <summary>Where it answers, as <c>host:port</c>; empty: it does not yet, or is an executable.</summary>
    public string Url { get; init; } = "";

    /// <summary>How it ended; null: it has not.</summary>
    public ExitStatus? Exit { get; init; }

    /// <summary>How often it was started again so far.</summary>
    public int Restarts { get; init; }

    /// <summary>After which pause it is started again; null: it is not.</summary>
    public TimeSpan? Pause { get; init; }

    /// <summary>Why: how a start failed, or that the process was given up; else empty.</summary>
    public string Reason { get; init; } = "";

    /// <summary>How many events just before this one the watcher was too slow for: they are lost to it.</summary>
    public long Missed { get; init; }
}
