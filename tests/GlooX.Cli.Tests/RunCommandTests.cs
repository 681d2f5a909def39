namespace GlooX.Cli.Tests;

/// <summary>Programs run on the grid as if they ran here.</summary>
public sealed class RunCommandTests
{
    [Fact]
    public async Task An_executable_is_prepared_and_then_spawned_until_it_is_ready()
    {
        await using var shell = new Shell();
        string agent = Shell.FreeUrl();
        await shell.AgentAsync("--url", agent, "--max-warm", "2");
        await File.WriteAllTextAsync(shell["job.sh"], "#!/bin/sh\necho up\nexec sleep 600\n");
        Outcome prepared = await shell.GlooXAsync("prepare", shell["job.sh"], "--agent", agent);
        Assert.Equal((0, agent), (prepared.Code, prepared.Output.Trim()));
        Outcome spawned = await shell.GlooXAsync("spawn", shell["job.sh"], "--ready-line", "up", "--max-per-node", "1", "--agent", agent);
        Assert.Equal(0, spawned.Code);
        Outcome second = await shell.GlooXAsync("spawn", shell["job.sh"], "--ready-file", "--max-per-node", "1", "--agent", agent);
        Assert.Equal(1, second.Code);
        Assert.Contains("of which a node runs 1 at most", second.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_secret_comes_from_a_file_or_the_input_and_is_in_no_list_of_processes()
    {
        await using var shell = new Shell();
        string agent = Shell.FreeUrl();
        await shell.AgentAsync("--url", agent);
        await File.WriteAllTextAsync(shell["secret"], "hunter2\n");
        await File.WriteAllTextAsync(shell["job.sh"], "#!/bin/sh\ncat\n"); // the options come on the standard input
        string[] run = ["run", "--agent", agent, "--set", $"file=@{shell["secret"]}", "--set", "input=-", "--set", "text=@@x", "--", shell["job.sh"]];
        Outcome given = await shell.RunAsync("sh", ["-c", "printf 'from the input\\n' | dotnet \"$@\"", "sh", Shell.Tool, .. run]);
        Assert.Equal((0, ""), (given.Code, given.Errors));
        foreach (string expected in new[] { "\"file\":\"hunter2\"", "\"input\":\"from the input\"", "\"text\":\"@x\"" })
        {
            Assert.Contains(expected, given.Output.Replace(": ", ":", StringComparison.Ordinal), StringComparison.Ordinal);
        }

        foreach ((string[] values, string why) in new (string[], string)[] { (["--set", "a=@/no/such/file"], "--set a=@/no/such/file"), (["--set", "a=-", "--set", "b=-"], "give --set KEY=- once") })
        {
            Outcome refused = await shell.GlooXAsync(["spawn", shell["job.sh"], .. values, "--agent", agent]);
            Assert.NotEqual(0, refused.Code);
            Assert.Contains(why, refused.Errors, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task An_agent_whose_console_nobody_reads_runs_kills_and_stops()
    {
        await using var shell = new Shell { Reads = false };
        string url = Shell.FreeUrl();
        System.Diagnostics.Process agent = await shell.AgentAsync("--url", url, "--echo");
        await File.WriteAllTextAsync(shell["job.sh"], "#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' x | fold -w 100\n[ \"$1\" = end ] || exec sleep 600\n");
        Outcome run = await shell.GlooXAsync("run", "--agent", url, "--", shell["job.sh"], "end");
        Assert.Equal((0, 10_000), (run.Code, run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length));
        Outcome spawned = await shell.GlooXAsync("spawn", shell["job.sh"], "--agent", url);
        Assert.True(spawned.Code == 0, spawned.Errors);
        Assert.Equal(0, (await shell.GlooXAsync("kill", spawned.Output.Split(' ')[0], "--agent", url)).Code);
        Assert.Equal(0, await shell.StopAsync(agent));
    }

    [Fact]
    public async Task A_program_runs_with_its_output_and_exit_code_and_its_log_is_read_later()
    {
        await using var shell = new Shell();
        string agent = Shell.FreeUrl();
        await shell.AgentAsync("--url", agent);
        await File.WriteAllTextAsync(shell["job.sh"], "#!/bin/sh\necho $GLOOX_ID $1\necho bad >&2\nexit 5\n");
        Outcome run = await shell.GlooXAsync("run", "--agent", agent, "--", shell["job.sh"], "--frames");
        Assert.Equal((5, "bad"), (run.Code, run.Errors.Trim()));
        string[] words = run.Output.Trim().Split(' ');
        Assert.Equal("--frames", words[1]);

        Outcome log = await shell.GlooXAsync("logs", words[0], "--agent", agent);
        Assert.Equal((0, run.Output, run.Errors), (log.Code, log.Output, log.Errors));
        Outcome timed = await shell.GlooXAsync("logs", words[0], "-n", "1", "-f", "-t", "--agent", agent);
        Assert.Matches(@"^\d\d:\d\d:\d\d\.\d{3} ", timed.Output + timed.Errors);
        Outcome killed = await shell.GlooXAsync("run", "--agent", agent, "--", "sh", "-c", "kill -9 $$");
        Assert.Equal(128 + 9, killed.Code);
        Outcome missing = await shell.GlooXAsync("logs", "nobody", "--agent", agent);
        Assert.Equal(1, missing.Code);
        Assert.Contains("has no process nobody", missing.Errors, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_program_that_fails_is_started_again_and_its_folder_kept_as_its_events_tell()
    {
        await using var shell = new Shell();
        string agent = Shell.FreeUrl();
        await shell.AgentAsync("--url", agent);
        await File.WriteAllTextAsync(shell["job.sh"], "#!/bin/sh\nexit 5\n");
        Outcome spawned = await shell.GlooXAsync("spawn", shell["job.sh"], "--restart", "on-failure", "--max-restarts", "1", "--keep-tmp", "--agent", agent);
        Assert.Equal((0, ""), (spawned.Code, spawned.Errors));
        string folder = spawned.Output.Trim().Split("folder ")[1];
        Outcome events = await shell.GlooXAsync("events", spawned.Output.Split(' ')[0], "--agent", agent); // to its end
        Assert.Equal((0, ""), (events.Code, events.Errors));
        Assert.Contains("exited", events.Output, StringComparison.Ordinal);
        Assert.Contains("exit code 5 1 restarts it was given up", events.Output, StringComparison.Ordinal);
        Assert.True(Directory.Exists(folder));
        Directory.Delete(folder, recursive: true);
    }

    [Theory]
    [InlineData("INT")]
    [InlineData("TERM")]
    public async Task A_run_that_is_interrupted_ends_its_process(string signal)
    {
        await using var shell = new Shell();
        string agent = Shell.FreeUrl();
        await shell.AgentAsync("--url", agent);
        await File.WriteAllTextAsync(shell["job.sh"], $"#!/bin/sh\ntouch {shell["up"]}\nexec sleep 600\n");

        // What a shell runs in the background ignores Ctrl-C, and so does whatever that starts, unless it is told otherwise.
        Task<Outcome> run = shell.RunAsync("sh", "-c", $"echo $$ > {shell["pid"]}; exec env --default-signal=INT dotnet {Shell.Tool} run --agent {agent} {shell["job.sh"]}");
        await CommandTests.UntilAsync(() => Task.FromResult(new Outcome(0, File.Exists(shell["up"]) ? "up" : "", "")), static o => o.Output.Length > 0);
        await shell.RunAsync("kill", $"-{signal}", (await File.ReadAllTextAsync(shell["pid"])).Trim());
        Assert.Equal(130, (await run).Code);
        Assert.Equal("no processes", (await shell.GlooXAsync("ps", "--agent", agent)).Output.Trim());
    }
}
