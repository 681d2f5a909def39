using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.RegularExpressions;

namespace GlooX.Cli.Tests;

/// <summary>The command lines that the docs and the help print are command lines of the tool.</summary>
public sealed partial class DocumentedCommandTests
{
    [Fact]
    public void Each_command_line_in_a_block_of_the_docs_can_be_typed()
    {
        string[] lines = [.. Documents().SelectMany(d => ShellBlock().Matches(d)).SelectMany(m => m.Groups["lines"].Value.Split('\n')).Select(Typed).OfType<string>()];
        Assert.True(lines.Length > 10, string.Join('\n', lines));
        Assert.All(lines, static line => Assert.Equal((line, ""), (line, string.Join(' ', Errors(line)))));
    }

    [Fact]
    public void Each_command_and_option_that_the_text_of_the_docs_names_exists()
    {
        string[] lines = [.. Documents().Select(d => ShellBlock().Replace(d, "")).SelectMany(d => Code().Matches(d)).Select(m => Typed(m.Groups["code"].Value)).OfType<string>()];
        Assert.True(lines.Length > 10, string.Join('\n', lines));
        Assert.All(lines, static line => Assert.Equal((line, ""), (line, string.Join(' ', Errors(line).Where(IsUnknown)))));
    }

    [Fact]
    public void Each_command_has_an_example_in_its_help_that_can_be_typed()
    {
        Command[] commands = [.. Leaves(Commands.All())];
        Assert.True(commands.Length > 10);
        Assert.All(commands, static command =>
        {
            string[] examples = [.. command.Description!.Split('\n').Select(Typed).OfType<string>()];
            Assert.NotEmpty(examples);
            Assert.All(examples, static line => Assert.Equal((line, ""), (line, string.Join(' ', Errors(line)))));
        });
    }

    private static IEnumerable<Command> Leaves(Command command) =>
        command.Subcommands.Count == 0 ? [command] : command.Subcommands.SelectMany(Leaves);

    private static IEnumerable<string> Documents() =>
        new[] { "README.md" }
            .Concat(Directory.GetFiles(Path.Combine(Shell.Repository, "docs"), "*.md"))
            .Concat(Directory.GetDirectories(Path.Combine(Shell.Repository, "src")).Select(static d => Path.Combine(d, "README.md")).Where(File.Exists))
            .Select(static f => File.ReadAllText(Path.Combine(Shell.Repository, f)));

    // The arguments of a line that runs the tool, without prompt and comment.
    private static string? Typed(string line)
    {
        Match match = ToolLine().Match(line);
        return match.Success ? Comment().Replace(match.Groups["arguments"].Value, "").Trim() : null;
    }

    private static IEnumerable<string> Errors(string line) => Commands.All().Parse(CommandLineParser.SplitCommandLine(line).ToArray()).Errors.Select(static e => e.Message);

    private static bool IsUnknown(string error) => error.StartsWith("Unrecognized", StringComparison.Ordinal);

    [GeneratedRegex("```sh\n(?<lines>.*?)```", RegexOptions.Singleline | RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex ShellBlock();

    [GeneratedRegex("`(?<code>[^`\n]+)`", RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex Code();

    [GeneratedRegex(@"^\s*([a-z]+\$)?\s*gloox\s+(?<arguments>.+)$", RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex ToolLine();

    [GeneratedRegex(@"\s+#.*$", RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex Comment();
}
