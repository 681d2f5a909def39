using GlooX.Channels.Replication;
using GlooX.Contracts;
using GlooX.Grid;
using GlooX.Services;
using GlooX.Trust;

namespace GlooX.Tests;

/// <summary>An agent speaks for itself alone: what it says of an agent is compared with the node in its certificate.</summary>
public sealed class SpeakerTests : IDisposable
{
    private readonly OwnAuthority _authority = new();

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => _authority.Dispose();

    [Fact]
    public async Task Agents_of_different_nodes_form_a_grid_and_share_their_status_and_channels()
    {
        await using Agent one = await StartAsync("aaaaaaaaaaaa");
        await using Agent two = await StartAsync("bbbbbbbbbbbb", one.Url);
        await Eventually.HoldsAsync(() => one.Peers.Count == 1 && two.Peers.Count == 1, "they see each other");
        Assert.StartsWith("aaaaaaaaaaaa.", one.Describe().NodeId, StringComparison.Ordinal);
        await one.Channel<int>("channel").SetAsync("a", 1, new ChannelWriteOptions { Acknowledge = Acknowledgement.All }, Ct);
        await two.Channel<int>("channel").SetAsync("b", 2, new ChannelWriteOptions { Acknowledge = Acknowledgement.All }, Ct);
        Assert.Equal(2, await one.Channel<int>("channel").GetAsync("b", Ct));
        Assert.Equal([one.Describe().NodeId, two.Describe().NodeId], (await one.Status.NodesAsync(Ct)).Select(static n => n.NodeId).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task Agents_whose_certificates_name_no_node_form_a_grid()
    {
        await using Agent one = await StartAsync(null);
        await using Agent two = await StartAsync(null, one.Url);
        await one.Channel<int>("channel").SetAsync("a", 1, new ChannelWriteOptions { Acknowledge = Acknowledgement.All }, Ct);
        Assert.Equal(1, await two.Channel<int>("channel").GetAsync("a", Ct));
    }

    [Fact]
    public async Task An_agent_that_tells_of_another_how_it_is_or_probes_in_its_name_is_refused_and_logged()
    {
        using var log = new LogKeeper();
        await using Agent victim = await StartAsync("aaaaaaaaaaaa", null, log);
        await using Agent other = await StartAsync("bbbbbbbbbbbb", victim.Url);
        await Eventually.HoldsAsync(() => victim.Peers.Count == 1 && other.Peers.Count == 1, "they see each other");
        await using var rogue = new RpcClient(victim.Url, new RpcClientOptions { Identity = _authority.Agent("cccccccccccc") });
        IPeerService peer = rogue.As<IPeerService>(IPeerService.ServiceName);
        NodeInfo lie = other.Describe() with { FreeSlots = 1_000_000, Utilization = 0.99 };
        await ForbiddenAsync(() => peer.StatusAsync(lie, Ct).AsTask());
        await ForbiddenAsync(() => peer.StatusAsync(lie with { NodeId = "cccccccccccc.12345678" }, Ct).AsTask()); // of its own, at the other's address
        await ForbiddenAsync(() => peer.ProbeAsync(new ProbeRequest(other.Url, other.Describe().NodeId, GridState.Up), "127.0.0.1", Ct).AsTask());
        Assert.All(await victim.Status.NodesAsync(Ct), static n => Assert.NotEqual(0.99, n.Utilization));
        Assert.Contains(log.Warnings, static l => l.Contains("which spoke for the agent bbbbbbbbbbbb", StringComparison.Ordinal));

        // What it says of itself at an address where no member is, is not kept.
        await peer.StatusAsync(lie with { NodeId = "cccccccccccc.12345678", Url = "127.0.0.1:1" }, Ct);
        Assert.Equal(2, (await victim.Status.NodesAsync(Ct)).Count);
    }

    [Fact]
    public async Task An_agent_that_writes_in_the_name_of_another_is_refused_and_logged()
    {
        using var log = new LogKeeper();
        await using Agent victim = await StartAsync("aaaaaaaaaaaa", null, log);
        await using var rogue = new RpcClient(victim.Url, new RpcClientOptions { Identity = _authority.Agent("cccccccccccc") });
        IChannelService channels = rogue.As<IChannelService>(IChannelService.ServiceName);
        await channels.PushAsync(Batch("bbbbbbbbbbbb.12345678", "forged"), Ct);
        await channels.PushAsync(Batch(victim.Describe().NodeId, "forged"), Ct);
        await channels.PushAsync([1, 2], Ct);
        await channels.PushAsync(Batch("cccccccccccc.12345678", "own"), Ct);
        await Eventually.HoldsAsync(() => victim.Hub.TryGet("channel", "own", out _, out _), "its own write has come");
        Assert.False(victim.Hub.TryGet("channel", "forged", out _, out _));
        Assert.Equal(3, log.Warnings.Count(static l => l.Contains("Changes of channels from", StringComparison.Ordinal)));
    }

    private static byte[] Batch(string agent, string key)
    {
        var now = Instant.Of(TimeProvider.System);
        var core = new Replicator(AgentId.Number(agent), new ReplicatorOptions(), new Random(1));
        core.Write(core.Find(Replicator.BuiltIn)!, key, [1], EntryFlags.None, 0, wantsAcknowledgement: false, now);
        return Assert.Single(Messages.Encode(core.Self, core.TakePending(), now.Mono));
    }

    private static async Task ForbiddenAsync(Func<Task> act) => Assert.Equal(RpcError.Forbidden, (await Assert.ThrowsAsync<RpcException>(act)).Code);

    private Task<Agent> StartAsync(string? node, string? peer = null, LogKeeper? log = null) =>
        Agent.StartAsync("127.0.0.1:0", peer, new AgentOptions { WarmHosts = 0, Identity = _authority.Agent(node), LoggerFactory = log }, Ct);
}
