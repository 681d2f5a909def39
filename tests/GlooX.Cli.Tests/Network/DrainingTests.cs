namespace GlooX.Cli.Tests.Network;

/// <summary>Spawns while an agent stops, over networks of the test's own.</summary>
[Trait("Category", "Slow")]
public sealed class DrainingTests
{
    [Fact]
    public async Task A_client_on_a_third_host_spawns_through_a_neighbour_of_a_draining_agent_and_sees_its_state()
    {
        await using TestHosts hosts = await TestHosts.MakeOrSkipAsync(3);
        string first = hosts[0].Agent, second = hosts[1].Agent;
        Shell client = hosts[2].Shell;
        await hosts[0].Shell.AgentAsync("--url", first);
        foreach ((Shell shell, string role) in new[] { (hosts[1].Shell, "agent"), (client, "client") })
        {
            string token = (await hosts[0].Shell.GlooXAsync("token", "--role", role)).Output.Split('\n')[0];
            Outcome joined = await shell.GlooXAsync("join", first, token);
            Assert.Equal((0, ""), (joined.Code, joined.Errors));
        }

        (Conversation node, _) = await ChannelProcessTests.StartAsync(hosts[1].Shell, second, "--peer", first);
        await CommandTests.UntilAsync(() => client.GlooXAsync("status", "--agent", first), static o => States(o).Count(static l => l.Contains(" ready ", StringComparison.Ordinal)) == 2);
        await node.AskAsync($"drain {hosts[1].Shell["until"]}", "drains");
        Outcome status = await CommandTests.UntilAsync(() => client.GlooXAsync("status", "--agent", first), static o => o.Output.Contains(" draining ", StringComparison.Ordinal));
        Assert.Contains(" draining ", States(status).Single(l => l.Contains(second, StringComparison.Ordinal)), StringComparison.Ordinal);
        Assert.Contains(" ready ", States(status).Single(l => l.Contains(first, StringComparison.Ordinal)), StringComparison.Ordinal);

        string script = client["run.sh"];
        await File.WriteAllTextAsync(script, "#!/bin/sh\nexec sleep 600\n");
        Outcome direct = await client.GlooXAsync("spawn", script, "--strategy", "direct", "--agent", second);
        Assert.Contains("is draining", direct.Errors, StringComparison.Ordinal);
        for (int i = 0; i < 2; i++)
        {
            Outcome spawned = await client.GlooXAsync("spawn", script, "--agent", first);
            Assert.Equal((0, ""), (spawned.Code, spawned.Errors));
            Assert.Contains($"runs on {first}", spawned.Output, StringComparison.Ordinal);
        }

        await File.WriteAllTextAsync(hosts[1].Shell["until"], "");
    }

    private static string[] States(Outcome status) => status.Output.Split('\n');
}
