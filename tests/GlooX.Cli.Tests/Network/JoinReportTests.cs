using System.Diagnostics;

namespace GlooX.Cli.Tests.Network;

/// <summary>An agent that does not join its peer's grid says why, and what to do.</summary>
[Trait("Category", "Slow")]
public sealed class JoinReportTests
{
    [Fact]
    public async Task A_machine_that_has_not_joined_the_authority_is_told_to_and_an_agent_with_the_role_client_too()
    {
        await using TestHosts hosts = await TestHosts.MakeOrSkipAsync(3);
        await hosts[0].Shell.AgentAsync("--url", hosts[0].Agent);
        string token = (await hosts[0].Shell.GlooXAsync("token", "--role", "client")).Output.Split('\n')[0];
        Assert.Equal(0, (await hosts[2].Shell.GlooXAsync("join", hosts[0].Agent, token)).Code);
        foreach (TestHost stranger in new[] { hosts[1], hosts[2] })
        {
            Conversation agent = stranger.Shell.Talk("sh", "-c", $"exec dotnet {Shell.Tool} agent --warm 0 --url {stranger.Agent} --peer {hosts[0].Agent} 2>&1");
            string warning = await agent.HearAsync("has not joined a grid yet");
            Assert.Contains($"gloox join {hosts[0].Agent} TOKEN", warning, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task A_peer_that_is_not_there_yet_is_named_and_joining_is_reported_when_it_comes()
    {
        await using TestHosts hosts = await TestHosts.MakeOrSkipAsync(2);
        Process first = await hosts[0].Shell.AgentAsync("--url", hosts[0].Agent);
        string token = (await hosts[0].Shell.GlooXAsync("token")).Output.Split('\n')[0];
        Assert.Equal(0, (await hosts[1].Shell.GlooXAsync("join", hosts[0].Agent, token)).Code);
        await hosts[0].Shell.StopAsync(first);
        Conversation agent = hosts[1].Shell.Talk("sh", "-c", $"exec dotnet {Shell.Tool} agent --warm 0 --url {hosts[1].Agent} --peer {hosts[0].Agent} 2>&1");
        Assert.Contains(hosts[0].Agent, await agent.HearAsync("has not joined a grid yet"), StringComparison.Ordinal);
        await hosts[0].Shell.AgentAsync("--url", hosts[0].Agent);
        Assert.Contains($"joined the grid of 2 nodes as {hosts[1].Agent}", await agent.HearAsync("joined the grid"), StringComparison.Ordinal);
    }
}
