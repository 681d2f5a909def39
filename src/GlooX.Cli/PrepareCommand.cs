using System.CommandLine;

namespace GlooX.Cli;

/// <summary><c>gloox prepare</c>: a payload readied on all nodes before it is spawned.</summary>
internal static class PrepareCommand
{
    public static Command Create()
    {
        var what = new Argument<string[]>("[CLASS] FILE") { Description = "What is to be run later, as for gloox spawn", Arity = new ArgumentArity(1, 2) };
        Option<string> agent = Shared.Agent();
        Command prepare = Shared.Command("prepare", "Builds a payload, gets its files to all nodes, and has each keep a warm process that has loaded a class's assemblies.", "gloox prepare Child samples/demo/child.cs");
        prepare.Add(what);
        prepare.Add(agent);
        prepare.SetAction((parsed, ct) => RunAsync(parsed.GetValue(agent)!, parsed.GetValue(what)!, ct));
        return prepare;
    }

    private static async Task<int> RunAsync(string agent, string[] what, CancellationToken ct)
    {
        await using GlooXClient client = new GlooXClient(agent);
        await client.InfoAsync(ct); // before anything is built in vain
        IReadOnlyList<string> nodes = what is [string name, string file] ? await client.PrepareAsync(name, file, ct: ct) : await client.PrepareAsync(what[0], ct: ct);
        foreach (string node in nodes)
        {
            Console.WriteLine(node);
        }

        return ExitCode.Done;
    }
}
