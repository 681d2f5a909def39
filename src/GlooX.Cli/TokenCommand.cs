using System.CommandLine;

namespace GlooX.Cli;

/// <summary><c>gloox token</c>: lets another machine join.</summary>
internal static class TokenCommand
{
    public static Command Create()
    {
        var role = new Option<string>("--role", "-r") { Description = "What the machine joins as: agent, client (may spawn and kill), admin (a client that may revoke too) or observer (may look)", DefaultValueFactory = _ => "agent" };
        var valid = new Option<double>("--minutes", "-m") { Description = "How long the token can be used", DefaultValueFactory = _ => 15 };
        var name = new Option<string[]>("--name") { Description = "A name or address for the machine's certificate, beside those that it says it has", HelpName = "HOST", AllowMultipleArgumentsPerToken = false };
        Command command = Shared.Command("token", "Makes a token with which one other machine joins this one's grid; it works once. Any agent of this user is asked with it.", "gloox token --minutes 5");
        command.Add(role);
        command.Add(valid);
        command.Add(name);
        command.SetAction(parsed => Run(parsed.GetValue(role)!, parsed.GetValue(valid), parsed.GetValue(name) ?? []));
        return command;
    }

    private static int Run(string role, double minutes, string[] names)
    {
        if (!Enum.TryParse(role, ignoreCase: true, out RpcRole parsed) || !Enum.IsDefined(parsed) || role.Any(char.IsAsciiDigit))
        {
            throw new ArgumentException($"'{role}' is no role to join as; there are agent, client, admin, observer");
        }

        if (!(minutes > 0 && minutes <= 24 * 60))
        {
            throw new ArgumentException($"a token is valid for more than nothing and at most a day, not {minutes} minutes");
        }

        AuthorityKeyState key = Identity.LoadStore().AuthorityKey;
        string? passphrase = key == AuthorityKeyState.Locked ? Passphrase.Ask(twice: false) : null;
        string token = Identity.CreateJoinToken(new JoinTokenOptions { Role = parsed, ValidFor = TimeSpan.FromMinutes(minutes), Names = names, Passphrase = passphrase });
        Console.WriteLine(token);
        Console.WriteLine(key == AuthorityKeyState.Locked
            ? "The authority's key is under a passphrase; certificates of machines that join are not renewed without another token."
            : $"The authority's key, {Path.Combine(GlooXHome.Path, "ca.key")}, can be read by all that runs as this user. If clients may spawn as this user, put it under a passphrase (gloox authority lock) or give it a user of its own (gloox authority --install), or run the agents of this user with --only-users or --no-spawn; see docs/theft.md.");
        Console.WriteLine($"On the other machine, within {minutes:0.##} minutes: gloox join HOST:PORT {token[..12]}… (HOST:PORT of an agent of this user)");
        return ExitCode.Done;
    }
}
