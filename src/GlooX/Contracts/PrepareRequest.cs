namespace GlooX.Contracts;

/// <summary>A payload that is to be ready in advance.</summary>
/// <param name="Bundle">Names its files.</param>
/// <param name="Assembly">The class's, as a path in the bundle; empty: it has none.</param>
/// <param name="Source">The agent that has the files.</param>
internal sealed record PrepareRequest(string Bundle, string Assembly, string Source);

/// <summary>Who is ready.</summary>
/// <param name="Nodes">Those that have its files, by URL.</param>
internal sealed record PrepareReply(string[] Nodes)
{
    /// <summary>The asked agent does not have the bundle: send it, and ask again.</summary>
    public bool NeedsBundle { get; init; }
}
