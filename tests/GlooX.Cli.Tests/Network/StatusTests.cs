namespace GlooX.Cli.Tests.Network;

/// <summary>What the tool shows of a grid of several hosts.</summary>
[Trait("Category", "Slow")]
public sealed class StatusTests
{
    [Fact]
    public async Task A_node_whose_cable_is_pulled_is_shown_as_unreachable()
    {
        await using TestHosts hosts = await TestHosts.MakeOrSkipAsync(3);
        await hosts.FormGridAsync(agents: 3);
        await TestHosts.CutAsync(hosts[2]);
        Outcome status = await CommandTests.UntilAsync(
            () => hosts[0].Shell.GlooXAsync("status", "--agent", hosts[1].Agent), static o => o.Output.Contains("3 nodes, 1 unreachable", StringComparison.Ordinal));
        Assert.Contains("unreachable", status.Output.Split('\n').Single(l => l.Contains(hosts[2].Agent, StringComparison.Ordinal)), StringComparison.Ordinal);
        await TestHosts.MendAsync(hosts[2]);
        await CommandTests.UntilAsync(
            () => hosts[0].Shell.GlooXAsync("status", "--agent", hosts[1].Agent), static o => !o.Output.Contains("unreachable", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_grid_over_IPv6_spawns_calls_and_shows_itself()
    {
        await using TestHosts hosts = await TestHosts.MakeOrSkipAsync(2);
        string first = $"[{hosts[0].Address6}]:9999", second = $"[{hosts[1].Address6}]:9999";
        await hosts[0].Shell.AgentAsync("--url", first);
        string token = (await hosts[0].Shell.GlooXAsync("token")).Output.Split('\n')[0];
        Outcome joined = await hosts[1].Shell.GlooXAsync("join", first, token);
        Assert.Equal((0, ""), (joined.Code, joined.Errors));
        await hosts[1].Shell.AgentAsync("--url", second, "--peer", first);
        Outcome status = await CommandTests.UntilAsync(
            () => hosts[1].Shell.GlooXAsync("status", "--agent", first), static o => o.Output.Contains("2 nodes", StringComparison.Ordinal));
        Assert.Contains(second, status.Output, StringComparison.Ordinal);
        Outcome spawned = await hosts[1].Shell.GlooXAsync(
            "spawn", "Good", "tests/GlooX.Tests.Payload/bin/Release/net10.0/GlooX.Tests.Payload.dll", "--agent", first, "--strategy", "direct");
        Assert.Equal((0, ""), (spawned.Code, spawned.Errors));
        string url = spawned.Output.Split("url ")[1].Trim();
        Outcome called = await hosts[1].Shell.GlooXAsync("call", url, "all_well?");
        Assert.Equal((0, "\"yes!\""), (called.Code, called.Output.Trim()));
        Assert.Contains(url, (await hosts[1].Shell.GlooXAsync("ps", "--agent", second)).Output, StringComparison.Ordinal);
    }
}
