using System.CommandLine;
using Spectre.Console;

namespace GlooX.Cli;

/// <summary><c>gloox status</c>: the nodes of the grid.</summary>
internal static class StatusCommand
{
    public static Command Create()
    {
        Option<string> agent = Shared.Agent();
        Command command = Shared.Command("status", "Shows the nodes of the grid and their states.", "gloox status --agent 127.0.0.1:9999");
        command.Add(agent);
        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(agent)!, ct));
        return command;
    }

    private static async Task<int> RunAsync(string agent, CancellationToken ct)
    {
        await using GlooXClient client = new GlooXClient(agent);
        NodeInfo asked = await client.InfoAsync(ct);
        (string Url, NodeInfo? Node)[] all = [(asked.Url, asked), .. await Task.WhenAll(asked.Peers.Select(peer => AskAsync(peer, ct)))];
        Table table = new Table().Border(TableBorder.Simple)
            .AddColumns("node", "state", "machine", "pid", "cores", "free memory", "free disk", "free resources", "used", "weight");
        foreach ((string url, NodeInfo? node) in all.OrderBy(static n => n.Url, StringComparer.Ordinal))
        {
            if (node is null)
            {
                table.AddRow(url, "does not answer");
                continue;
            }

            IEnumerable<string> resources = node.FreeResources.OrderBy(static r => r.Key, StringComparer.Ordinal).Select(static r => $"{r.Key}={r.Value:0.####}");
            table.AddRow(
                url, $"{node.State}".ToLowerInvariant(), Markup.Escape(node.Machine), $"{node.Pid}", $"{node.Cores}", ByteSize.Format(node.FreeMemoryBytes),
                ByteSize.Format(node.FreeDiskBytes), string.Join(", ", resources), $"{node.Utilization:P0}", $"{node.Weight:0.##}");
        }

        Screen.Write(table);
        int count = all.Count(static n => n.Node is not null);
        Console.WriteLine($"{count} node{(count == 1 ? "" : "s")}");
        return ExitCode.Done;
    }

    // Null: the node does not answer.
    private static async Task<(string Url, NodeInfo? Node)> AskAsync(string url, CancellationToken ct)
    {
        await using GlooXClient client = new GlooXClient(url);
        try
        {
            return (url, await client.InfoAsync(ct));
        }
        catch (RpcException)
        {
            return (url, null);
        }
    }
}

/// <summary>Tables, as wide as they need to be where nobody looks at a screen.</summary>
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
