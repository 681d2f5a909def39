using System.CommandLine;
using Spectre.Console;

namespace GlooX.Cli;

/// <summary><c>gloox status</c>: the nodes of the grid.</summary>
internal static class StatusCommand
{
    public static Command Create()
    {
        Option<string> agent = Shared.Agent();
        Command command = Shared.Command("status", "Shows the nodes of the grid.", "gloox status --agent 127.0.0.1:9999");
        command.Add(agent);
        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(agent)!, ct));
        return command;
    }

    private static async Task<int> RunAsync(string agent, CancellationToken ct)
    {
        await using GlooXClient client = new GlooXClient(agent);
        IReadOnlyList<NodeInfo> nodes = await client.NodesAsync(ct);
        Table table = new Table().Border(TableBorder.Simple)
            .AddColumns("node", "state", "machine", "pid", "cores", "free memory", "free disk", "free resources", "used", "weight");
        foreach (NodeInfo node in nodes)
        {
            table.AddRow([.. Row(node).Select(Markup.Escape)]);
        }

        Screen.Write(table);
        int unreachable = nodes.Count(static n => n.State == NodeState.Unreachable);
        Console.WriteLine($"{nodes.Count} node{(nodes.Count == 1 ? "" : "s")}{(unreachable > 0 ? $", {unreachable} unreachable" : "")}");
        return ExitCode.Done;
    }

    private static string[] Row(NodeInfo node) => node.Cores == 0
        ? [node.Url, State(node)] // a node that the asked agent has never heard
        :
        [
            node.Url, State(node), node.Machine, $"{node.Pid}", $"{node.Cores}", ByteSize.Format(node.FreeMemoryBytes), ByteSize.Format(node.FreeDiskBytes),
            string.Join(", ", node.FreeResources.OrderBy(r => r.Key, StringComparer.Ordinal).Select(r => $"{r.Key}={r.Value:0.####}")),
            $"{node.Utilization:P0}", $"{node.Weight:0.##}",
        ];

    private static string State(NodeInfo node) => node.State.ToString().ToLowerInvariant();
}

/// <summary>Tables, as wide as they need to be where output is redirected.</summary>
internal static class Screen
{
    public static void Write(Table table)
    {
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings { Out = new AnsiConsoleOutput(Console.Out) });
        if (Console.IsOutputRedirected)
        {
            console.Profile.Width = 200;
        }

        console.Write(table);
    }
}
