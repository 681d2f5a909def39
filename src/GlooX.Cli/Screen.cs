using Spectre.Console;

namespace GlooX.Cli;

/// <summary>Tables, as wide as they need to be where nobody looks at a screen.</summary>
internal static class Screen
{
    /// <summary>Adds a row of plain texts: nothing in them is taken as markup, such as the brackets of an IPv6 address, or as an order to the terminal.</summary>
    public static void Row(Table table, params string[] cells) =>
        table.AddRow([.. cells.Select(static c => new Text(TerminalWriter.Escape(c.Replace('\n', ' ').Replace('\t', ' '))))]);

    public static void Write(Table table)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(TerminalWriter.Output) });
        if (Console.IsOutputRedirected)
        {
            console.Profile.Width = 200;
        }

        console.Write(table);
    }
}
