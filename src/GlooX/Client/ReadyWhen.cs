namespace GlooX;

/// <summary>
/// When an executable counts as ready, so that its spawn returns. One that is not ready within <see cref="SpawnOptions.StartTimeout"/>, or
/// ends before, fails the spawn and is killed with all that it started. Immutable.
/// </summary>
public sealed record ReadyWhen
{
    private ReadyWhen()
    {
    }

    /// <summary>As soon as it runs. The default.</summary>
    public static ReadyWhen Started { get; } = new();

    /// <summary>When it has made the file that its variable <c>GLOOX_READY_FILE</c> names; what is in it does not matter.</summary>
    public static ReadyWhen FileMade { get; } = new() { NeedsFile = true };

    internal bool NeedsFile { get; private init; }

    internal string Text { get; private init; } = "";

    /// <summary>When it has written a line, to either output, which contains a text.</summary>
    /// <param name="text">The text, in its case; not empty, and within one line.</param>
    /// <returns>The condition.</returns>
    /// <exception cref="ArgumentException">The text is empty, or longer than a line.</exception>
    public static ReadyWhen Line(string text)
    {
        ArgumentException.ThrowIfNullOrEmpty(text);
        return text.AsSpan().IndexOfAny('\n', '\r') < 0
            ? new ReadyWhen { Text = text }
            : throw new ArgumentException("the text by which an executable is seen to be ready must be within one line", nameof(text));
    }
}
