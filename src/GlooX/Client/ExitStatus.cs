namespace GlooX;

/// <summary>How a process ended.</summary>
/// <param name="Code">The exit code; 0 with a signal.</param>
/// <param name="Signal">The signal that ended it; 0: it exited.</param>
public readonly record struct ExitStatus(int Code, int Signal)
{
    /// <summary>
    /// How a process ended is not known: no agent was there to see it, and it did not note it itself, as one that was killed.
    /// </summary>
    public static ExitStatus Unknown => new(-1, 0);

    /// <inheritdoc/>
    public override string ToString() => this == Unknown ? "unknown exit code" : Signal == 0 ? $"exit code {Code}" : $"signal {Signal}";
}
