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
        NodeInfo asked = await client.InfoAsync(ct);
        List<NodeInfo> nodes = [asked];
        List<string> silent = [];
        foreach (string peer in asked.Peers)
        {
            await using GlooXClient other = new GlooXClient(peer);
            try
            {
                nodes.Add(await other.InfoAsync(ct));
            }
            catch (RpcException)
            {
                silent.Add(peer);
            }
        }

        Table table = new Table().Border(TableBorder.Simple).AddColumns("node", "machine", "pid", "cores", "free memory", "free disk", "free resources", "used", "weight");
        foreach (NodeInfo node in nodes.OrderBy(n => n.Url, StringComparer.Ordinal))
        {
            Screen.Row(table, node.Url, node.Machine, $"{node.Pid}", $"{node.Cores}", ByteSize.Format(node.FreeMemoryBytes), ByteSize.Format(node.FreeDiskBytes), string.Join(", ", node.FreeResources.OrderBy(r => r.Key, StringComparer.Ordinal).Select(r => $"{r.Key}={r.Value:0.####}")), $"{node.Utilization:P0}", $"{node.Weight:0.##}");
        }

        silent.ForEach(url => Screen.Row(table, url, "does not answer"));
        Screen.Write(table);
        Console.WriteLine($"{nodes.Count} node{(nodes.Count == 1 ? "" : "s")}");
        return ExitCode.Done;
    }
}
