using System.CommandLine;

namespace GlooX.Cli;

/// <summary><c>gloox events</c>: what happens to processes.</summary>
internal static class EventsCommand
{
    public static Command Create()
    {
        var id = new Argument<string?>("ID") { Description = "Of this process alone, until it has ended for good. Default: of all", Arity = ArgumentArity.ZeroOrOne };
        Option<string> agent = Shared.Agent();
        Command command = Shared.Command("events", "Prints what happens to the processes of the grid from now on, one line each, until Ctrl-C. A node is watched from the line that says so.", "gloox events 3f2a90c1d7e4");
        command.Add(id);
        command.Add(agent);
        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(agent)!, parsed.GetValue(id), ct));
        return command;
    }

    private static async Task<int> RunAsync(string agent, string? id, CancellationToken ct)
    {
        await using GlooXClient client = new GlooXClient(agent);
        await foreach (ProcessEvent happened in client.WatchProcessesAsync(id, ct))
        {
            Console.WriteLine(Line(happened));
        }

        return ExitCode.Done;
    }

    private static string Line(ProcessEvent e)
    {
        string[] words =
        [
            $"{e.Time.UtcDateTime:HH:mm:ss.fff}", e.Node, $"{e.Kind}".ToLowerInvariant(), e.Id, e.Name,
            e.Id.Length > 0 ? $"pid {e.Pid}" : "", e.Kind is ProcessEventKind.Ready or ProcessEventKind.Restarted && e.Url.Length > 0 ? $"url {e.Url}" : "",
            $"{e.Exit}", e.Pause is { } pause ? $"again in {pause.TotalSeconds:0.##} s" : "", e.Restarts > 0 ? $"{e.Restarts} restarts" : "",
            e.Reason.ReplaceLineEndings(" "), e.Missed > 0 ? $"({e.Missed} events before this one are missing)" : "",
        ];
        return string.Join(' ', words.Where(static w => w.Length > 0));
    }
}
