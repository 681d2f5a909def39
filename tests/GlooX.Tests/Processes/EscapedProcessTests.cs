using System.Diagnostics;
using System.Globalization;
using GlooX.Slots;

namespace GlooX.Tests;

/// <summary>Kill means all of it: what left the session of its process, or its control group, too.</summary>
public sealed class EscapedProcessTests : IDisposable
{
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"payload-{Guid.NewGuid():N}")).FullName;

    // It runs in a session of its own, and its parent has ended.
    private string Escape => $"setsid sh -c 'sleep 1000 & echo $! > {_folder}/pid.new; mv {_folder}/pid.new {_folder}/pid' &";

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public async Task What_left_the_session_of_an_executable_ends_with_it(bool daemonize, bool killed)
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string script = Script($"{Escape}\nwhile [ ! -e {_folder}/pid ]; do sleep 0.02; done; {(killed ? "wait; sleep 1000" : "exit 3")}");
        await using SpawnedProcess process = await grid.Client.SpawnAsync(script, new SpawnOptions { Daemonize = daemonize }, ct: Ct);
        int escaped = await EscapedAsync();
        Assert.Equal(killed ? new ExitStatus(0, 9) : new ExitStatus(3, 0), killed ? await process.KillAsync(Ct) : await process.WaitForExitAsync(Ct));
        Assert.False(TestGrid.IsRunning(escaped)); // before anybody is told of the end
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task What_left_the_session_of_a_class_ends_with_it(int warmHosts)
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = warmHosts });
        await Eventually.HoldsAsync(() => grid.Agents[0].WarmHosts == warmHosts, "a host is warm");
        await using SpawnedProcess child = await grid.SpawnAsync("Witness");
        await child.CallAsync<string>("inherited", $"X; {Escape.Replace(" &", " > /dev/null &", StringComparison.Ordinal)}");
        int escaped = await EscapedAsync();
        Assert.Equal(new ExitStatus(0, 9), await child.KillAsync(Ct));
        Assert.False(TestGrid.IsRunning(escaped));
    }

    [Fact]
    public async Task What_left_the_session_ends_when_the_agent_is_killed()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess doomed = await grid.SpawnAsync("Doomed");
        await using GlooXClient inner = new GlooXClient(await doomed.CallAsync<string>("agent") ?? "");
        string script = Script($"{Escape}\nwhile [ ! -e {_folder}/pid ]; do sleep 0.02; done; echo up; sleep 1000");
        try
        {
            await inner.SpawnAsync(script, ct: Ct);
        }
        catch (RpcException)
        {
            // its agent is killed as it starts
        }

        Assert.Equal(new ExitStatus(0, 9), await doomed.WaitForExitAsync(Ct));
        await Eventually.HoldsAsync(async () => await OtherUserTests.RunAsync("cat /proc/[0-9]*/cmdline 2> /dev/null") is var all && !all.Contains(_folder, StringComparison.Ordinal), "nothing of it runs");
        if (File.Exists(Path.Combine(_folder, "pid")))
        {
            int escaped = await EscapedAsync();
            await Eventually.HoldsAsync(() => !TestGrid.IsRunning(escaped), "what it started does not run");
        }
    }

    [Fact]
    public async Task An_executable_is_in_its_control_group_from_its_first_instruction_on()
    {
        string group = $"/gloox-tests-{Guid.NewGuid():N}";
        try
        {
            Processes.ControlGroups.Open(group);
        }
        catch (IOException e)
        {
            Assert.Skip(e.Message);
        }

        try
        {
            if (Environment.UserName == "root")
            {
                SurroundingsTests.RequireRoot();
            }

            await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, ControlGroup = group, AllowedUsers = Environment.UserName == "root" ? ["nobody"] : [] });
            foreach (string? user in Environment.UserName == "root" ? (string?[])[null, "nobody"] : [null])
            {
                SpawnOptions options = new() { User = user, Provision = Provision.FromBytes(100_000_000, 0), Environment = new() { ["a.b"] = "odd" } };

                // Its variables removed, in a session of its own: nothing but the group tells whose it is.
                string script = Script("cat /proc/self/cgroup; env -i setsid sleep 1000 & echo $!; env | grep a.b; exit 4");
                await using SpawnedProcess process = await grid.Client.SpawnAsync(script, options, ct: Ct);
                Assert.Equal(new ExitStatus(4, 0), await process.WaitForExitAsync(Ct));
                string[] lines = [.. (await process.LogsAsync(ct: Ct).ToListAsync(Ct)).Select(static l => l.Text)];
                Assert.Contains(lines, l => l.EndsWith($"{group}/{process.Id}", StringComparison.Ordinal));
                int escaped = int.Parse(lines.Single(static l => int.TryParse(l, out _)), CultureInfo.InvariantCulture);
                Assert.False(TestGrid.IsRunning(escaped));
            }

            await grid.NothingIsLeftAsync();
        }
        finally
        {
            foreach (string folder in Directory.GetDirectories("/sys/fs/cgroup").Append("/sys/fs/cgroup").Select(mount => mount + group).Where(Directory.Exists))
            {
                Directory.Delete(folder);
            }
        }
    }

    private async Task<int> EscapedAsync()
    {
        string file = Path.Combine(_folder, "pid");
        await Eventually.HoldsAsync(() => File.Exists(file), "it has started something");
        return int.Parse(await File.ReadAllTextAsync(file, Ct), CultureInfo.InvariantCulture);
    }

    private string Script(string text)
    {
        string file = Path.Combine(_folder, $"{Guid.NewGuid():N}.sh");
        File.WriteAllText(file, $"#!/bin/sh\n{text}\n");
        return file;
    }
}
