using System.CommandLine;

namespace GlooX.Cli;

/// <summary><c>gloox agent</c>: runs an agent until it is told to stop.</summary>
internal static class AgentCommand
{
    public static Command Create()
    {
        var url = new Option<string>("--url", "-u") { Description = "Where to listen; 0.0.0.0 means all addresses of this machine, a port alone 127.0.0.1", HelpName = "HOST:PORT", DefaultValueFactory = _ => Shared.DefaultUrl };
        var peer = new Option<string?>("--peer", "-p") { Description = "Any agent of the grid to join; it may start later", HelpName = "HOST:PORT" };
        var advertise = new Option<string?>("--advertise") { Description = "The address by which others reach this agent. Default: the one by which the first peer does", HelpName = "HOST:PORT" };
        var name = new Option<string[]>("--name") { Description = "A name or address, beside this machine's own, by which others reach this agent: its certificate will carry it", HelpName = "HOST", AllowMultipleArgumentsPerToken = false };
        var memory = new Option<string?>("--memory") { Description = "How much memory it may hand out. Default: all", HelpName = "SIZE" };
        var disk = new Option<string?>("--disk") { Description = "How much disk it may hand out. Default: all", HelpName = "SIZE" };
        var resource = new Option<string[]>("--resource") { Description = "What else it may hand out, whole or fractional: gpu=2", HelpName = "NAME=AMOUNT", AllowMultipleArgumentsPerToken = false };
        var slots = new Option<int?>("--max-slots") { Description = "How many processes it runs at most. Default: as many as fit", HelpName = "COUNT" };
        var group = new Option<string?>("--control-group") { Description = "The control group, this agent's alone, in which the kernel holds processes to their memory and cores", HelpName = "PATH" };
        var weight = new Option<double>("--weight") { Description = "How much it is preferred over others", DefaultValueFactory = _ => 1 };
        var warm = new Option<int>("--warm") { Description = "How many processes to keep warm for spawns", DefaultValueFactory = _ => 2 };
        var maxWarm = new Option<int>("--max-warm") { Description = "How many of them at most, when there are many spawns", DefaultValueFactory = _ => new AgentOptions().MaxWarmHosts };
        var pass = new Option<string[]>("--pass-env") { Description = "A variable of this process that its processes get too, beside the usual ones; NAME* for all that begin so", HelpName = "NAME", AllowMultipleArgumentsPerToken = false };
        var users = new Option<string[]>("--allow-user") { Description = "A user of this machine as whom a spawn may ask for its process to run. Default: none but this agent's", HelpName = "NAME", AllowMultipleArgumentsPerToken = false };
        var spawnUser = new Option<string?>("--spawn-user") { Description = "The user of this machine as whom a process runs for which no user was named. Default: this agent's", HelpName = "NAME" };
        var onlyUsers = new Option<bool>("--only-users") { Description = "An agent of root starts nothing as root: a spawn names a user of --allow-user, or there is a --spawn-user" };
        var noSpawn = new Option<bool>("--no-spawn") { Description = "Runs nothing that others send: no processes, and no add-ons but those of --addon" };
        var share = new Option<bool>("--share-identity") { Description = "Gives spawned classes this agent's own certificates where none can be issued for them (RAKTR_TLS_* alone): each can then act as the agent" };
        var audit = new Option<string?>("--audit") { Description = "A file to which is appended who did what, one JSON object a line", HelpName = "FILE" };
        var data = new Option<string?>("--data") { Description = "The folder in which durable channels are kept. Default: none, and this agent creates none", HelpName = "FOLDER" };
        var addon = new Option<string[]>("--addon") { Description = "An add-on to attach at the start: its name and its code, a .cs file or a .dll; and its class where there are several", HelpName = "NAME=FILE[,CLASS]", AllowMultipleArgumentsPerToken = false };
        var echo = new Option<bool>("--echo") { Description = "Prints what its processes write, as NAME | LINE; lines are dropped while the console is not read" };
        Command command = Shared.Command("agent", "Runs an agent until Ctrl-C.", "gloox agent --url 0.0.0.0:9999 --peer other-machine:9999");
        foreach (Option option in (Option[])[url, peer, advertise, name, memory, disk, resource, slots, group, weight, warm, maxWarm, pass, users, spawnUser, onlyUsers, noSpawn, share, audit, data, addon, echo])
        {
            command.Add(option);
        }

        command.SetAction((parsed, ct) => RunAsync(
            parsed.GetValue(echo),
            parsed.GetValue(url)!,
            parsed.GetValue(peer),
            new AgentOptions
            {
                RequirePeer = false,
                AdvertisedUrl = parsed.GetValue(advertise),
                Names = parsed.GetValue(name) ?? [],
                Capacity = Capacity(parsed.GetValue(memory), parsed.GetValue(disk)),
                Resources = Needs.Resources(parsed.GetValue(resource)),
                MaxSlots = parsed.GetValue(slots),
                ControlGroup = parsed.GetValue(group),
                Weight = parsed.GetValue(weight),
                WarmHosts = parsed.GetValue(warm),
                MaxWarmHosts = parsed.GetValue(maxWarm),
                PassEnvironment = parsed.GetValue(pass) ?? [],
                AllowedUsers = parsed.GetValue(users) ?? [],
                SpawnUser = parsed.GetValue(spawnUser),
                RequireUser = parsed.GetValue(onlyUsers),
                Spawns = !parsed.GetValue(noSpawn),
                ShareIdentity = parsed.GetValue(share),
                AuditFile = parsed.GetValue(audit),
                DataFolder = parsed.GetValue(data),
                Addons = [.. (parsed.GetValue(addon) ?? []).Select(Addon)],
            },
            ct));
        return command;
    }

    private static async Task<int> RunAsync(bool echo, string url, string? peer, AgentOptions options, CancellationToken ct)
    {
        using var console = new ConsoleLines();
        using var log = new ConsoleLog(console.Error);
        options = options with { LoggerFactory = log, Output = echo ? console.Line : null };
        await using Agent agent = await Agent.StartAsync(url, peer, options, ct);
        console.Line($"agent {agent.Url} is running{(peer is null ? "" : $", joining the grid of {peer}")}; Ctrl-C stops it");
        if (Identity.Load() is { AuthorityKey: not AuthorityKeyState.Elsewhere } identity && (!options.Spawns || options.RequireUser || identity.AuthorityKey == AuthorityKeyState.Locked))
        {
            console.Line($"the authority's key is on this machine; clients cannot read it: {(!options.Spawns ? "this agent spawns nothing" : options.RequireUser ? "what they spawn runs as another user" : "it is under a passphrase")}");
        }

        agent.Changed += (_, change) => console.Line(change.Kind switch
        {
            GridChangeKind.Joined => $"{change.Member.Address} joined",
            GridChangeKind.Unreachable => $"{change.Member.Address} is unreachable",
            GridChangeKind.Reachable => $"{change.Member.Address} came back",
            _ => $"{change.Member.Address} left",
        });
        try
        {
            await Task.Delay(Timeout.Infinite, ct);
        }
        catch (OperationCanceledException)
        {
            console.Line("stopping …");
        }

        return ExitCode.Done;
    }

    private static Capacity? Capacity(string? memory, string? disk)
    {
        if (memory is null && disk is null)
        {
            return null;
        }

        Capacity all = GlooX.Capacity.OfMachine(Path.GetTempPath());
        return new Capacity(memory is null ? all.MemoryBytes : Needs.Size(memory), disk is null ? all.DiskBytes : Needs.Size(disk));
    }

    private static AddonSpec Addon(string text)
    {
        string[] parts = text.Split('=', 2);
        if (parts is not [{ Length: > 0 } name, { Length: > 0 } source])
        {
            throw new ArgumentException($"'{text}' names no add-on: write NAME=FILE or NAME=FILE,CLASS");
        }

        int comma = source.LastIndexOf(',');
        return new AddonSpec(name, comma < 0 ? new AddonSource(source) : new AddonSource(source[..comma], source[(comma + 1)..]));
    }
}
