using System.CommandLine;

namespace GlooX.Cli;

/// <summary><c>gloox authority</c>: keeps the authority's key apart from agents.</summary>
internal static class AuthorityCommand
{
    private const string DefaultUrl = "127.0.0.1:9998";

    public static Command Create()
    {
        var url = new Option<string[]>("--url", "-u")
        {
            Description = $"Where machines join: HOST:PORT, or unix:/PATH for this machine. Default: {DefaultUrl}",
            HelpName = "URL",
            AllowMultipleArgumentsPerToken = false,
        };
        var install = new Option<bool>("--install")
        {
            Description = "Makes a user for it, moves this user's authority there, and writes the unit for systemd; needs root",
        };
        Command command = Shared.Command(
            "authority",
            "Runs the authority of this user's store as a process of its own until Ctrl-C: it lets machines join, renews and revokes, and runs nothing that others send.",
            "gloox authority --install");
        command.Add(url);
        command.Add(install);
        command.Add(Lock(
            "lock",
            "Puts the authority's key under a passphrase, which gloox token asks for.",
            Identity.LockAuthorityKey,
            twice: true,
            "the authority's key is under a passphrase; agents issue certificates for tokens only"));
        command.Add(Lock(
            "unlock",
            "Takes the passphrase of the authority's key away.",
            Identity.UnlockAuthorityKey,
            twice: false,
            "the authority's key is readable for this user's processes"));
        command.SetAction((parsed, ct) => parsed.GetValue(install) ? InstallAsync(ct) : RunAsync(parsed.GetValue(url) is { Length: > 0 } urls ? urls : [DefaultUrl], ct));
        return command;
    }

    private static Command Lock(string name, string what, Action<string> change, bool twice, string done)
    {
        Command command = Shared.Command(name, what, $"gloox authority {name}");
        command.SetAction(_ =>
        {
            change(Passphrase.Ask(twice));
            Console.WriteLine(done);
            return ExitCode.Done;
        });
        return command;
    }

    private static async Task<int> RunAsync(string[] urls, CancellationToken ct)
    {
        using var console = new ConsoleLines();
        using var log = new ConsoleLog(console.Error);
        await using AuthorityServer authority = await AuthorityServer.StartAsync(urls, log, ct);
        console.Line($"the authority is running at {string.Join(", ", authority.Urls)}; Ctrl-C stops it");
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

    private static async Task<int> InstallAsync(CancellationToken ct)
    {
        string[] done = await AuthorityInstall.RunAsync(ct);
        Console.WriteLine(string.Join('\n', done));
        return ExitCode.Done;
    }
}

/// <summary>Asks for the passphrase of the authority's key: at the terminal without showing it, else the next line of the input.</summary>
internal static class Passphrase
{
    public static string Ask(bool twice)
    {
        string first = Read("passphrase of the authority's key: ");
        return !twice || Console.IsInputRedirected || Read("again: ") == first ? first : throw new ArgumentException("the two are not the same");
    }

    private static string Read(string prompt)
    {
        if (Console.IsInputRedirected)
        {
            return Console.In.ReadLine() ?? "";
        }

        Console.Error.Write(prompt);
        var text = new System.Text.StringBuilder();
        for (ConsoleKeyInfo key = Console.ReadKey(intercept: true); key.Key != ConsoleKey.Enter; key = Console.ReadKey(intercept: true))
        {
            if (key.Key == ConsoleKey.Backspace)
            {
                text.Length = Math.Max(0, text.Length - 1);
            }
            else if (!char.IsControl(key.KeyChar))
            {
                text.Append(key.KeyChar);
            }
        }

        Console.Error.WriteLine();
        return text.ToString();
    }
}
