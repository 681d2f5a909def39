using System.CommandLine;
using Spectre.Console;

namespace GlooX.Cli;

/// <summary><c>gloox ps</c>: the processes of the grid.</summary>
internal static class PsCommand
{
    public static Command Create()
    {
        Option<string> agent = Shared.Agent();
        Command command = Shared.Command("ps", "Shows the processes of the grid.", "gloox ps");
        command.Add(agent);
        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(agent)!, ct));
        return command;
    }

    private static async Task<int> RunAsync(string agent, CancellationToken ct)
    {
        await using GlooXClient client = new GlooXClient(agent);
        IReadOnlyList<ProcessInfo> processes = await client.ProcessesAsync(ct);
        if (processes.Count == 0)
        {
            Console.WriteLine("no processes");
            return ExitCode.Done;
        }

        Table table = new Table().Border(TableBorder.Simple).AddColumns("id", "class", "node", "pid", "url", "memory", "disk", "resources", "held by", "daemon", "state", "restarts", "started (UTC)");
        foreach (ProcessInfo p in processes)
        {
            Screen.Row(
                table, p.Id, p.Class, p.Node, $"{p.Pid}", p.Url, ByteSize.Format(p.MemoryBytes), ByteSize.Format(p.DiskBytes),
                ResourceAmounts.From(p.Resources).ToString(), $"{p.Enforced}", p.Daemonize ? "yes" : "no",
                $"{p.State}".ToLowerInvariant(), $"{p.Restarts}", $"{p.Started.UtcDateTime:yyyy-MM-dd HH:mm:ss}");
        }

        Screen.Write(table);
        return ExitCode.Done;
    }
}
