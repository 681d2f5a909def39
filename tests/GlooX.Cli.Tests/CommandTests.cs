using System.Diagnostics;

namespace GlooX.Cli.Tests;

/// <summary>The tool as it is used: from shells, one agent in each.</summary>
public sealed class CommandTests
{
    [Fact]
    public async Task Agents_started_in_any_order_are_one_grid_that_spawns_calls_lists_and_kills()
    {
        await using var shell = new Shell();
        string first = Shell.FreeUrl(), second = Shell.FreeUrl(), third = Shell.FreeUrl(), child = Shell.FreeUrl();
        await shell.AgentAsync("--url", third, "--peer", second);
        await shell.AgentAsync("--url", second, "--peer", first);
        Process last = await shell.AgentAsync("--url", first);

        Outcome status = await UntilAsync(() => shell.GlooXAsync("status", "--agent", third), o => o.Output.Contains("3 nodes", StringComparison.Ordinal));
        Assert.All([first, second, third], url => Assert.Contains(url, status.Output, StringComparison.Ordinal));

        Outcome spawned = await shell.GlooXAsync("spawn", "Child", "samples/demo/child.cs", "--url", child, "--agent", second);
        Assert.Equal((0, ""), (spawned.Code, spawned.Errors));
        string id = spawned.Output.Split(' ')[0];
        Assert.Contains($"url {child}", spawned.Output, StringComparison.Ordinal);

        Assert.Equal("\"yes!\"", (await shell.GlooXAsync("call", child, "all_well?")).Output.Trim());
        Assert.Contains(id, (await shell.GlooXAsync("ps", "--agent", first)).Output, StringComparison.Ordinal);
        Assert.Equal(0, (await shell.GlooXAsync("kill", id, "--agent", third)).Code);
        Outcome again = await shell.GlooXAsync("kill", id, "--agent", third);
        Assert.Equal(1, again.Code);
        Assert.Contains($"has no process {id}", again.Errors, StringComparison.Ordinal);

        Assert.Equal(0, await shell.StopAsync(last));
        await UntilAsync(() => shell.GlooXAsync("status", "--agent", third), o => o.Output.Contains("2 nodes", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(2, "Unrecognized command or argument 'bogus'", "bogus")]
    [InlineData(2, "'nonsense' is no URL", "call", "nonsense", "method")]
    [InlineData(2, "there are horizontal, vertical, direct", "spawn", "Child", "child.cs", "--strategy", "best")]
    [InlineData(2, "never, on-failure or always, not 'sometimes'", "spawn", "Child", "child.cs", "--restart", "sometimes")]
    [InlineData(2, "add --restart on-failure or always", "spawn", "Child", "child.cs", "--max-restarts", "3")]
    [InlineData(2, "is no KEY=VALUE", "spawn", "Child", "child.cs", "--set", "nothing")]
    [InlineData(2, "-1 warm hosts is negative", "agent", "--url", "127.0.0.1:0", "--warm", "-1")]
    [InlineData(2, "'gpu' is not a resource with an amount", "agent", "--url", "127.0.0.1:0", "--resource", "gpu")]
    [InlineData(2, "-1 slots is negative", "agent", "--url", "127.0.0.1:0", "--max-slots", "-1")]
    [InlineData(2, "'nonsense' is not the path of a control group", "agent", "--url", "127.0.0.1:0", "--control-group", "nonsense")]
    [InlineData(2, "0 processes per node is too few", "spawn", "Child", "child.cs", "--max-per-node", "0")]
    [InlineData(2, "not both", "spawn", "job.sh", "--ready-file", "--ready-line", "up")]
    [InlineData(2, "'much' is not a size", "spawn", "Child", "child.cs", "--memory", "much")]
    [InlineData(2, "the weight 0 is not more than 0", "agent", "--url", "127.0.0.1:0", "--weight", "0")]
    [InlineData(1, "nothing listens there", "call", "127.0.0.1:1", "method")]
    [InlineData(2, "there are agent, client, admin, observer", "token", "--role", "king")]
    [InlineData(2, "at most a day", "token", "--minutes", "9999")]
    [InlineData(1, "this is no complete token", "join", "127.0.0.1:1", "nonsense")]
    [InlineData(2, "(see: gloox channel set --help)", "channel", "set", "jobs", "key")]
    [InlineData(1, "nothing listens there", "channel", "list", "--agent", "127.0.0.1:1")]
    [InlineData(1, "nothing listens there", "status", "--agent", "127.0.0.1:1")]
    [InlineData(1, "nothing listens there", "spawn", "Child", "child.cs", "--agent", "127.0.0.1:1")]
    public async Task What_cannot_work_is_one_line_and_an_exit_code(int code, string says, params string[] arguments)
    {
        await using var shell = new Shell();
        Outcome outcome = await shell.GlooXAsync(arguments);
        Assert.Equal((code, ""), (outcome.Code, outcome.Output));
        Assert.StartsWith("gloox: ", outcome.Errors, StringComparison.Ordinal);
        Assert.Contains(says, outcome.Errors, StringComparison.Ordinal);
        Assert.Single(outcome.Errors.TrimEnd().Split('\n'));
        Assert.DoesNotContain("(Parameter", outcome.Errors, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("agent")]
    [InlineData("status")]
    [InlineData("spawn")]
    [InlineData("prepare")]
    [InlineData("ps")]
    [InlineData("call")]
    [InlineData("kill")]
    [InlineData("run")]
    [InlineData("logs")]
    [InlineData("events")]
    [InlineData("certs")]
    [InlineData("revoke")]
    [InlineData("token")]
    [InlineData("join")]
    [InlineData("channel")]
    [InlineData("channel", "watch")]
    public async Task The_help_of_each_command_has_an_example(params string[] command)
    {
        await using var shell = new Shell();
        Outcome outcome = await shell.GlooXAsync([.. command, "--help"]);
        Assert.Equal(0, outcome.Code);
        Assert.Contains($"Example:{Environment.NewLine}    gloox {string.Join(' ', command)}", outcome.Output, StringComparison.Ordinal);
    }

    internal static async Task<Outcome> UntilAsync(Func<Task<Outcome>> run, Func<Outcome, bool> holds)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        while (true)
        {
            Outcome outcome = await run();
            if (holds(outcome))
            {
                return outcome;
            }

            Assert.False(limit.IsCancellationRequested, $"{outcome.Output}{outcome.Errors}");
        }
    }
}
