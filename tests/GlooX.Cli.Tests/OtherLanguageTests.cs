namespace GlooX.Cli.Tests;

/// <summary>The clients in other languages as commands, beside a running agent.</summary>
public sealed class OtherLanguageTests
{
    // Debian's, for that is where python3-msgpack goes.
    private static readonly string s_python = File.Exists("/usr/bin/python3") ? "/usr/bin/python3" : "python3";

    [Fact]
    public async Task Python_calls_an_agent_and_is_refused_with_certificates_of_another_user()
    {
        await using var shell = new Shell();
        await using var other = new Shell();
        string url = Shell.FreeUrl();
        await shell.AgentAsync("--url", url);

        Assert.Equal(new Outcome(0, "true\n", ""), await PythonAsync(shell, url, "agent/alive?"));
        Outcome info = await PythonAsync(shell, url, "agent/info");
        Assert.Equal((0, ""), (info.Code, info.Errors));
        Assert.Contains($"\"Url\": \"{url}\"", info.Output, StringComparison.Ordinal);
        Assert.Equal(new Outcome(0, "false\n", ""), await PythonAsync(shell, url, "agent/kill", "nobody", "--timeout", "20"));

        await FailsAsync(shell, url, "exposes no method 'nope'", "agent/nope");
        await FailsAsync(shell, url, "takes 1 argument, got 0", "agent/kill");
        await FailsAsync(shell, url, "has no process x", "agent/wait", "x");
        await FailsAsync(shell, "127.0.0.1:1", "cannot connect to 127.0.0.1:1", "agent/alive?");

        await other.AgentAsync("--url", Shell.FreeUrl()); // makes that user's certificates
        await FailsAsync(other, url, "is not trusted", "agent/alive?");
        File.Copy(Path.Combine(shell["home"], "ca.crt"), Path.Combine(other["home"], "ca.crt"), overwrite: true);
        await FailsAsync(other, url, "is not accepted", "agent/alive?");
    }

    private static Task<Outcome> PythonAsync(Shell shell, string url, params string[] arguments) =>
        shell.RunAsync(s_python, ["-B", "samples/other-languages/python/gloox.py", url, .. arguments, "--home", shell["home"]]);

    private static async Task FailsAsync(Shell shell, string url, string says, params string[] arguments)
    {
        Outcome outcome = await PythonAsync(shell, url, arguments);
        Assert.Equal((1, ""), (outcome.Code, outcome.Output));
        Assert.StartsWith("gloox.py: ", outcome.Errors, StringComparison.Ordinal);
        Assert.Contains(says, outcome.Errors, StringComparison.Ordinal);
        Assert.Single(outcome.Errors.TrimEnd().Split('\n'));
    }
}
