namespace GlooX;

/// <summary>Where a process wrote to.</summary>
public enum OutputStream
{
    /// <summary>Its standard output.</summary>
    Output,

    /// <summary>Its standard error output.</summary>
    Error,
}

/// <summary>A line that a process wrote; one of more than 64 KiB comes in pieces.</summary>
/// <param name="Stream">Where to.</param>
/// <param name="Text">Without its end.</param>
/// <param name="Time">When its agent saw it, at most 50 ms late; null: it was written before this agent was there.</param>
public sealed record LogLine(OutputStream Stream, string Text, DateTimeOffset? Time);
