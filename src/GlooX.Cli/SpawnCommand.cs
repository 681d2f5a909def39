using System.CommandLine;
using Spectre.Console;

namespace GlooX.Cli;

/// <summary><c>gloox spawn</c>: a process on the best node.</summary>
internal static class SpawnCommand
{
    public static Command Create()
    {
        var name = new Argument<string>("CLASS") { Description = "A class that derives from Agent" };
        var file = new Argument<string>("FILE") { Description = "The .cs file or .dll that it is in" };
        var url = new Option<string?>("--url", "-u") { Description = "Where the process listens. Default: 127.0.0.1 and any free port", HelpName = "HOST:PORT" };
        var strategy = new Option<string>("--strategy", "-s") { Description = "Which node: horizontal (the most room), vertical (fill up), direct (the asked agent)", DefaultValueFactory = _ => "horizontal" };
        var daemonize = new Option<bool>("--daemonize", "-d") { Description = "Let the process outlive its agent" };
        var values = new Option<string[]>("--set") { Description = "A value for the process's Options.Values", HelpName = "KEY=VALUE", AllowMultipleArgumentsPerToken = false };
        var needs = new Needs();
        Option<string> agent = Shared.Agent();
        Command command = Shared.Command("spawn", "Spawns a process on the node of the grid that suits best.", "gloox spawn Child samples/demo/child.cs --set colour=blue");
        command.Add(name);
        command.Add(file);
        foreach (Option option in (Option[])[url, strategy, daemonize, .. needs.Options, values, agent])
        {
            command.Add(option);
        }

        command.SetAction((parsed, ct) => RunAsync(
            parsed.GetValue(agent)!,
            parsed.GetValue(name)!,
            parsed.GetValue(file)!,
            new SpawnOptions { Url = parsed.GetValue(url), Daemonize = parsed.GetValue(daemonize), Provision = needs.Read(parsed), Values = Pairs(parsed.GetValue(values) ?? []) },
            Strategy(parsed.GetValue(strategy)!),
            ct));
        return command;
    }

    private static async Task<int> RunAsync(string agent, string name, string file, SpawnOptions options, PlacementStrategy strategy, CancellationToken ct)
    {
        await using GlooXClient client = GlooXClient.Connect(agent);
        await client.AliveAsync(ct); // before anything is built for nobody
        Task<SpawnedProcess> spawning = client.SpawnAsync(name, file, options, strategy, ct);
        if (!Console.IsOutputRedirected)
        {
            await AnsiConsole.Status().StartAsync($"spawning {Markup.Escape(name)} (a .cs file is built first, if it is new) …", _ => Task.WhenAny(spawning));
        }

        await using SpawnedProcess process = await spawning;
        Console.WriteLine($"{process.Id} {name} runs on {process.Node}, pid {process.Pid}, url {process.Url}");
        return ExitCode.Done;
    }

    private static PlacementStrategy Strategy(string text) =>
        Enum.TryParse(text, ignoreCase: true, out PlacementStrategy strategy) && Enum.IsDefined(strategy) && !char.IsDigit(text[0])
            ? strategy
            : throw new ArgumentException($"there is no strategy '{text}'; there are {string.Join(", ", Enum.GetNames<PlacementStrategy>()).ToLowerInvariant()}");

    private static Dictionary<string, string> Pairs(string[] values)
    {
        Dictionary<string, string> pairs = new(StringComparer.Ordinal);
        foreach (string value in values)
        {
            int equals = value.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0)
            {
                throw new ArgumentException($"'{value}' is no KEY=VALUE");
            }

            pairs[value[..equals]] = value[(equals + 1)..];
        }

        return pairs;
    }
}
