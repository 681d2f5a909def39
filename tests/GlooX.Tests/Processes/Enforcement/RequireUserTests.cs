namespace GlooX.Tests;

/// <summary>As whom an agent of root starts processes for which nobody named a user.</summary>
public sealed class RequireUserTests : IDisposable
{
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"payload-{Guid.NewGuid():N}")).FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_spawn_that_names_no_user_runs_as_the_agents_spawn_user()
    {
        SurroundingsTests.RequireRoot();
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 1, SpawnUser = "nobody" });
        await using (SpawnedProcess child = await grid.SpawnAsync("Witness"))
        {
            Assert.Equal("nobody", (await child.CallAsync<string[]>("who"))![0]);
            await child.KillAsync(Ct);
        }

        foreach (string? user in (string?[])[null, "nobody"])
        {
            await using SpawnedProcess process = await grid.Client.SpawnAsync(Script("id -un"), new SpawnOptions { User = user }, ct: Ct);
            Assert.Equal(new ExitStatus(0, 0), await process.WaitForExitAsync(Ct));
            Assert.Contains("nobody", (await process.LogsAsync(ct: Ct).ToListAsync(Ct)).Select(static l => l.Text));
        }

        Assert.Contains("--spawn-user", await grid.FailAsync("Witness", new SpawnOptions { Daemonize = true }), StringComparison.Ordinal);
        Assert.Equal(0, grid.Agents[0].WarmHosts); // it would be root's
    }

    [Fact]
    public async Task An_agent_that_requires_a_user_starts_nothing_as_root()
    {
        SurroundingsTests.RequireRoot();
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 1, RequireUser = true, AllowedUsers = ["nobody"] });
        Assert.Contains("runs nothing as root (--only-users): name one of its users with --user (SpawnOptions.User): nobody", await grid.FailAsync("Witness"), StringComparison.Ordinal);
        var error = await Assert.ThrowsAsync<SpawnException>(() => grid.Client.SpawnAsync(Script("id -un"), ct: Ct));
        Assert.Contains("--only-users", error.Message, StringComparison.Ordinal);
        Assert.Contains("--allow-user root", await grid.FailAsync("Witness", new SpawnOptions { User = "root" }), StringComparison.Ordinal);
        await using SpawnedProcess child = await grid.SpawnAsync("Witness", new SpawnOptions { User = "nobody" });
        Assert.Equal("nobody", (await child.CallAsync<string[]>("who"))![0]);
        Assert.Equal(0, grid.Agents[0].WarmHosts);
    }

    [Fact]
    public async Task An_agent_that_requires_a_user_runs_no_addon_of_a_client()
    {
        SurroundingsTests.RequireRoot();
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, RequireUser = true, SpawnUser = "nobody" }, new AgentOptions { WarmHosts = 0 });
        var error = await Assert.ThrowsAsync<AddonException>(() => grid.Client.AttachAddonAsync("late", new AddonSource(TestGrid.Payload, "Counter"), ct: Ct));
        Assert.Contains("--only-users", error.Message, StringComparison.Ordinal);
        await grid.Agents[0].AttachAddonAsync("own", (string text) => text, ct: Ct); // its owner may
        Assert.Equal(["own"], grid.Agents[0].Addons);
    }

    [Fact]
    public async Task Options_that_would_let_root_in_again_are_refused_at_the_start()
    {
        SurroundingsTests.RequireRoot();
        foreach (AgentOptions options in (AgentOptions[])[
            new() { RequireUser = true, AllowedUsers = ["root"] },
            new() { RequireUser = true, SpawnUser = "root" },
            new() { SpawnUser = "no-such-user" }])
        {
            var error = await Assert.ThrowsAsync<ArgumentException>(() => Agent.StartAsync("127.0.0.1:0", options: options, ct: Ct));
            Assert.Contains(options.RequireUser ? "'root' is root" : "'no-such-user'", error.Message, StringComparison.Ordinal);
        }
    }

    private string Script(string text)
    {
        string file = Path.Combine(_folder, $"{Guid.NewGuid():N}.sh");
        File.WriteAllText(file, $"#!/bin/sh\n{text}\n");
        return file;
    }
}
