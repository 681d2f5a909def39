using System.CommandLine;

namespace GlooX.Cli;

/// <summary><c>gloox kill</c>: ends a process.</summary>
internal static class KillCommand
{
    public static Command Create()
    {
        var id = new Argument<string>("ID") { Description = "As gloox ps shows it" };
        Option<string> agent = Shared.Agent();
        Command command = Shared.Command("kill", "Ends a process, wherever in the grid it runs, with all that it started.", "gloox kill 3f2a90c1d7e4");
        command.Add(id);
        command.Add(agent);
        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(agent)!, parsed.GetValue(id)!, ct));
        return command;
    }

    private static async Task<int> RunAsync(string agent, string id, CancellationToken ct)
    {
        await using GlooXClient client = new GlooXClient(agent);
        if (await client.KillAsync(id, ct))
        {
            Console.WriteLine($"{id} was killed");
            return ExitCode.Done;
        }

        await Console.Error.WriteLineAsync($"gloox: the grid of {client.Url} has no process {id} (see: gloox ps)");
        return ExitCode.Failed;
    }
}
