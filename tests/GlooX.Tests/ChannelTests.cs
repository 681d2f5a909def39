using System.Collections.Concurrent;
using GlooX.Processes;

namespace GlooX.Tests;

/// <summary>Channels of real agents, over TLS.</summary>
public sealed class ChannelTests
{
    private static readonly AgentOptions Plain = new() { WarmHosts = 0 };
    private static readonly ChannelWriteOptions ToAll = new() { Acknowledge = Acknowledgement.All };

    public sealed record Place(string City, int Number);

    [Fact]
    public async Task What_one_node_sets_all_have_and_their_callbacks_fire()
    {
        await using var grid = await TestGrid.StartAsync(Plain, Plain, Plain);
        await grid.Agents[0].CreateChannelAsync("my_nodes");
        var told = new BlockingCollection<string>();
        List<IAsyncDisposable> ended = [];
        for (int i = 0; i < 3; i++)
        {
            int node = i;
            Assert.Equal(["channel", "my_nodes"], grid.Agents[i].Channels);
            ended.Add(grid.Agents[i].Channel("my_nodes").OnSet("a1", value => told.Add($"{node} {value}")));
        }

        await grid.Agents[0].Channel("my_nodes").SetAsync("a1", 99, ToAll);

        Assert.All(grid.Agents, a => Assert.Equal(99L, a.Channel("my_nodes").Get("a1")));
        Assert.Equal(["0 99", "1 99", "2 99"], Take(told, 3).Order());
        await Task.WhenAll(ended.Select(e => e.DisposeAsync().AsTask()));
        await grid.Agents[1].Channel("my_nodes").SetAsync("a1", 100, ToAll);
        Assert.Equal(100, grid.Agents[2].Channel<int>("my_nodes").Get("a1"));
        Assert.Empty(told);
    }

    [Fact]
    public async Task Values_are_whatever_the_serializer_takes_and_null_is_one()
    {
        await using var grid = await TestGrid.StartAsync(Plain, Plain);
        IChannel<object?> here = grid.Agents[0].Channel("channel"), there = grid.Agents[1].Channel("channel");
        await here.SetAsync("null", null);
        await here.SetAsync("text", "naïve 日本 😀");
        await here.SetAsync("number", -7.5);
        await here.SetAsync("bytes", new byte[] { 1, 2, 3 });
        await here.SetAsync("list", new object?[] { 1, "two", null });
        await grid.Agents[0].Channel<Place>("channel").SetAsync("place", new Place("Utrecht", 7), ToAll);

        Assert.True(there.TryGet("null", out object? nothing));
        Assert.Null(nothing);
        Assert.False(there.TryGet("missing", out _));
        Assert.Equal("naïve 日本 😀", there.Get("text"));
        Assert.Equal(-7.5, there.Get("number"));
        Assert.Equal(new byte[] { 1, 2, 3 }, there.Get("bytes"));
        Assert.Equal([1L, "two", null], (object?[])there.Get("list")!);
        Assert.Equal(new Place("Utrecht", 7), grid.Agents[1].Channel<Place>("channel").Get("place"));
        Assert.Equal("Utrecht", ((Dictionary<string, object?>)there.Get("place")!)["City"]);
        Assert.Equal(6, there.Count);
        Assert.Equal(6, there.ToDictionary().Count);
    }

    [Fact]
    public async Task A_batch_is_applied_in_order_and_each_set_is_told()
    {
        await using var grid = await TestGrid.StartAsync(Plain, Plain);
        var told = new BlockingCollection<string>();
        var changed = new BlockingCollection<string>();
        var deleted = new BlockingCollection<string>();
        IChannel<int> there = grid.Agents[1].Channel<int>("channel");
        await using IAsyncDisposable all = there.OnSet(Keys.All, (k, v) => told.Add($"{k}={v}"));
        await using IAsyncDisposable prefixed = there.OnSet(Keys.StartingWith("b"), (k, v) => changed.Add($"{k}={v}"), onChange: true);
        await using IAsyncDisposable gone = there.OnDelete(Keys.All, deleted.Add);
        IChannel<int> here = grid.Agents[0].Channel<int>("channel");

        await here.SetManyAsync([new("a", 1), new("b", 2), new("b", 2), new("a", 3), new("b2", 4)], ToAll);
        await here.SetManyAsync(new Dictionary<string, int> { ["c"] = 5 }, ToAll);
        Assert.True(await here.DeleteAsync("a", ToAll));
        Assert.False(await here.DeleteAsync("a", ToAll));

        Assert.Equal(["a=1", "b=2", "b=2", "a=3", "b2=4", "c=5"], Take(told, 6));
        Assert.Equal(["b=2", "b2=4"], Take(changed, 2));
        Assert.Equal(["a"], Take(deleted, 1));
        Assert.False(there.TryGet("a", out _));
        Assert.Equal(3, there.Count);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public async Task Handlers_that_throw_or_are_slow_harm_nobody()
    {
        await using var grid = await TestGrid.StartAsync(Plain);
        IChannel<int> channel = grid.Agents[0].Channel<int>("channel");
        using var release = new SemaphoreSlim(0);
        var slow = new BlockingCollection<int>();
        var quick = new BlockingCollection<int>();
        await using IAsyncDisposable a = channel.OnSet("k", _ => throw new InvalidOperationException("a fault of the user's"));
        await using IAsyncDisposable b = channel.OnSet(Keys.All, async (_, v) =>
        {
            await release.WaitAsync();
            slow.Add(v);
            release.Release();
        });
        await using IAsyncDisposable c = channel.OnSet("k", quick.Add);
        const int writes = 20_000;
        for (int i = 1; i <= writes; i++)
        {
            await channel.SetAsync("k", i);
            if (i % 1_000 == 0)
                await Eventually.HoldsAsync(() => quick.Count == i, "the quick one has heard everything");
        }

        Assert.Equal(Enumerable.Range(1, writes), Take(quick, writes));
        release.Release();
        List<int> heard = [];
        while (heard.LastOrDefault() != writes)
            heard.AddRange(Take(slow, 1));
        Assert.InRange(heard.Count, 16_384, 16_386);
        Assert.Equal(heard.Order(), heard);
    }

    [Fact]
    public async Task Creating_and_removing_concern_all_nodes()
    {
        await using var grid = await TestGrid.StartAsync(Plain, Plain);
        Agent n1 = grid.Agents[0], n2 = grid.Agents[1];
        var options = new ChannelOptions { MaxEntries = 2, MaxValueBytes = 10, MaxKeyBytes = 4 };
        await Task.WhenAll(n1.CreateChannelAsync("c", options), n2.CreateChannelAsync("c", options));
        await n2.CreateChannelAsync("c", options);
        await n1.CreateChannelAsync("c");
        Assert.Equal(ChannelError.OptionsDiffer, (await Assert.ThrowsAsync<ChannelException>(() => n2.CreateChannelAsync("c", new ChannelOptions()))).Code);
        Assert.Equal(options, n2.Channel("c").Options);

        IChannel<string> channel = n1.Channel<string>("c");
        await channel.SetAsync("a", "1");
        await channel.SetAsync("b", "1", ToAll);
        Assert.Equal(ChannelError.Full, (await Assert.ThrowsAsync<ChannelException>(() => channel.SetAsync("c", "1").AsTask())).Code);
        Assert.Equal(ChannelError.ValueTooLarge, (await Assert.ThrowsAsync<ChannelException>(() => channel.SetAsync("a", new string('x', 10)).AsTask())).Code);
        foreach (string bad in new[] { "", "12345", "ééé", "\u0001", "\ud800" })
            Assert.Equal(ChannelError.BadKey, (await Assert.ThrowsAsync<ChannelException>(() => channel.SetAsync(bad, "1").AsTask())).Code);
        await channel.SetAsync("a", "2");

        Task<string?> waiting = n2.Channel<string>("c").WaitForAsync("never");
        Assert.True(await n1.RemoveChannelAsync("c"));
        Assert.False(await n2.RemoveChannelAsync("c"));
        Assert.Equal(ChannelError.NotFound, (await Assert.ThrowsAsync<ChannelException>(() => waiting)).Code);
        Assert.Equal(ChannelError.NotFound, Assert.Throws<ChannelException>(() => n2.Channel("c")).Code);
        Assert.Equal(ChannelError.NotFound, (await Assert.ThrowsAsync<ChannelException>(() => channel.SetAsync("a", "1").AsTask())).Code);
        Assert.Equal(ChannelError.BuiltIn, (await Assert.ThrowsAsync<ChannelException>(() => n1.RemoveChannelAsync("channel"))).Code);

        await n2.CreateChannelAsync("c");
        Assert.Equal(0, n1.Channel("c").Count);
    }

    [Fact]
    public async Task Watching_begins_with_what_is_there_and_waiting_ends_when_it_comes_true()
    {
        await using var grid = await TestGrid.StartAsync(Plain, Plain);
        IChannel<int> here = grid.Agents[0].Channel<int>("channel"), there = grid.Agents[1].Channel<int>("channel");
        await here.SetManyAsync([new("x1", 1), new("y", 2)], ToAll);
        await using var watch = there.WatchAsync(Keys.StartingWith("x")).GetAsyncEnumerator();
        Assert.True(await watch.MoveNextAsync());
        Assert.Equal(("x1", false, 1), (watch.Current.Key, watch.Current.IsDelete, watch.Current.Value));
        Task<int> three = there.WaitForAsync("x2", v => v == 3);
        await here.SetAsync("x2", 2);
        await here.SetAsync("x2", 3);
        await here.DeleteAsync("x1");
        Assert.Equal(3, await three);
        Assert.Equal(2, await there.WaitForAsync("y"));
        List<string> seen = [];
        for (int i = 0; i < 3 && await watch.MoveNextAsync(); i++)
            seen.Add($"{watch.Current.Key} {watch.Current.IsDelete} {watch.Current.Value}");
        Assert.Equal(["x2 False 2", "x2 False 3", "x1 True 1"], seen);
        using var stop = new CancellationTokenSource();
        Task<int> never = there.WaitForAsync("never", ct: stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => never);
    }

    [Fact]
    public async Task A_set_over_an_expected_write_is_refused_when_another_came_between()
    {
        await using var grid = await TestGrid.StartAsync(Plain, Plain);
        IChannel<string> here = grid.Agents[0].Channel<string>("channel"), there = grid.Agents[1].Channel<string>("channel");
        Assert.True(await here.SetIfAsync("k", "first", default, ToAll));
        Assert.False(await there.SetIfAsync("k", "late", default));
        Assert.True(there.TryGet("k", out _, out ChannelVersion version));
        await here.SetAsync("k", "second", ToAll);
        Assert.False(await there.SetIfAsync("k", "late", version));
        there.TryGet("k", out _, out version);
        Assert.True(await there.SetIfAsync("k", "third", version, ToAll));
        Assert.Equal("third", here.Get("k"));
    }

    [Fact]
    public async Task Counters_add_up_whoever_adds()
    {
        await using var grid = await TestGrid.StartAsync(Plain, Plain);
        IChannel<long> here = grid.Agents[0].Channel<long>("channel"), there = grid.Agents[1].Channel<long>("channel");
        await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Task.Run(async () =>
        {
            for (int n = 0; n < 500; n++)
                await (i % 2 == 0 ? here : there).AddAsync("hits", i % 3 == 0 ? -1 : 2);
        })));
        long expected = 500 * (5 * 2 - 3);
        Assert.Equal(expected, await here.WaitForAsync("hits", v => v == expected));
        Assert.Equal(expected, await there.WaitForAsync("hits", v => v == expected));
        Assert.Equal(expected, there.Sum("hits"));
        Assert.Equal(1, there.Count);
        Assert.Equal(ChannelError.WrongKind, (await Assert.ThrowsAsync<ChannelException>(() => here.SetAsync("hits", 1).AsTask())).Code);
        Assert.True(await here.DeleteAsync("hits", ToAll));
        Assert.Equal(0, there.Sum("hits"));
        await here.SetAsync("hits", 1);
        Assert.Equal(ChannelError.WrongKind, (await Assert.ThrowsAsync<ChannelException>(() => here.AddAsync("hits").AsTask())).Code);
    }

    [Fact]
    public async Task Entries_end_with_their_time_or_their_node()
    {
        await using var grid = await TestGrid.StartAsync(Plain, Plain, Plain);
        IChannel<int> first = grid.Agents[0].Channel<int>("channel");
        var deleted = new BlockingCollection<string>();
        await using IAsyncDisposable gone = first.OnDelete(Keys.All, deleted.Add);
        IChannel<int> third = grid.Agents[2].Channel<int>("channel");
        await third.SetAsync("stays", 1);
        await third.SetAsync("status", 1, new ChannelWriteOptions { Ephemeral = true });
        await third.SetAsync("brief", 1, new ChannelWriteOptions { TimeToLive = TimeSpan.FromMilliseconds(300), Acknowledge = Acknowledgement.All });
        Assert.Equal(1, first.Get("status"));
        Assert.Equal(["brief"], Take(deleted, 1));

        await grid.Agents[2].DisposeAsync();

        Assert.Equal(["status"], Take(deleted, 1));
        Assert.Equal(["stays"], first.ToDictionary().Keys);
        await Eventually.HoldsAsync(() => grid.Agents[1].Channel("channel").Count == 1, "the other one has forgotten it too");
    }

    [Fact]
    public async Task Writes_wait_for_whom_they_name()
    {
        await using var grid = await TestGrid.StartAsync(Plain);
        IChannel<int> alone = grid.Agents[0].Channel<int>("channel");
        await alone.SetAsync("k", 1, ToAll);
        await alone.SetAsync("k", 1, new ChannelWriteOptions { Acknowledge = Acknowledgement.Majority });
        var one = new ChannelWriteOptions { Acknowledge = Acknowledgement.One, Timeout = TimeSpan.FromMilliseconds(200) };
        Assert.Equal(ChannelError.NotAcknowledged, (await Assert.ThrowsAsync<ChannelException>(() => alone.SetAsync("k", 2, one).AsTask())).Code);

        await using Agent second = await Agent.StartAsync("127.0.0.1:0", grid.Agents[0].Url, Plain);
        await Eventually.HoldsAsync(() => grid.Agents[0].Peers.Count == 1, "they see each other");
        Assert.Equal(2, second.Channel<int>("channel").Get("k"));
        await alone.SetAsync("k", 3, one with { Timeout = TimeSpan.FromSeconds(10) });
        Assert.Equal(3, second.Channel<int>("channel").Get("k"));
    }

    [Fact]
    public async Task Two_nodes_write_the_same_keys_at_once_and_late_ones_get_everything()
    {
        await using var grid = await TestGrid.StartAsync(Plain, Plain, Plain);
        await grid.Agents[0].CreateChannelAsync("big");
        await Task.WhenAll(grid.Agents.Take(2).Select((agent, i) => Task.Run(async () =>
        {
            IChannel<string> channel = agent.Channel<string>("big");
            for (int n = 0; n < 200; n++)
                await channel.SetAsync($"k{n}", $"from {i}");
            await channel.SetManyAsync(Enumerable.Range(0, 20_000).Select(n => KeyValuePair.Create($"{i}/{n}", (string?)$"value {n}")), ToAll with { Timeout = TimeSpan.FromSeconds(30) });
        })));
        await using Agent late = await Agent.StartAsync("127.0.0.1:0", grid.Agents[1].Url, Plain);
        Assert.Equal(40_200, late.Channel("big").Count);
        Dictionary<string, string?> all = late.Channel<string>("big").ToDictionary();
        await Eventually.HoldsAsync(() => grid.Agents.All(a => IsEqual(a.Channel<string>("big").ToDictionary(), all)), "all are equal");
        Assert.All(Enumerable.Range(0, 200), n => Assert.StartsWith("from ", all[$"k{n}"], StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_client_does_all_of_it_from_afar()
    {
        await using var grid = await TestGrid.StartAsync(Plain, Plain);
        GlooXClient client = grid.Client;
        var other = new GlooXClient(grid.Agents[1].Url);
        await using var _ = other;
        IChannel<object?> created = await client.CreateChannelAsync("c", new ChannelOptions { MaxEntries = 1_000 });
        Assert.Equal(["c", "channel"], await other.ChannelsAsync());
        Assert.Equal(ChannelError.OptionsDiffer, (await Assert.ThrowsAsync<ChannelException>(() => other.CreateChannelAsync("c", new ChannelOptions()))).Code);
        Assert.Equal(ChannelError.NotFound, (await Assert.ThrowsAsync<ChannelException>(() => other.Channel("none").GetAsync("k").AsTask())).Code);

        var told = new BlockingCollection<string>();
        var deleted = new BlockingCollection<string>();
        IChannel<int> there = other.Channel<int>("c"), here = client.Channel<int>("c");
        await here.SetAsync("old", 0, ToAll);
        await using IAsyncDisposable sets = await there.OnSetAsync(Keys.All, (k, v) => told.Add($"{k}={v}"));
        await using IAsyncDisposable deletes = await there.OnDeleteAsync(Keys.All, deleted.Add);
        Task<int> waiting = there.WaitForAsync("b", v => v == 3);
        await here.SetAsync("a", 1);
        await here.SetManyAsync([new("b", 2), new("b", 3)]);
        await here.SetManyAsync(new Dictionary<string, int> { ["d"] = 4 }, ToAll);
        Assert.Equal(3, await waiting);
        Assert.Equal(["a=1", "b=2", "b=3", "d=4"], Take(told, 4));
        Assert.True(await here.DeleteAsync("a", ToAll));
        Assert.Equal(["a"], Take(deleted, 1));
        Assert.Equal(3, await there.CountAsync());
        Assert.Equal(["b", "d", "old"], (await there.ToDictionaryAsync()).Keys.Order());
        (bool exists, int value, ChannelVersion version) = await there.TryGetAsync("b");
        Assert.Equal((true, 3), (exists, value));
        Assert.True(await there.SetIfAsync("b", 5, version));
        Assert.False(await there.SetIfAsync("b", 6, version));
        Assert.Equal(5, await there.GetAsync("b"));
        Assert.Equal(7, await here.AddAsync("n", 7));
        Assert.Equal(7, await here.SumAsync("n"));
        await using var watch = here.WatchAsync("n").GetAsyncEnumerator();
        Assert.True(await watch.MoveNextAsync());
        Assert.Equal(7, watch.Current.Value);
        Assert.True(await client.RemoveChannelAsync("c"));
        Assert.Equal(ChannelError.NotFound, (await Assert.ThrowsAsync<ChannelException>(async () => await watch.MoveNextAsync())).Code);
        Assert.Equal("c", created.Name);
    }

    [Fact]
    public async Task A_channel_is_read_and_written_by_the_roles_that_its_options_name()
    {
        await using var grid = await TestGrid.StartAsync(Plain, Plain);
        var options = new ChannelOptions { Readers = RpcRole.Client, Writers = RpcRole.Child };
        await grid.Client.CreateChannelAsync("ballots", options);
        Assert.Equal(options, await grid.Agents[1].Channel("ballots").OptionsAsync());
        await using var child = new GlooXClient(grid.Agents[1].Url, new RpcClientOptions { Identity = Identity.Load().TryCreateChild(RpcRole.Child, "process") });
        await using var client = new GlooXClient(grid.Agents[1].Url);
        await child.Channel<int>("ballots").SetAsync("a", 1, ToAll);
        Assert.Equal(1, await client.Channel<int>("ballots").GetAsync("a"));
        Assert.Equal(1, await grid.Agents[0].Channel<int>("ballots").GetAsync("a"));
        Func<Task>[] refused =
        [
            async () => await child.Channel<int>("ballots").GetAsync("a"),
            async () => await child.Channel<int>("ballots").CountAsync(),
            async () => await child.Channel<int>("ballots").ToDictionaryAsync(),
            async () => await client.Channel<int>("ballots").SetAsync("a", 2),
            async () => await client.Channel<int>("ballots").AddAsync("n"),
            async () => await client.RemoveChannelAsync("ballots"),
        ];
        foreach (Func<Task> act in refused)
        {
            RpcException error = await Assert.ThrowsAsync<RpcException>(act);
            Assert.Equal(RpcError.Forbidden, error.Code);
            Assert.Contains("the channel 'ballots' may be", error.Message, StringComparison.Ordinal);
        }

        Assert.Contains("ballots", await child.ChannelsAsync());
        await Assert.ThrowsAsync<ArgumentException>(() => grid.Agents[0].CreateChannelAsync("x", new ChannelOptions { Writers = RpcRole.Observer }));
        await Assert.ThrowsAsync<ArgumentException>(() => grid.Agents[0].CreateChannelAsync("x", new ChannelOptions { Readers = RpcRole.None }));
    }

    [Fact]
    public async Task Scripts_name_channels_and_keys_as_members()
    {
        await using var grid = await TestGrid.StartAsync(Plain);
        await grid.Agents[0].CreateChannelAsync("my_nodes");
        dynamic n1 = grid.Agents[0].AsDynamic();
        n1.my_nodes.a1 = 99;
        n1.my_nodes["a 2"] = "two";
        await n1.my_nodes.set("a3", 3);
        Assert.Equal(99L, (object)n1.my_nodes.a1);
        Assert.Equal("two", (object)n1.my_nodes.get("a 2"));
        Assert.Null((object?)n1.my_nodes.nothing);
        Assert.True(await n1.my_nodes.delete("a3"));
        Assert.Throws<ChannelException>(() => (object)n1.other);
    }

    [Fact]
    public async Task Durable_channels_are_there_when_all_nodes_start_again()
    {
        string folder = Path.Combine(TestGrid.Home, "data");
        AgentOptions options = Plain with { DataFolder = folder };
        await using (Agent agent = await Agent.StartAsync("127.0.0.1:0", null, options))
        {
            foreach (ChannelDurability durability in Enum.GetValues<ChannelDurability>())
            {
                IChannel<object?> made = await agent.CreateChannelAsync($"{durability}", new ChannelOptions { Durability = durability });
                await made.SetManyAsync(Enumerable.Range(0, 100).Select(n => KeyValuePair.Create($"k{n}", (object?)n)));
                await made.SetAsync("brief", 1, new ChannelWriteOptions { TimeToLive = TimeSpan.FromMinutes(10) });
                await made.SetAsync("mine", 1, new ChannelWriteOptions { Ephemeral = true });
                await made.AddAsync("n", 5);
                await made.DeleteAsync("k7");
            }

            await agent.CreateChannelAsync("removed", new ChannelOptions { Durability = ChannelDurability.EveryWrite });
            await agent.RemoveChannelAsync("removed");
        }

        await using Agent again = await Agent.StartAsync("127.0.0.1:0", null, options);
        Assert.Equal(["EverySecond", "EveryWrite", "Process", "channel"], again.Channels);
        foreach (string name in again.Channels.Where(c => c != "channel"))
        {
            IChannel<object?> channel = again.Channel(name);
            Assert.Equal(101, channel.Count);
            Assert.Equal(99L, channel.Get("k99"));
            Assert.True(channel.TryGet("brief", out _));
            Assert.False(channel.TryGet("k7", out _) || channel.TryGet("mine", out _));
            Assert.Equal(5, channel.Sum("n"));
            Assert.Equal(6, await channel.AddAsync("n"));
        }

        await using Agent without = await Agent.StartAsync("127.0.0.1:0", again.Url, Plain);
        Assert.Equal(101, without.Channel("EveryWrite").Count);
        await Assert.ThrowsAsync<ArgumentException>(() => without.CreateChannelAsync("d", new ChannelOptions { Durability = ChannelDurability.Process }));
    }

    private static bool IsEqual(Dictionary<string, string?> one, Dictionary<string, string?> other) =>
        one.Count == other.Count && one.All(e => other.TryGetValue(e.Key, out string? value) && value == e.Value);

    private static List<T> Take<T>(BlockingCollection<T> told, int count)
    {
        List<T> taken = [];
        while (taken.Count < count)
        {
            Assert.True(told.TryTake(out T? next, TimeSpan.FromSeconds(30)), $"heard only {taken.Count} of {count}: {string.Join("; ", taken)}");
            taken.Add(next);
        }

        return taken;
    }
}
