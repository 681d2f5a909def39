using System.CommandLine;

namespace GlooX.Cli;

/// <summary><c>gloox revoke</c> and <c>gloox certs allow</c>: certificates are refused, or accepted again, in the whole grid.</summary>
internal static class RevokeCommand
{
    public static Command Create() => Create(
        "revoke",
        "Refuses certificates from now on in the whole grid, although they are valid. Needs the role admin.",
        "gloox revoke 4b618e02f265",
        static (client, targets, ct) => client.RevokeAsync(targets, ct),
        "revoked");

    public static Command CreateAllow() => Create(
        "allow",
        "Accepts again what was revoked. Needs the role admin; ask an agent of the machine that holds the authority's key.",
        "gloox certs allow 4b618e02f265",
        static (client, targets, ct) => client.AllowAsync(targets, ct),
        "allowed again");

    private static Command Create(string name, string what, string example, Func<GlooXClient, string[], CancellationToken, Task<IReadOnlyList<RevokedTarget>>> ask, string done)
    {
        var targets = new Argument<string[]>("NODE")
        {
            Description = "Ids of nodes: all of their certificates, those of their processes too. Or serial numbers of single certificates (see: gloox certs)",
            Arity = ArgumentArity.OneOrMore,
        };
        Option<string> agent = Shared.Agent();
        Command command = Shared.Command(name, what, example);
        command.Add(targets);
        command.Add(agent);
        command.SetAction(async (parsed, ct) =>
        {
            await using GlooXClient client = new GlooXClient(parsed.GetValue(agent)!);
            foreach (RevokedTarget one in await ask(client, parsed.GetValue(targets)!, ct))
            {
                Console.WriteLine($"{done} in the grid of {client.Url}: {Describe(one)}");
            }

            return ExitCode.Done;
        });
        return command;
    }

    private static string Describe(RevokedTarget one)
    {
        string what = one.Target.StartsWith("node/", StringComparison.Ordinal)
            ? $"node {one.Node}"
            : $"certificate {one.Target}{(one.Node.Length > 0 ? $" of node {one.Node}" : "")}";
        return one.Certificates is { } count
            ? $"{what}, {count} {(count == 1 ? "certificate" : "certificates")}"
            : $"{what}; how many certificates it has, and whether there is such a node, is known only where the authority's key is, and no agent there could be asked";
    }
}
