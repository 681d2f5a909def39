using System.Globalization;
using System.Text;

namespace GlooX.Cli;

/// <summary>
/// Writes to a terminal what others wrote: processes, nodes, certificates. Characters that would move the cursor, change colours, titles or the
/// order of letters are shown as what they are (<c>\x1b</c>); a new line and a tab stay. Where the output is redirected, nothing is changed.
/// </summary>
internal sealed class TerminalWriter(TextWriter terminal) : TextWriter(CultureInfo.InvariantCulture)
{
    public override Encoding Encoding => terminal.Encoding;

    /// <summary>The terminal itself, for what this tool draws: the text in it must be <see cref="Escape"/>d.</summary>
    public static TextWriter Output { get; private set; } = Console.Out;

    /// <summary>From now on all that goes to the console is escaped, as far as it is a terminal.</summary>
    public static void Use()
    {
        Output = Console.Out;
        if (!Console.IsOutputRedirected)
        {
            Console.SetOut(new TerminalWriter(Console.Out));
        }

        if (!Console.IsErrorRedirected)
        {
            Console.SetError(new TerminalWriter(Console.Error));
        }
    }

    /// <summary>A text as it may be shown on a terminal.</summary>
    public static string Escape(string text)
    {
        if (!text.Any(IsControl))
        {
            return text;
        }

        var shown = new StringBuilder();
        foreach (char c in text)
        {
            _ = IsControl(c) ? shown.Append(CultureInfo.InvariantCulture, $"\\{(c > 0xFF ? "u" : "x")}{(int)c:x2}") : shown.Append(c);
        }

        return shown.ToString();
    }

    public override void Flush() => terminal.Flush();

    public override void Write(char value) => terminal.Write(Escape(value.ToString()));

    public override void Write(string? value) => terminal.Write(Escape(value ?? ""));

    public override void Write(char[] buffer, int index, int count) => terminal.Write(Escape(new string(buffer, index, count)));

    public override void Write(ReadOnlySpan<char> buffer) => terminal.Write(Escape(new string(buffer)));

    // C0 and C1, and what turns the direction of writing (Unicode, UAX 9).
    private static bool IsControl(char c) => (char.IsControl(c) && c is not ('\n' or '\t')) || c is >= '\u202A' and <= '\u202E' or >= '\u2066' and <= '\u2069';
}
