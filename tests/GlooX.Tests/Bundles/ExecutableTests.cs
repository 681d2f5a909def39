using System.Text.Json;
using GlooX.Payloads;

namespace GlooX.Tests.Bundles;

/// <summary>Executables and scripts of any language as payloads.</summary>
public sealed class ExecutableTests : IDisposable
{
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"payload-{Guid.NewGuid():N}")).FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_script_runs_to_its_end_and_its_exit_code_is_reported()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string script = Write("seven.sh", "#!/bin/sh\nexit 7\n");
        await using SpawnedProcess process = await grid.Client.SpawnAsync(script, ct: Ct);
        Assert.Equal("", process.Url);
        Assert.Equal(new ExitStatus(7, 0), await process.WaitForExitAsync(Ct));
        Assert.Contains("answers no calls", Assert.Throws<InvalidOperationException>(() => process.As<GlooX.Tests.Payload.IGood>()).Message, StringComparison.Ordinal);
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task It_finds_its_options_as_JSON_and_in_variables_and_its_secrets_in_neither_arguments_nor_variables()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string output = Path.Combine(_folder, "output");
        string script = Write("tell.sh", $"#!/bin/sh\ncat > {output}.json\nenv > {output}.env\ncat /proc/$$/cmdline > {output}.arguments\npwd > {output}.folder\nmv {output}.json {output}\nexec sleep 600\n");
        await using SpawnedProcess process = await grid.Client.SpawnAsync("teller", script, new SpawnOptions { Values = new() { ["password"] = "s3cret" }, Provision = new Provision("1MB", "0") }, ct: Ct);
        await Eventually.HoldsAsync(() => File.Exists(output), "it has written");
        using JsonDocument told = JsonDocument.Parse(await File.ReadAllTextAsync(output, Ct));
        Assert.Equal("s3cret", told.RootElement.GetProperty("values").GetProperty("password").GetString());
        Assert.Equal(grid.Agents[0].Url, told.RootElement.GetProperty("parentUrl").GetString());
        Assert.Equal(process.Id, told.RootElement.GetProperty("id").GetString());
        string shown = await File.ReadAllTextAsync(output + ".env", Ct);
        Assert.Contains($"GLOOX_ID={process.Id}\n", shown, StringComparison.Ordinal);
        Assert.Contains($"GLOOX_NODE={grid.Agents[0].Url}\n", shown, StringComparison.Ordinal);
        Assert.DoesNotContain("s3cret", shown + await File.ReadAllTextAsync(output + ".arguments", Ct), StringComparison.Ordinal);
        Assert.StartsWith(Path.Combine(TestGrid.Home, "home", "bundles"), await File.ReadAllTextAsync(output + ".folder", Ct), StringComparison.Ordinal);

        ProcessInfo listed = Assert.Single(await grid.Client.ProcessesAsync(Ct));
        Assert.Equal(("teller", "", 1_000_000), (listed.Class, listed.Url, listed.MemoryBytes));
        Assert.Equal(new ExitStatus(0, 9), await process.KillAsync(Ct));
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_note_beside_it_says_how_it_is_run_what_it_needs_and_what_belongs_to_it()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        Write("lib/number.txt", "42");
        Write("unrelated", "x");
        string program = Write("program.txt", "read n < lib/number.txt; [ ! -e unrelated ] && [ \"$1\" = extra ] && exit $n");
        Write("gloox.json", """{ "command": ["sh", "program.txt", "extra"], "files": ["lib"], "memory": "2MB" }""");
        await using SpawnedProcess process = await grid.Client.SpawnAsync(program, ct: Ct);
        Assert.Equal(new ExitStatus(42, 0), await process.WaitForExitAsync(Ct));
    }

    [Fact]
    public async Task A_folder_is_run_as_its_note_or_the_call_says()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        Write("bin/tool", "#!/bin/sh\nexit 5\n");
        Write("gloox.json", """{ "command": ["./bin/tool"] }""");
        await using SpawnedProcess process = await grid.Client.SpawnAsync(_folder, ct: Ct);
        Assert.Equal(new ExitStatus(5, 0), await process.WaitForExitAsync(Ct)); // it may be run, for the note names it
        await using SpawnedProcess other = await grid.Client.SpawnAsync(_folder, new SpawnOptions { Command = ["sh", "-c", "exit 6"] }, ct: Ct);
        Assert.Equal(new ExitStatus(6, 0), await other.WaitForExitAsync(Ct));
    }

    [Fact]
    public async Task A_command_that_no_node_has_is_named()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string file = Write("data", "x");
        var error = await Assert.ThrowsAsync<SpawnException>(() => grid.Client.SpawnAsync(file, new SpawnOptions { Command = ["no-such-command"] }, ct: Ct));
        Assert.Contains($"{grid.Agents[0].Url} has no command 'no-such-command'", error.Message, StringComparison.Ordinal);
        await grid.NothingIsLeftAsync();
    }

    [Theory]
    [InlineData("""{ "comand": ["x"] }""", "comand")]
    [InlineData("""{ "command": "x" }""", "list of texts")]
    [InlineData("""{ "memory": "many" }""", "many")]
    [InlineData("""{ "memory": [5] }""", "a size")]
    [InlineData("""{ "files": ["../up"] }""", "not below")]
    [InlineData("""{ "files": ["nowhere"] }""", "nowhere")]
    [InlineData("[]", "no object")]
    [InlineData("{", "gloox.json")]
    public async Task A_note_that_is_faulty_is_refused(string note, string said)
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string script = Write("run.sh", "#!/bin/sh\n");
        Write("gloox.json", note);
        var error = await Assert.ThrowsAsync<SpawnException>(() => grid.Client.SpawnAsync(script, ct: Ct));
        Assert.Contains(said, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_ends_with_its_agent_however_that_ends_and_a_daemon_does_not()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess nest = await grid.SpawnAsync("Nest");
        string script = Write("wait.sh", "#!/bin/sh\nsleep 600 & wait\n");
        await using GlooXClient inner = new GlooXClient(await nest.CallAsync<string>("agent") ?? "");
        await using SpawnedProcess child = await inner.SpawnAsync(script, ct: Ct);
        await using SpawnedProcess daemon = await inner.SpawnAsync(script, new SpawnOptions { Daemonize = true }, ct: Ct);
        await nest.KillAsync(Ct);
        await Eventually.HoldsAsync(() => !TestGrid.IsRunning(child.Pid), "the child is gone");
        Assert.True(TestGrid.IsRunning(daemon.Pid));
        await TestGrid.EndByNextAgentAsync(daemon);
    }

    private string Write(string name, string content)
    {
        string file = Path.Combine(_folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(file)!);
        File.WriteAllText(file, content);
        return file;
    }
}
