using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.RegularExpressions;
using GlooX;
using GlooX.Cli;

TerminalWriter.Use();
ParseResult parsed = Commands.All().Parse(args);
if (parsed.Errors.Count > 0)
{
    string error = (parsed.Errors.FirstOrDefault(e => e.Message.StartsWith("Unrecognized", StringComparison.Ordinal)) ?? parsed.Errors[0]).Message;
    await Console.Error.WriteLineAsync($"gloox: {error} (see: {Line(parsed.CommandResult)} --help)");
    return ExitCode.Usage;
}

try
{
    return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = TimeSpan.FromSeconds(15) });
}
catch (OperationCanceledException)
{
    return ExitCode.Interrupted;
}
catch (ArgumentException e)
{
    await Console.Error.WriteLineAsync($"gloox: {OneLine(e.Message)}");
    return ExitCode.Usage;
}
catch (Exception e) when (e is GlooXException or IOException or UnauthorizedAccessException)
{
    await Console.Error.WriteLineAsync($"gloox: {OneLine(e.Message)}");
    return ExitCode.Failed;
}

string Line(CommandResult result) => result.Parent is CommandResult above ? $"{Line(above)} {result.Command.Name}" : "gloox";

// A compiler's errors and a child's last lines keep their lines, indented; all else is one. Parameters mean nothing on a command line.
static string OneLine(string message) => ParameterName().Replace(message, "").ReplaceLineEndings("\n  ");

internal static partial class Program
{
    [GeneratedRegex(@" \(Parameter '[^']*'\)", RegexOptions.CultureInvariant, matchTimeoutMilliseconds: 1000)]
    private static partial Regex ParameterName();
}
