using System.Diagnostics;

namespace GlooX.Cli.Tests;

/// <summary><c>gloox channel</c> against two agents.</summary>
public sealed class ChannelCommandTests
{
    [Fact]
    public async Task Channels_are_created_read_written_and_removed_through_any_agent()
    {
        await using var shell = new Shell();
        string first = Shell.FreeUrl(), second = Shell.FreeUrl();
        await shell.AgentAsync("--url", first);
        await shell.AgentAsync("--url", second, "--peer", first);
        await CommandTests.UntilAsync(() => shell.GlooXAsync("status", "--agent", first), o => o.Output.Contains("2 nodes", StringComparison.Ordinal));

        Assert.Equal("jobs is there", await DoneAsync(first, "create", "jobs"));
        Assert.Equal("jobs is there", await DoneAsync(second, "create", "jobs"));
        Assert.Equal($"channel{Environment.NewLine}jobs", await DoneAsync(second, "list"));

        Assert.Equal("text is \"two words\"", await DoneAsync(first, "set", "jobs", "text", "two words"));
        Assert.Equal("number is -5", await DoneAsync(first, "set", "jobs", "number", "-5"));
        Assert.Equal("list is [1,\"zwei\",null]", await DoneAsync(first, "set", "jobs", "list", "[1, \"zwei\", null]"));
        Assert.Equal("nothing is null", await DoneAsync(first, "set", "jobs", "nothing", "null"));
        await CommandTests.UntilAsync(() => RunAsync(second, "get", "jobs", "nothing"), o => o.Code == 0);
        Assert.Equal("-5", await DoneAsync(second, "get", "jobs", "number"));
        Assert.Equal("null", await DoneAsync(second, "get", "jobs", "nothing"));
        Assert.Equal("""{"list":[1,"zwei",null],"nothing":null,"number":-5,"text":"twowords"}""", new string([.. (await DoneAsync(second, "get", "jobs")).Where(c => !char.IsWhiteSpace(c))]));

        Assert.Equal("text was deleted", await DoneAsync(first, "delete", "jobs", "text"));
        await FailsAsync("channel 'jobs' has no key 'text'", first, "delete", "jobs", "text");
        await FailsAsync("channel 'jobs' has no key 'text'", first, "get", "jobs", "text");
        Assert.Equal("jobs was removed", await DoneAsync(second, "remove", "jobs"));
        await FailsAsync("has no channel 'jobs'", second, "remove", "jobs");
        await FailsAsync("channel 'jobs': there is none of that name", first, "get", "jobs");
        await FailsAsync("it is always there and cannot be removed", first, "remove", "channel");

        Task<Outcome> RunAsync(string agent, params string[] arguments) => shell.GlooXAsync(["channel", .. arguments, "--agent", agent]);

        async Task<string> DoneAsync(string agent, params string[] arguments)
        {
            Outcome outcome = await RunAsync(agent, arguments);
            Assert.Equal((0, ""), (outcome.Code, outcome.Errors));
            return outcome.Output.TrimEnd();
        }

        async Task FailsAsync(string why, string agent, params string[] arguments)
        {
            Outcome outcome = await RunAsync(agent, arguments);
            Assert.Equal((1, ""), (outcome.Code, outcome.Output));
            Assert.Contains(why, outcome.Errors, StringComparison.Ordinal);
            Assert.Single(outcome.Errors.TrimEnd().Split('\n'));
        }
    }

    [Fact]
    public async Task A_channel_is_created_with_the_options_that_are_given_and_is_there_again_after_a_restart()
    {
        await using var shell = new Shell();
        string url = Shell.FreeUrl();
        Process agent = await shell.AgentAsync("--url", url, "--data", shell["data"]);
        foreach (string durability in new[] { "process", "every-second", "every-write" })
        {
            await DoneAsync("channel", "create", durability, "--durability", durability, "--max-entries", "2", "--ttl", "3600", "--acknowledge", "all", "--max-value", "1KB");
            await DoneAsync("channel", "set", durability, "k", "1");
            await DoneAsync("channel", "set", durability, "l", "2");
            Outcome full = await shell.GlooXAsync("channel", "set", durability, "m", "3", "--agent", url);
            Assert.Contains("does not fit", full.Errors, StringComparison.Ordinal);
        }

        Outcome other = await shell.GlooXAsync("channel", "create", "process", "--durability", "memory", "--agent", url);
        Assert.Contains("exists with other options", other.Errors, StringComparison.Ordinal);
        Outcome nonsense = await shell.GlooXAsync("channel", "create", "x", "--durability", "paper", "--agent", url);
        Assert.Equal(2, nonsense.Code);
        agent.Kill();
        await agent.WaitForExitAsync();

        await shell.AgentAsync("--url", url, "--data", shell["data"]);
        Assert.Equal("channel\nevery-second\nevery-write\nprocess", await DoneAsync("channel", "list"));
        Assert.Equal("2", await DoneAsync("channel", "get", "every-write", "l"));

        async Task<string> DoneAsync(params string[] arguments)
        {
            Outcome outcome = await shell.GlooXAsync([.. arguments, "--agent", url]);
            Assert.Equal((0, ""), (outcome.Code, outcome.Errors));
            return outcome.Output.TrimEnd().ReplaceLineEndings("\n");
        }
    }

    [Fact]
    public async Task A_channel_is_created_for_readers_and_writers()
    {
        await using var shell = new Shell();
        string url = Shell.FreeUrl();
        await shell.AgentAsync("--url", url);
        Outcome created = await shell.GlooXAsync("channel", "create", "ballots", "--readers", "client,observer", "--writers", "child", "--agent", url);
        Assert.Equal((0, ""), (created.Code, created.Errors));
        Outcome written = await shell.GlooXAsync("channel", "set", "ballots", "a", "1", "--agent", url);
        Assert.NotEqual(0, written.Code);
        Assert.Contains("the channel 'ballots' may be written by", written.Errors, StringComparison.Ordinal);
        Outcome read = await shell.GlooXAsync("channel", "get", "ballots", "--agent", url);
        Assert.Equal((0, "{}"), (read.Code, read.Output.Trim()));
        Outcome nonsense = await shell.GlooXAsync("channel", "create", "x", "--writers", "observer", "--agent", url);
        Assert.Equal(2, nonsense.Code);
        Assert.Contains("'observer' is none of agent, client, child", nonsense.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_agent_of_the_shell_has_the_add_ons_and_the_folder_that_it_is_given()
    {
        const string Payload = "tests/GlooX.Tests.Payload/bin/Release/net10.0/GlooX.Tests.Payload.dll";
        await using var shell = new Shell();
        string agent = Shell.FreeUrl(), data = Directory.CreateTempSubdirectory("gloox-data-").FullName;
        try
        {
            await shell.AgentAsync("--url", agent, "--data", data, "--addon", $"greeter={Payload},Greeter");
            Outcome called = await shell.GlooXAsync("call", agent, "addon.greeter/Greet", "Ann");
            Assert.Contains("hello, Ann, from greeter", called.Output, StringComparison.Ordinal);
            Assert.NotEmpty(Directory.GetFileSystemEntries(data));

            Outcome nonsense = await shell.GlooXAsync("agent", "--url", Shell.FreeUrl(), "--addon", "greeter");
            Assert.Equal(2, nonsense.Code);
            Assert.Contains("write NAME=FILE", nonsense.Errors, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(data, recursive: true);
        }
    }

    [Fact]
    public async Task Watching_prints_what_is_there_and_every_change_until_it_is_told_to_stop()
    {
        await using var shell = new Shell();
        string agent = Shell.FreeUrl();
        await shell.AgentAsync("--url", agent);
        await shell.GlooXAsync("channel", "set", "channel", "old", "1", "--agent", agent);
        Conversation watch = shell.Talk("dotnet", Shell.Tool, "channel", "watch", "channel", "--agent", agent);
        await watch.HearAsync("set \"old\" 1");
        await shell.GlooXAsync("channel", "set", "channel", "new", "{\"a\": true}", "--agent", agent);
        await shell.GlooXAsync("channel", "delete", "channel", "old", "--agent", agent);
        await watch.HearAsync("delete \"old\"");
        await watch.SignalAsync("TERM");
        Outcome ended = await watch.EndAsync();
        Assert.Equal(("set \"old\" 1\nset \"new\" {\"a\":true}\ndelete \"old\"", ""), (ended.Output, ended.Errors));
        Assert.NotEqual(0, ended.Code);
    }
}
