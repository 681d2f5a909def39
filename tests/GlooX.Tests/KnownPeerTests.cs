using System.Net;
using System.Net.Sockets;

namespace GlooX.Tests;

/// <summary>Agents that start again without a peer being named.</summary>
public sealed class KnownPeerTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Agents_that_start_again_find_each_other_without_a_peer()
    {
        string first = FreeUrl(), second = FreeUrl();
        for (int run = 0; run < 2; run++)
        {
            await using Agent one = await StartAsync(first, null);
            await using Agent two = await StartAsync(second, run == 0 ? first : null);
            await Eventually.HoldsAsync(() => one.Peers.Contains(second) && two.Peers.Contains(first), "they are one grid");
            await Eventually.HoldsAsync(() => File.Exists(StateOf(first)) && File.Exists(StateOf(second)), "both have written it down");
        }
    }

    [Fact]
    public async Task An_agent_on_any_free_port_leaves_nothing_behind()
    {
        string[] urls;
        await using (TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0 }))
        {
            urls = [.. grid.Agents.Select(static a => a.Url)];
        }

        Assert.All(urls, static u => Assert.False(Directory.Exists(Path.GetDirectoryName(StateOf(u)))));
    }

    private static Task<Agent> StartAsync(string url, string? peer) => Agent.StartAsync(url, peer, new AgentOptions { WarmHosts = 0 }, Ct);

    private static string StateOf(string url) => Path.Combine(TestGrid.Home, "home", "agents", url.Replace(':', '_'), "agent.db");

    private static string FreeUrl()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return listener.LocalEndpoint.ToString()!;
    }
}
