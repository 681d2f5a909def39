using System.Globalization;
using System.Text.RegularExpressions;

namespace GlooX;

/// <summary>An error that the compiler found in the source of a payload.</summary>
/// <param name="File">The file, as a full path; for errors that lie in no file, the project or tool that found it.</param>
/// <param name="Line">The line, from 1; 0: none.</param>
/// <param name="Column">The column, from 1; 0: none.</param>
/// <param name="Code">As in <c>CS0029</c>; it may be empty.</param>
/// <param name="Message">What is wrong.</param>
public sealed partial record BuildDiagnostic(string File, int Line, int Column, string Code, string Message)
{
    /// <summary>As compilers write it.</summary>
    /// <returns>For example <c>/src/child.cs(3,5): error CS0029: …</c>.</returns>
    public override string ToString() => $"{File}{(Line > 0 ? $"({Line},{Column})" : "")}: error {Code}: {Message}";

    /// <summary>The errors in what a build has written, each once. Its form is that of MSBuild's canonical error messages.</summary>
    internal static IReadOnlyList<BuildDiagnostic> ReadErrors(string output) =>
        [.. output.Split('\n').Select(static l => Error().Match(l.TrimEnd())).Where(static m => m.Success)
        .Select(static m => new BuildDiagnostic(
        m.Groups["file"].Value.Trim(), Number(m.Groups["line"]), Number(m.Groups["column"]), m.Groups["code"].Value,
            m.Groups["message"].Value)).Distinct()];

    private static int Number(Group group) =>
        group.Success && int.TryParse(group.ValueSpan, NumberStyles.None, CultureInfo.InvariantCulture, out int number) ? number : 0;

    [GeneratedRegex(@"^(?<file>.*?)(\((?<line>\d+)(,(?<column>\d+))?(,\d+)*\))?\s*:\s*error\s+(?<code>[A-Za-z]*\d*)\s*:\s*(?<message>.*?)(\s\[[^\[\]]*proj[^\[\]]*\]|\s\[[^\[\]]*\.cs\])?$", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Error();
}
