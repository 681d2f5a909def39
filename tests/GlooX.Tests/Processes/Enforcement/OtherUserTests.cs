using GlooX.Slots;

namespace GlooX.Tests;

/// <summary>What runs as another user stays that user, whatever it puts into its folder and its variables.</summary>
public sealed class OtherUserTests : IDisposable
{
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"payload-{Guid.NewGuid():N}")).FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private static RestartPolicy Again => RestartPolicy.OnFailure with { FirstPause = TimeSpan.FromMilliseconds(10), MaxRestarts = 1 };

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_symlink_in_a_work_folder_gives_no_file_away_at_a_restart(bool keepFolder)
    {
        SurroundingsTests.RequireRoot();
        string victim = Directory.CreateDirectory(Path.Combine(_folder, "victim")).FullName;
        string secret = Path.Combine(victim, "shadow");
        await File.WriteAllTextAsync(secret, "secret", Ct);
        File.SetUnixFileMode(secret, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, AllowedUsers = ["nobody"] });
        SpawnOptions options = new() { User = "nobody", Restart = Again, KeepTmpDir = keepFolder };
        string script = Script($"[ -L $GLOOX_TMPDIR/x ] && {{ cat $GLOOX_TMPDIR/x/shadow; exit 0; }}; ln -s {victim} $GLOOX_TMPDIR/x; exit 1");
        await using SpawnedProcess process = await grid.Client.SpawnAsync(script, options, ct: Ct);
        Assert.Equal(new ExitStatus(0, 0), await process.WaitForExitAsync(Ct));
        List<LogLine> lines = await process.LogsAsync(ct: Ct).ToListAsync(Ct);
        Assert.DoesNotContain(lines, static l => l.Text == "secret");
        Assert.Equal("0 0", await RunAsync($"stat -c '%u %u' {secret} | head -1"));
        Assert.Equal("0", await RunAsync($"stat -c %u {victim}"));
        await Eventually.HoldsAsync(() => keepFolder || !Directory.Exists(process.TmpDir), "its folder is gone");
        Assert.True(File.Exists(secret)); // nor is it removed with the folder
        if (keepFolder)
        {
            Directory.Delete(process.TmpDir, recursive: true);
        }
    }

    [Fact]
    public async Task A_work_folder_that_was_replaced_by_a_link_is_not_given_away_at_a_restart()
    {
        SurroundingsTests.RequireRoot();
        string victim = Directory.CreateDirectory(Path.Combine(_folder, "victim")).FullName;
        string temporary = File.GetUnixFileMode(TestGrid.Temporary).ToString();
        File.SetUnixFileMode(TestGrid.Temporary, (UnixFileMode)0x3FF); // as /tmp: 1777
        try
        {
            await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, AllowedUsers = ["nobody"] });
            SpawnOptions options = new() { User = "nobody", Restart = Again, KeepTmpDir = true };
            string script = Script($"[ -e {_folder}/again ] && echo again; mv $GLOOX_TMPDIR $GLOOX_TMPDIR.old; ln -s {victim} $GLOOX_TMPDIR; exit 1");
            await using SpawnedProcess process = await grid.Client.SpawnAsync(script, options, ct: Ct);
            await process.WaitForExitAsync(Ct);
            Assert.Equal("0", await RunAsync($"stat -c %u {victim}"));
            File.Delete(process.TmpDir);
            Directory.Delete(process.TmpDir + ".old", recursive: true);
        }
        finally
        {
            File.SetUnixFileMode(TestGrid.Temporary, Enum.Parse<UnixFileMode>(temporary));
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task No_variable_of_a_spawn_acts_on_what_is_still_root(bool ownLauncher)
    {
        SurroundingsTests.RequireRoot();
        string library = await LibraryAsync();
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, AllowedUsers = ["nobody"], Launcher = ownLauncher ? new Through() : ProcessLauncher.Local });
        SpawnOptions options = new() { User = "nobody", Environment = new() { ["LD_PRELOAD"] = library } };
        await using SpawnedProcess process = await grid.Client.SpawnAsync(Script("echo $LD_PRELOAD; exec /bin/true"), options, ct: Ct);
        Assert.Equal(new ExitStatus(0, 0), await process.WaitForExitAsync(Ct));
        List<LogLine> lines = await process.LogsAsync(ct: Ct).ToListAsync(Ct);
        Assert.Contains(lines, l => l.Text == library);
        Assert.Contains(lines, static l => l.Text.StartsWith("loaded by 65534", StringComparison.Ordinal)); // it does act, on that user's programs
        Assert.DoesNotContain(lines, static l => l.Text.StartsWith("loaded by 0", StringComparison.Ordinal));
        await using SpawnedProcess child = await grid.SpawnAsync("Witness", options);
        Assert.Equal(library, await child.CallAsync<string>("variable", "LD_PRELOAD"));
        lines = await child.LogsAsync(ct: Ct).ToListAsync(Ct);
        Assert.DoesNotContain(lines, static l => l.Text.StartsWith("loaded by 0", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_launcher_of_root_gets_no_variable_of_a_spawn_where_the_process_is_roots_too()
    {
        SurroundingsTests.RequireRoot();
        string library = await LibraryAsync();
        var launcher = new Through();
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, Launcher = launcher });
        SpawnOptions options = new() { Environment = new() { ["LD_PRELOAD"] = library, ["COLOUR"] = "blue" } };
        await using SpawnedProcess process = await grid.Client.SpawnAsync(Script("echo $COLOUR"), options, ct: Ct);
        Assert.Equal(new ExitStatus(0, 0), await process.WaitForExitAsync(Ct));
        Assert.Contains(await process.LogsAsync(ct: Ct).ToListAsync(Ct), static l => l.Text == "blue");
        Assert.DoesNotContain("LD_PRELOAD", launcher.Variables);
        Assert.DoesNotContain("COLOUR", launcher.Variables);
        Assert.Contains("PATH", launcher.Variables);
    }

    [Fact]
    public async Task A_process_of_another_user_has_its_variables_whatever_is_in_them_and_can_gain_no_privilege()
    {
        SurroundingsTests.RequireRoot();
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, AllowedUsers = ["nobody"] });
        Dictionary<string, string> variables = new() { ["QUOTED"] = "it's $HOME `id`\n\\ \"x\"", ["a.b"] = "odd", ["PPID"] = "shell's", ["EMPTY"] = "" };
        await using SpawnedProcess process = await grid.Client.SpawnAsync(
            Script("grep -E '^(NoNewPrivs|CapBnd|CapInh|CapAmb|CapEff)' /proc/self/status; ls /proc/self/fd; exec sleep 100"), new SpawnOptions { User = "nobody", Environment = variables }, ct: Ct);
        await Eventually.HoldsAsync(async () => (await File.ReadAllTextAsync($"/proc/{process.Pid}/cmdline", Ct)).StartsWith("sleep", StringComparison.Ordinal), "it runs");
        string[] has = (await File.ReadAllTextAsync($"/proc/{process.Pid}/environ", Ct)).Split('\0');
        Assert.Contains("QUOTED=it's $HOME `id`\n\\ \"x\"", has);
        Assert.Contains("EMPTY=", has);
        Assert.Contains($"GLOOX_ID={process.Id}", has);
        Assert.DoesNotContain(has, static v => v.StartsWith("GLOOX_HOME=", StringComparison.Ordinal) || v.StartsWith("XDG_", StringComparison.Ordinal));
        string[] lines = [.. (await process.LogsAsync(ct: Ct).ToListAsync(Ct)).Select(static l => l.Text)];
        Assert.Contains("NoNewPrivs:\t1", lines);
        Assert.Equal(4, lines.Count(static l => l.EndsWith("\t0000000000000000", StringComparison.Ordinal)));
        Assert.DoesNotContain("5", lines); // the descriptor of the variables is closed
        await process.KillAsync(Ct);
    }

    internal static async Task<string> RunAsync(string text)
    {
        using var shell = System.Diagnostics.Process.Start(new System.Diagnostics.ProcessStartInfo("/bin/sh", ["-c", text]) { RedirectStandardOutput = true, UseShellExecute = false })!;
        string output = await shell.StandardOutput.ReadToEndAsync(Ct);
        await shell.WaitForExitAsync(Ct);
        return output.TrimEnd();
    }

    // Says, when it is loaded, as whom.
    private async Task<string> LibraryAsync()
    {
        string library = Path.Combine(_folder, "evil.so");
        await File.WriteAllTextAsync(Path.Combine(_folder, "evil.c"), """
            #include <stdio.h>
            #include <unistd.h>
            __attribute__((constructor)) static void loaded(void) { dprintf(1, "loaded by %d\n", (int)geteuid()); }
            """, Ct);
        await RunAsync($"gcc -shared -fPIC -o {library} {_folder}/evil.c");
        Assert.SkipUnless(File.Exists(library), "there is no C compiler");
        return library;
    }

    private string Script(string text)
    {
        string file = Path.Combine(_folder, $"{Guid.NewGuid():N}.sh");
        File.WriteAllText(file, $"#!/bin/sh\n{text}\n");
        return file;
    }

    private sealed class Through : IProcessLauncher
    {
        public IEnumerable<string> Variables { get; private set; } = [];

        public ILaunchedProcess Start(ProcessLaunch launch)
        {
            Variables = launch.Environment.Keys;
            return ProcessLauncher.Local.Start(launch with { File = "/usr/bin/nice", Arguments = ["-n", "1", launch.File, .. launch.Arguments] });
        }
    }
}
