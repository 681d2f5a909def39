namespace GlooX;

/// <summary>How a process ended.</summary>
/// <param name="Code">The exit code; 0 with a signal.</param>
/// <param name="Signal">The signal that ended it; 0: it exited.</param>
public readonly record struct ExitStatus(int Code, int Signal)
{
    /// <inheritdoc/>
    public override string ToString() => Signal == 0 ? $"exit code {Code}" : $"signal {Signal}";
}
