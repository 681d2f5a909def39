using System.CommandLine;

namespace GlooX.Cli;

/// <summary><c>gloox revoke</c>: refuses certificates, in the whole grid.</summary>
internal static class RevokeCommand
{
    public static Command Create()
    {
        var what = new Argument<string[]>("SERIAL") { Description = "Serial numbers, or the id of a node that joined here: all that was made for it", Arity = ArgumentArity.OneOrMore };
        Option<string> agent = Shared.Agent();
        Command command = Shared.Command("revoke", "Refuses certificates from now on in the whole grid, although they are valid; for good.", "gloox revoke 5F1C22D09A7B4C3E");
        command.Add(what);
        command.Add(agent);
        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(agent)!, parsed.GetValue(what)!, ct));
        return command;
    }

    private static async Task<int> RunAsync(string agent, string[] what, CancellationToken ct)
    {
        IReadOnlyList<CertificateInfo> known = Identity.Load().Certificates();
        string[] serials = [.. what.SelectMany(w => known.Where(c => !c.Own && c.Node == w).Select(c => c.Serial) is var ofNode && ofNode.Any() ? ofNode : [w]).Distinct(StringComparer.Ordinal)];
        await using GlooXClient client = new GlooXClient(agent);
        await client.RevokeAsync(serials, ct);
        Console.WriteLine($"revoked in the grid of {client.Url}: {string.Join(", ", serials)}");
        return ExitCode.Done;
    }
}
