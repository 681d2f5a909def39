using System.CommandLine;

namespace GlooX.Cli;

/// <summary><c>gloox logs</c>: what a process wrote.</summary>
internal static class LogsCommand
{
    public static Command Create()
    {
        var id = new Argument<string>("ID") { Description = "As gloox ps shows it" };
        var follow = new Option<bool>("--follow", "-f") { Description = "Go on until the process has ended, or Ctrl-C" };
        var last = new Option<int?>("--lines", "-n") { Description = "Only the last lines of what it wrote before. Default: all that is kept", HelpName = "COUNT" };
        var times = new Option<bool>("--times", "-t") { Description = "Show when its agent saw each line (UTC); - where that was before this agent" };
        Option<string> agent = Shared.Agent();
        Command command = Shared.Command("logs", "Shows what a process wrote, wherever in the grid it runs or ran not long ago; what it wrote as errors goes to the error output.", "gloox logs 3f2a90c1d7e4 -f -n 20");
        command.Add(id);
        foreach (Option option in (Option[])[follow, last, times, agent])
        {
            command.Add(option);
        }

        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(agent)!, parsed.GetValue(id)!, parsed.GetValue(last), parsed.GetValue(follow), parsed.GetValue(times), ct));
        return command;
    }

    private static async Task<int> RunAsync(string agent, string id, int? last, bool follow, bool times, CancellationToken ct)
    {
        await using GlooXClient client = new GlooXClient(agent);
        await using SpawnedProcess? process = await client.AttachAsync(id, ct);
        if (process is null)
        {
            await Console.Error.WriteLineAsync($"gloox: the grid of {client.Url} has no process {id} (see: gloox ps)");
            return ExitCode.Failed;
        }

        await foreach (LogLine line in process.LogsAsync(last, follow, ct))
        {
            Write(line, times ? $"{(line.Time is { } time ? $"{time.UtcDateTime:HH:mm:ss.fff}" : "-")} " : "");
        }

        return ExitCode.Done;
    }

    /// <summary>To the output that the process wrote it to.</summary>
    internal static void Write(LogLine line, string before = "") =>
        (line.Stream == OutputStream.Error ? Console.Error : Console.Out).WriteLine(before + line.Text);
}
