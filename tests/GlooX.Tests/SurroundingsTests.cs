namespace GlooX.Tests;

/// <summary>The variables of processes, and as whom they run.</summary>
public sealed class SurroundingsTests : IDisposable
{
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"payload-{Guid.NewGuid():N}")).FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_class_gets_the_usual_variables_and_those_that_are_passed_on_or_given_and_no_others(int warmHosts)
    {
        using var secret = new Variable("SURROUNDINGS_SECRET", "s3cret");
        using var shared = new Variable("SURROUNDINGS_SHARED", "shared");
        using var key = new Variable("RAKTR_TLS_OF_TEST_PASSWORD", "/etc/key");
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = warmHosts, PassEnvironment = ["SURROUNDINGS_SH*", "RAKTR_*"] });
        await Eventually.HoldsAsync(() => grid.Agents[0].WarmHosts == warmHosts, "a host is warm");
        await using SpawnedProcess child = await grid.SpawnAsync("Witness", new SpawnOptions { Environment = new() { ["COLOUR"] = "blue", ["LANG"] = "C" } });
        Assert.Equal("blue", await child.CallAsync<string>("first")); // before any of its code ran
        Assert.Equal("blue", await child.CallAsync<string>("inherited", "COLOUR"));
        Assert.Equal("C", await child.CallAsync<string>("variable", "LANG"));
        Assert.Equal("shared", await child.CallAsync<string>("variable", "SURROUNDINGS_SHARED"));
        Assert.Equal(Environment.GetEnvironmentVariable("PATH"), await child.CallAsync<string>("variable", "PATH"));
        Assert.Null(await child.CallAsync<string>("variable", "SURROUNDINGS_SECRET"));
        Assert.Null(await child.CallAsync<string>("variable", "RAKTR_TLS_OF_TEST_PASSWORD"));
        string environment = await File.ReadAllTextAsync($"/proc/{child.Pid}/environ", Ct);
        Assert.DoesNotContain("s3cret", environment, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Settings_of_the_runtime_are_there_when_it_starts()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 1 });
        await Eventually.HoldsAsync(() => grid.Agents[0].WarmHosts == 1, "a host is warm");
        await using SpawnedProcess child = await grid.SpawnAsync("Witness", new SpawnOptions { Environment = new() { ["DOTNET_GCHeapCount"] = "2" } });
        Assert.Contains("DOTNET_GCHeapCount=2\0", await File.ReadAllTextAsync($"/proc/{child.Pid}/environ", Ct), StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_executable_gets_them_too_and_again_when_it_is_started_again()
    {
        using var secret = new Variable("SURROUNDINGS_SECRET", "s3cret");
        await using TestGrid grid = await TestGrid.StartAsync();
        SpawnOptions options = new() { Environment = new() { ["COLOUR"] = "blue", ["PATH"] = "/bin:/usr/bin" }, Restart = RestartPolicy.OnFailure with { FirstPause = TimeSpan.FromMilliseconds(10) } };
        await using SpawnedProcess process = await grid.Client.SpawnAsync(Script($"echo \"$COLOUR $PATH $SURROUNDINGS_SECRET.\"; mkdir {_folder}/first && exit 3; exit 0"), options, ct: Ct);
        Assert.Equal(new ExitStatus(0, 0), await process.WaitForExitAsync(Ct));
        string[] lines = [.. (await process.LogsAsync(ct: Ct).ToListAsync(Ct)).Where(static l => l.Stream == OutputStream.Output).Select(static l => l.Text)];
        Assert.Equal(["blue /bin:/usr/bin .", "blue /bin:/usr/bin ."], lines);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_variable_whose_name_is_none_for_a_shell_gets_through(bool daemonize)
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        SpawnOptions options = new() { Environment = new() { ["a.b"] = "it's odd" }, Daemonize = daemonize };
        await using SpawnedProcess process = await grid.Client.SpawnAsync("/usr/bin/env", options, ct: Ct);
        Assert.Equal(new ExitStatus(0, 0), await process.WaitForExitAsync(Ct));
        Assert.Contains("a.b=it's odd", (await process.LogsAsync(ct: Ct).ToListAsync(Ct)).Select(static l => l.Text));
    }

    [Theory]
    [InlineData("", "x")]
    [InlineData("A=B", "x")]
    [InlineData("A", "x\0y")]
    [InlineData("GLOOX_ID", "x")]
    public async Task What_cannot_be_a_variable_is_refused(string name, string value)
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        var error = await Assert.ThrowsAsync<ArgumentException>(() => grid.SpawnAsync("Witness", new SpawnOptions { Environment = new() { [name] = value } }));
        Assert.Contains($"'{name}'", error.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentException>(() => Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { PassEnvironment = ["A*B"] }, ct: Ct));
    }

    [Fact]
    public async Task Nothing_runs_as_a_user_that_the_node_does_not_allow()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        Assert.Contains("--allow-user nobody", await grid.FailAsync("Witness", new SpawnOptions { User = "nobody" }), StringComparison.Ordinal);
        var error = await Assert.ThrowsAsync<ArgumentException>(() => Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { AllowedUsers = ["no-such-user"] }, ct: Ct));
        Assert.Contains("'no-such-user'", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_class_runs_as_another_user_with_its_own_copy_of_its_files()
    {
        RequireRoot();
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, AllowedUsers = ["nobody"] });
        await using (SpawnedProcess child = await grid.SpawnAsync("Witness", new SpawnOptions { User = "nobody" }))
        {
            string[] who = await child.CallAsync<string[]>("who") ?? [];
            Assert.Equal("nobody", who[0]);
            Assert.NotEqual(Environment.GetEnvironmentVariable("HOME"), who[1]);
            string files = who[2];
            Assert.True(Directory.Exists(files));
            string status = await File.ReadAllTextAsync($"/proc/{child.Pid}/status", Ct);
            Assert.Contains("CapEff:\t0000000000000000", status, StringComparison.Ordinal);
            Assert.Equal(new ExitStatus(0, 9), await child.KillAsync(Ct));
            await Eventually.HoldsAsync(() => !Directory.Exists(child.TmpDir) && !Directory.Exists(files), "its folder and the copy are gone");
        }

        Assert.Contains("outlives it", await grid.FailAsync("Witness", new SpawnOptions { User = "nobody", Daemonize = true }), StringComparison.Ordinal);
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task An_executable_runs_as_another_user_and_so_does_what_is_started_again()
    {
        RequireRoot();
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, AllowedUsers = ["nobody"] });
        SpawnOptions options = new() { User = "nobody", Restart = RestartPolicy.OnFailure with { FirstPause = TimeSpan.FromMilliseconds(10) } };
        await using SpawnedProcess process = await grid.Client.SpawnAsync(Script("id -un; id -Gn; cat \"$0\" | head -1; cat /etc/shadow; mkdir $GLOOX_TMPDIR/first && exit 3; exit 0"), options, ct: Ct);
        Assert.Equal(new ExitStatus(0, 0), await process.WaitForExitAsync(Ct));
        List<LogLine> lines = await process.LogsAsync(ct: Ct).ToListAsync(Ct);
        Assert.Equal(["nobody", "nogroup", "#!/bin/sh", "nobody", "nogroup", "#!/bin/sh"], lines.Where(static l => l.Stream == OutputStream.Output).Select(static l => l.Text));
        Assert.Equal(2, lines.Count(static l => l.Text.Contains("Permission denied", StringComparison.Ordinal)));
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task A_folder_that_others_cannot_pass_through_is_named()
    {
        RequireRoot();
        UnixFileMode before = File.GetUnixFileMode(TestGrid.Home);
        File.SetUnixFileMode(TestGrid.Home, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        try
        {
            await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, AllowedUsers = ["nobody"] });
            Assert.Contains($"cannot get through {TestGrid.Home} ", await grid.FailAsync("Witness", new SpawnOptions { User = "nobody" }), StringComparison.Ordinal);
            var error = await Assert.ThrowsAsync<SpawnException>(() => grid.Client.SpawnAsync(Script("exit 0"), new SpawnOptions { User = "nobody" }, ct: Ct));
            Assert.Contains("TMPDIR", error.Message, StringComparison.Ordinal);
            await grid.NothingIsLeftAsync();
        }
        finally
        {
            File.SetUnixFileMode(TestGrid.Home, before);
        }
    }

    internal static void RequireRoot()
    {
        Assert.SkipUnless(Environment.UserName == "root", "only root can start processes of other users");
        for (string? folder = AppContext.BaseDirectory; folder is not null; folder = Path.GetDirectoryName(folder))
        {
            Assert.SkipUnless((File.GetUnixFileMode(folder) & UnixFileMode.OtherExecute) != UnixFileMode.None, $"others cannot get through {folder} to the host");
        }

        for (string? folder = Path.GetTempPath(); folder?.StartsWith(TestGrid.Home, StringComparison.Ordinal) == true; folder = Path.GetDirectoryName(folder))
        {
            File.SetUnixFileMode(folder, File.GetUnixFileMode(folder) | UnixFileMode.OtherExecute);
        }
    }

    private string Script(string text)
    {
        string file = Path.Combine(_folder, $"{Guid.NewGuid():N}.sh");
        File.WriteAllText(file, $"#!/bin/sh\n{text}\n");
        return file;
    }

    private sealed class Variable : IDisposable
    {
        private readonly string _name;

        public Variable(string name, string value)
        {
            _name = name;
            Environment.SetEnvironmentVariable(name, value);
        }

        public void Dispose() => Environment.SetEnvironmentVariable(_name, null);
    }
}
