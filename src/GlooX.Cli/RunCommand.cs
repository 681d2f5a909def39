using System.CommandLine;

namespace GlooX.Cli;

/// <summary><c>gloox run</c>: a program on the best node, as if it ran here.</summary>
internal static class RunCommand
{
    private const int SignalBase = 128;

    public static Command Create()
    {
        var what = new Argument<string[]>("PROGRAM [ARGUMENT]...") { Description = "A file or folder, which travels, or a command that the nodes have; write -- before it if its arguments begin with a dash", Arity = ArgumentArity.OneOrMore };
        var needs = new Needs();
        var values = new ValueOptions();
        var surroundings = new Surroundings();
        Option<string> agent = Shared.Agent();
        Command command = Shared.Command("run", "Runs a program to its end on the node that suits best: its output comes here, its exit code is this one's (128 and the signal, if one ended it). Ctrl-C ends it.", "gloox run --memory 1GB -- ./render.sh --frames 100");
        command.Add(what);
        foreach (Option option in (Option[])[.. needs.Options, .. values.Options, .. surroundings.Options, agent])
        {
            command.Add(option);
        }

        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(agent)!, parsed.GetValue(what)!, new SpawnOptions { Provision = needs.Read(parsed), Values = values.Read(parsed), Environment = surroundings.Variables(parsed), User = surroundings.User(parsed) }, ct));
        return command;
    }

    private static async Task<int> RunAsync(string agent, string[] what, SpawnOptions options, CancellationToken ct)
    {
        await using GlooXClient client = new GlooXClient(agent);
        await client.InfoAsync(ct); // before anything is built in vain
        ExitStatus end = await client.RunAsync(what[0], what[1..], static line => LogsCommand.Write(line), options, ct: ct);
        return end.Signal == 0 ? end.Code : SignalBase + end.Signal;
    }
}
