using System.Globalization;
using System.Text;

namespace GlooX.Protocol;

/// <summary>
/// Text that the other side has chosen, made fit for messages: no character in it can end a line, move a terminal's cursor or turn the direction
/// of reading, so that nobody forges lines of a log or commands a terminal.
/// </summary>
internal static class ForeignText
{
    private const int MaxLength = 200;

    /// <summary>For within a line: the text, escaped and cut.</summary>
    public static string Of(string? text) => Escaped(Cut(text ?? "", MaxLength), isLine: true);

    /// <summary>For an error's message, which may have several lines: the text, escaped and cut.</summary>
    public static string Lines(string? text, int length) => Escaped(Cut(text ?? "", length), isLine: false);

    private static string Cut(string text, int length) => text.Length <= length ? text : text[..length] + "…";

    private static string Escaped(string text, bool isLine)
    {
        bool IsFit(char c) => char.GetUnicodeCategory(c) is not (UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator)
            || (!isLine && c is '\n' or '\t');
        if (text.All(IsFit))
        {
            return text;
        }

        var escaped = new StringBuilder();
        foreach (char c in text)
        {
            _ = IsFit(c) ? escaped.Append(c) : escaped.Append(CultureInfo.InvariantCulture, $"\\u{(int)c:x4}");
        }

        return escaped.ToString();
    }
}
