namespace GlooX.Grid.Tests;

public sealed class FormingTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_lone_agent_runs_no_engine_until_somebody_asks()
    {
        await using var grid = new TestGrid();
        TestNode lone = grid.Node(), caller = grid.Node();
        await lone.StartAsync();

        ProbeReply before = lone.Membership.AnswerProbe(new ProbeRequest("", "a client without an address", GridState.Joining), "127.0.0.1");
        Assert.Equal((GridState.Alone, ""), (before.State, before.Incarnation));
        Assert.False(lone.Membership.WaitUpAsync(Ct).IsCompleted);
        Assert.Equal([lone.Address], lone.Membership.Members.Select(m => m.Address));

        ProbeReply after = lone.Membership.AnswerProbe(new ProbeRequest(caller.Address, "another", GridState.Joining), "127.0.0.1");
        Assert.Equal(GridState.Forming, after.State);
        await lone.Membership.WaitUpAsync(Ct);
        Assert.Equal([caller.Address], lone.Membership.PeerAddresses);
    }

    [Fact]
    public async Task Two_agents_form_a_grid()
    {
        await using var grid = new TestGrid();
        TestNode seed = grid.Node(), other = grid.Node();
        await seed.StartAsync();
        await other.StartAsync(seed);

        await seed.Membership.WaitUpAsync(Ct);
        await other.Membership.WaitUpAsync(Ct);
        await grid.SeeEachOther(seed, other);
        await grid.Eventually(() => seed.Changes.Count > 0 && other.Changes.Count > 0, "both told");

        Assert.Equal([$"Joined {other.Address}"], seed.Changes);
        Assert.Equal([$"Joined {seed.Address}"], other.Changes);
    }

    [Fact]
    public async Task Two_agents_that_name_each_other_form_one_grid()
    {
        await using var grid = new TestGrid();
        TestNode a = grid.Node(), b = grid.Node();
        await a.StartAsync(b);
        await b.StartAsync(a);

        await grid.SeeEachOther(a, b);
    }

    [Theory]
    [InlineData(0, 1, 2, 3)]
    [InlineData(3, 2, 1, 0)]
    [InlineData(1, 0, 3, 2)]
    public async Task Four_agents_form_one_grid_whatever_order_they_start_in(params int[] order)
    {
        await using var grid = new TestGrid();
        TestNode[] nodes = [.. Enumerable.Range(0, 4).Select(_ => grid.Node())];
        foreach (int i in order)
        {
            await (i == 0 ? nodes[0].StartAsync() : nodes[i].StartAsync(nodes[0]));
        }

        await grid.SeeEachOther(nodes);
    }

    [Fact]
    public async Task Agents_that_gave_up_waiting_for_their_seed_come_together_when_it_starts()
    {
        await using var grid = new TestGrid();
        TestNode seed = grid.Node();
        TestNode a = grid.Node(o => o with { FormAfter = TimeSpan.FromSeconds(1) });
        TestNode b = grid.Node(o => o with { FormAfter = TimeSpan.FromSeconds(1) });
        await a.StartAsync(seed);
        await b.StartAsync(seed);
        await grid.Eventually(() => a is { State: GridState.Up } && b is { State: GridState.Up }, "two grids of one");

        await seed.StartAsync();

        await grid.SeeEachOther(seed, a, b);
    }

    [Fact]
    public async Task An_agent_whose_peers_refuse_forms_alone_and_says_why()
    {
        await using var grid = new TestGrid();
        TestNode node = grid.Node(o => o with { FormAfter = TimeSpan.FromSeconds(1) });
        string nobody = $"127.0.0.1:{TcpWire.FreePort()}";
        await node.StartWithAsync(nobody);
        await node.Membership.WaitUpAsync(Ct);

        PeerState peer = Assert.Single(node.Membership.PeerStates);
        Assert.Equal($"{nobody}: connection refused", peer.ToString());
        Assert.False(peer.Answered);
    }

    [Fact]
    public async Task An_agent_that_names_only_itself_stays_alone()
    {
        await using var grid = new TestGrid();
        TestNode node = grid.Node(knowsItsAddress: false); // so that it has to find out
        await node.StartWithAsync(node.Address);

        await grid.Eventually(() => node.Membership.PeerStates is [{ Answered: true }] && node.State == GridState.Alone, "alone");
        Assert.Empty(node.Membership.PeerAddresses);
    }

    [Fact]
    public async Task Agents_without_an_address_take_the_one_that_connections_show()
    {
        await using var grid = new TestGrid();
        TestNode seed = grid.Node(knowsItsAddress: false), other = grid.Node(knowsItsAddress: false);
        await seed.StartAsync();
        await other.StartAsync(seed);

        await grid.SeeEachOther(seed, other);
        Assert.Equal((seed.Address, other.Address), (seed.Membership.Address, other.Membership.Address));
        Assert.Throws<InvalidOperationException>(() => seed.Membership.SetAdvertisedAddress("10.1.1.1:1"));
    }

    [Fact]
    public async Task The_engine_starts_only_when_an_address_is_known()
    {
        await using var grid = new TestGrid();
        TestNode node = grid.Node(o => o with { AdvertisedAddress = null, FormAfter = TimeSpan.Zero });
        await node.StartWithAsync($"127.0.0.1:{TcpWire.FreePort()}");
        await grid.Eventually(() => node.Membership.PeerStates is [{ Detail: "connection refused" }], "asked");
        Assert.Equal((GridState.Joining, null), (node.State, node.Membership.Address));

        node.Membership.SetAdvertisedAddress(node.Address);

        await node.Membership.WaitUpAsync(Ct);
    }

    [Fact]
    public async Task Host_names_and_IPv6_addresses_work()
    {
        await using var grid = new TestGrid();
        TestNode v6 = grid.Node(o => o with { AdvertisedAddress = $"[::1]:{o.Port}" });
        TestNode name = grid.Node(o => o with { AdvertisedAddress = $"My_Node.test:{o.Port}" });
        await v6.StartAsync();
        await name.StartAsync(v6);

        await grid.Eventually(() => v6.Membership.Members.Count == 2 && name.Membership.Members.Count == 2, "both");
        Assert.Equal([$"[::1]:{v6.Port}", $"my_node.test:{name.Port}"], v6.Membership.Members.Select(m => m.Address));
    }

    [Fact]
    public async Task A_stream_meant_for_another_engine_is_closed()
    {
        await using var grid = new TestGrid();
        TestNode[] nodes = await grid.StartAsync(2);
        using var stream = new MemoryStream("\u0004ixyz"u8.ToArray());

        await nodes[0].Membership.AcceptAsync(stream, new GridCaller(null), Ct);

        Assert.False(stream.CanRead);
    }
}
