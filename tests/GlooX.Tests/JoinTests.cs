using System.Net;
using System.Net.Sockets;

namespace GlooX.Tests;

/// <summary>Joining the grid of a peer that takes its time.</summary>
public sealed class JoinTests
{
    [Fact]
    [Trait("Category", "Slow")]
    public async Task A_peer_that_answers_after_the_agent_has_formed_a_grid_alone_is_joined_all_the_same()
    {
        // Connections come in and nobody answers, as on a machine that is far too busy.
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        string url = silent.LocalEndpoint.ToString()!;
        using var log = new LogKeeper();
        Task<Agent> joining = Agent.StartAsync("127.0.0.1:0", url, new AgentOptions { WarmHosts = 0, JoinTimeout = TimeSpan.FromMinutes(1), LoggerFactory = log });
        await Eventually.HoldsAsync(() => joining.IsCompleted || log.Information.Any(static l => l.StartsWith("Member of a grid as", StringComparison.Ordinal)), "the agent has formed a grid");
        Assert.False(joining.IsCompleted);

        silent.Stop();
        await using Agent peer = await Agent.StartAsync(url, options: new AgentOptions { WarmHosts = 0 });
        await using Agent joined = await joining;
        Assert.Equal([url], joined.Peers);
    }

    [Fact]
    public async Task A_peer_that_never_answers_is_given_up_at_the_timeout()
    {
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        var error = await Assert.ThrowsAsync<PeerUnreachableException>(() => Agent.StartAsync(
            "127.0.0.1:0", silent.LocalEndpoint.ToString(), new AgentOptions { WarmHosts = 0, JoinTimeout = TimeSpan.FromSeconds(2) }));
        Assert.Contains($"{silent.LocalEndpoint}: no answer", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public async Task A_peer_whose_every_answer_takes_longer_than_a_probe_is_joined()
    {
        await using Agent peer = await Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { WarmHosts = 0 });
        await using var way = new SlowWay(peer.Url, TimeSpan.FromSeconds(2.5));
        await using Agent joined = await Agent.StartAsync("127.0.0.1:0", way.Url, new AgentOptions { WarmHosts = 0, JoinTimeout = TimeSpan.FromMinutes(1) });
        Assert.Equal([peer.Url], joined.Peers);
    }

    [Fact]
    public async Task An_agent_that_is_its_own_peer_starts_alone()
    {
        string url;
        using (var free = new TcpListener(IPAddress.Loopback, 0))
        {
            free.Start();
            url = free.LocalEndpoint.ToString()!;
        }

        await using Agent agent = await Agent.StartAsync(url, url, new AgentOptions { WarmHosts = 0 });
        Assert.Empty(agent.Peers);
    }
}
