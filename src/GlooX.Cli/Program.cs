using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.RegularExpressions;
using GlooX;
using GlooX.Cli;

var root = new RootCommand("""
    GlooX: a grid of agents, and processes on the best machine of it.

    Start an agent on each machine, point it at any other, then spawn:
      gloox agent --url 0.0.0.0:9999
      gloox agent --url 0.0.0.0:9999 --peer other-machine:9999
      gloox spawn Child child.cs
    """)
{
    AgentCommand.Create(), StatusCommand.Create(), SpawnCommand.Create(), PrepareCommand.Create(), RunCommand.Create(), PsCommand.Create(), LogsCommand.Create(), EventsCommand.Create(), CallCommand.Create(), KillCommand.Create(),
    ChannelCommand.Create(), TokenCommand.Create(), JoinCommand.Create(), CertsCommand.Create(), RevokeCommand.Create(),
};

ParseResult parsed = root.Parse(args);
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
