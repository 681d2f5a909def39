using System.CommandLine;

namespace GlooX.Cli;

/// <summary><c>gloox join</c>: gets this machine's certificates from another one's agent.</summary>
internal static class JoinCommand
{
    public static Command Create()
    {
        var url = new Argument<string>("URL") { Description = "An agent where the token was made: HOST:PORT" };
        var token = new Argument<string>("TOKEN") { Description = "What gloox token printed there; - reads it from the input, so that it shows in no list of processes" };
        var name = new Option<string[]>("--name") { Description = "A name or address, beside this machine's own, by which its agents are reached", HelpName = "HOST", AllowMultipleArgumentsPerToken = false };
        var replace = new Option<bool>("--replace") { Description = "Give up an authority of this user that has made certificates for other machines" };
        Command command = Shared.Command("join", "Joins the grid of another machine: this user's certificates come from there from now on.", "gloox join other-machine:9999 gloox1_…");
        command.Add(url);
        command.Add(token);
        command.Add(name);
        command.Add(replace);
        command.SetAction((parsed, ct) => RunAsync(parsed.GetValue(url)!, parsed.GetValue(token)!, new JoinOptions { Names = parsed.GetValue(name) ?? [], Replace = parsed.GetValue(replace) }, ct));
        return command;
    }

    private static async Task<int> RunAsync(string url, string token, JoinOptions options, CancellationToken ct)
    {
        if (token == "-")
        {
            token = await Console.In.ReadLineAsync(ct) ?? "";
        }

        JoinResult joined = await Identity.JoinAsync(url, token, options, ct);
        Console.WriteLine($"joined the authority of {url}; the certificates are valid until {joined.Identity.Server.NotAfter.ToUniversalTime():yyyy-MM-dd}");
        if (joined.WithheldNames.Count > 0)
        {
            Console.WriteLine($"these names and addresses are another node's, so this machine is not reached by them: {string.Join(", ", joined.WithheldNames)}");
        }

        return ExitCode.Done;
    }
}
