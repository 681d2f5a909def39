using System.CommandLine;

namespace GlooX.Cli;

/// <summary><c>gloox spawn</c>: a process on the best node.</summary>
internal static class SpawnCommand
{
    public static Command Create()
    {
        var what = new Argument<string[]>("[CLASS] FILE") { Description = "What to run: a .cs file, .csproj, .dll or folder, and which of its classes derived from Worker; or an executable or script", Arity = new ArgumentArity(1, 2) };
        var url = new Option<string?>("--url", "-u") { Description = "Where the process listens; 0.0.0.0:PORT for all addresses. Default: where its agent listens, any free port", HelpName = "HOST:PORT" };
        var strategy = new Option<string>("--strategy", "-s") { Description = "Which node: horizontal (the most room), vertical (fill up), direct (the asked agent)", DefaultValueFactory = _ => "horizontal" };
        var daemonize = new Option<bool>("--daemonize", "-d") { Description = "Let the process outlive its agent" };
        var restart = new Option<string>("--restart") { Description = "Whether it is started again when it has ended: never, on-failure, always", DefaultValueFactory = _ => "never", HelpName = "WHEN" };
        var restarts = new Option<int?>("--max-restarts") { Description = "After how many restarts within 10 minutes it is given up. Default: 10", HelpName = "COUNT" };
        var keep = new Option<bool>("--keep-tmp") { Description = "Leave the process's own folder where it is when it has ended" };
        var values = new Option<string[]>("--set") { Description = "A value for the process's Options.Values", HelpName = "KEY=VALUE", AllowMultipleArgumentsPerToken = false };
        var surroundings = new Surroundings();
        var command = new Option<string[]>("--command", "-c") { Description = "How an executable is run: once for the program, once for each argument. Default: the file itself", HelpName = "WORD", AllowMultipleArgumentsPerToken = false };
        var readyFile = new Option<bool>("--ready-file") { Description = "Wait until an executable has made the file that its GLOOX_READY_FILE names" };
        var readyLine = new Option<string?>("--ready-line") { Description = "Wait until an executable has written a line with this text", HelpName = "TEXT" };
        var needs = new Needs();
        Option<string> agent = Shared.Agent();
        Command spawn = Shared.Command("spawn", "Spawns a process on the node of the grid that suits best. Its files travel: the node needs neither them nor an SDK.", "gloox spawn Child samples/demo/child.cs --set colour=blue\n  gloox spawn job.py --command python3 --command job.py");
        spawn.Add(what);
        foreach (Option option in (Option[])[url, strategy, daemonize, restart, restarts, keep, .. needs.Options, values, .. surroundings.Options, command, readyFile, readyLine, agent])
        {
            spawn.Add(option);
        }

        spawn.SetAction((parsed, ct) => RunAsync(
            parsed.GetValue(agent)!,
            parsed.GetValue(what)!,
            new SpawnOptions
            {
                Url = parsed.GetValue(url),
                Daemonize = parsed.GetValue(daemonize),
                Restart = Policy(parsed.GetValue(restart)!, parsed.GetValue(restarts)),
                KeepTmpDir = parsed.GetValue(keep),
                Provision = needs.Read(parsed),
                Values = Surroundings.Pairs(parsed.GetValue(values)),
                Environment = surroundings.Variables(parsed),
                User = surroundings.User(parsed),
                Command = parsed.GetValue(command) ?? [],
                Ready = Ready(parsed.GetValue(readyFile), parsed.GetValue(readyLine)),
                Strategy = Strategy(parsed.GetValue(strategy)!),
            },
            ct));
        return spawn;
    }

    private static async Task<int> RunAsync(string agent, string[] what, SpawnOptions options, CancellationToken ct)
    {
        await using GlooXClient client = new GlooXClient(agent);
        await client.InfoAsync(ct); // before anything is built in vain
        await using SpawnedProcess process = Console.IsOutputRedirected
            ? await SpawnAsync(options)
            : await SpawnProgressBar.ShowAsync(what[^1], progress => SpawnAsync(options with { Progress = progress }));
        Console.WriteLine($"{process.Id} {what[0]} runs on {process.Node}, pid {process.Pid}{(process.Url.Length > 0 ? $", url {process.Url}" : "")}{(options.KeepTmpDir ? $", folder {process.TmpDir}" : "")}");
        return ExitCode.Done;

        Task<SpawnedProcess> SpawnAsync(SpawnOptions given) =>
            what is [string name, string file] ? client.SpawnAsync(name, file, given, ct) : client.SpawnAsync(what[0], given, ct);
    }

    private static ReadyWhen Ready(bool file, string? line) => (file, line) switch
    {
        (true, not null) => throw new ArgumentException("give --ready-file or --ready-line, not both"),
        (true, null) => ReadyWhen.FileMade,
        (false, not null) => ReadyWhen.Line(line),
        _ => ReadyWhen.Started,
    };

    private static PlacementStrategy Strategy(string text) =>
        Enum.TryParse(text, ignoreCase: true, out PlacementStrategy strategy) && Enum.IsDefined(strategy) && !char.IsDigit(text[0])
            ? strategy
            : throw new ArgumentException($"there is no strategy '{text}'; there are {string.Join(", ", Enum.GetNames<PlacementStrategy>()).ToLowerInvariant()}");

    private static RestartPolicy Policy(string text, int? most)
    {
        RestartPolicy policy = text.ToLowerInvariant() switch
        {
            "never" => RestartPolicy.Never,
            "on-failure" => RestartPolicy.OnFailure,
            "always" => RestartPolicy.Always,
            _ => throw new ArgumentException($"a process is started again never, on-failure or always, not '{text}'"),
        };
        return most is null ? policy
            : policy.Mode == RestartMode.Never ? throw new ArgumentException("--max-restarts says nothing of a process that is never started again: add --restart on-failure or always")
            : policy with { MaxRestarts = most };
    }
}
