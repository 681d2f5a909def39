using System.Globalization;
using GlooX.Contracts;

namespace GlooX.Tests;

/// <summary>What callers can make a node hold: bounded, whatever they write and however slowly they read.</summary>
public sealed class ChannelBoundsTests
{
    private static readonly AgentOptions s_plain = new() { WarmHosts = 0 };

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Counters_count_against_the_limits_of_a_channel_and_one_that_is_refused_loses_nothing()
    {
        await using TestGrid grid = await TestGrid.StartAsync(s_plain, s_plain);
        await grid.Client.CreateChannelAsync("few", new ChannelOptions { MaxEntries = 3 }, Ct);
        IChannel<long> few = grid.Client.Channel<long>("few"), there = grid.Agents[1].Channel<long>("few");
        var toAll = new ChannelWriteOptions { Acknowledge = Acknowledgement.All };
        await few.SetAsync("plain", 1, toAll, Ct);
        Assert.Equal(5, await few.AddAsync("a", 5, toAll, Ct));
        Assert.Equal(6, await few.AddAsync("b", 6, toAll, Ct));
        await IsFullAsync(() => few.AddAsync("c", 7, toAll, Ct).AsTask());
        Assert.Equal(0, await few.SumAsync("c", Ct));
        Assert.Equal(3, await few.CountAsync(Ct));

        // Those that are there go on, on every node; and what was refused fits when something has gone.
        Assert.Equal(15, await there.AddAsync("a", 10, toAll, Ct));
        Assert.Equal(16, await few.AddAsync("a", 1, toAll, Ct));
        await IsFullAsync(() => there.AddAsync("c", 7, toAll, Ct).AsTask());
        Assert.True(await few.DeleteAsync("plain", toAll, Ct));
        Assert.Equal(7, await there.AddAsync("c", 7, toAll, Ct));

        await grid.Client.CreateChannelAsync("small", new ChannelOptions { MaxBytes = 5_000 }, Ct);
        IChannel<long> small = grid.Client.Channel<long>("small");
        string pad = new('x', 900);
        Assert.Equal(1, await small.AddAsync("1" + pad, 1, toAll, Ct));
        Assert.Equal(1, await small.AddAsync("2" + pad, 1, toAll, Ct));
        await IsFullAsync(() => small.AddAsync("3" + pad, 1, toAll, Ct).AsTask());
        Assert.Equal(2, await small.AddAsync("1" + pad, 1, toAll, Ct));
        await small.SetAsync("plain", 1, toAll, Ct); // others are not shut out
    }

    [Fact]
    public async Task Counters_count_against_the_limits_of_the_channel_that_is_always_there()
    {
        await using TestGrid grid = await TestGrid.StartAsync(s_plain);
        Assert.Equal(1_000_000, (await grid.Client.Channel("channel").OptionsAsync(Ct)).MaxEntries);
        var hub = grid.Agents[0].Hub;
        IChannel<long> channel = grid.Agents[0].Channel<long>("channel");
        for (int first = 0; first < 1_000_000; first += 50_000)
        {
            await channel.SetManyAsync(Enumerable.Range(first, 50_000).Select(static i => KeyValuePair.Create(i.ToString(CultureInfo.InvariantCulture), 0L)), ct: Ct);
        }

        await IsFullAsync(() => grid.Client.Channel<long>("channel").AddAsync("one more", 1, ct: Ct).AsTask());
        Assert.Equal(1_000_000, hub.Count("channel"));
    }

    [Fact]
    public async Task Deleted_keys_count_until_they_are_forgotten()
    {
        await using TestGrid grid = await TestGrid.StartAsync(s_plain);
        await grid.Client.CreateChannelAsync("churn", new ChannelOptions { MaxEntries = 100, MaxBytes = 1_000_000 }, Ct);
        IChannel<int> churn = grid.Agents[0].Channel<int>("churn");
        string pad = new('x', 1_000);
        int made = 0;
        ChannelException? refused = null;
        while (refused is null && made < 100_000)
        {
            try
            {
                await churn.SetAsync($"{made}{pad}", 1, ct: Ct);
                Assert.True(await churn.DeleteAsync($"{made++}{pad}", ct: Ct));
            }
            catch (ChannelException e)
            {
                refused = e;
            }
        }

        Assert.Equal(ChannelError.Full, refused?.Code);
        Assert.Contains("were deleted lately", refused!.Message, StringComparison.Ordinal);
        await IsFullAsync(() => churn.AddAsync($"{made}{pad}", ct: Ct).AsTask());
        await IsFullAsync(() => churn.SetManyAsync([new($"{made}{pad}", 1)], ct: Ct).AsTask());
        Assert.InRange(made, 5_000, 20_000); // 16 MiB of keys
        await churn.SetAsync($"7{pad}", 1, ct: Ct); // takes the place of its tombstone
        Assert.True(await churn.DeleteAsync($"7{pad}", ct: Ct));
    }

    [Fact]
    public async Task Readers_that_take_nothing_hold_a_page_each_and_not_the_channel()
    {
        await using TestGrid grid = await TestGrid.StartAsync(s_plain);
        IChannel<int> channel = grid.Agents[0].Channel<int>("channel");
        await channel.SetManyAsync(Enumerable.Range(0, 100_000).Select(static i => KeyValuePair.Create($"k{i:00000}", i)), ct: Ct);
        IChannel<int> read = grid.Client.Channel<int>("channel");
        long before = GC.GetTotalMemory(forceFullCollection: true);
        List<IAsyncEnumerator<ChannelChange<int>>> readers = [.. Enumerable.Range(0, 100).Select(_ => read.WatchAsync(ct: Ct).GetAsyncEnumerator(Ct))];
        foreach (IAsyncEnumerator<ChannelChange<int>> reader in readers)
        {
            Assert.True(await reader.MoveNextAsync());
        }

        // A list of the whole channel for each would be 500 MB; what has come to this side counts here too.
        Assert.InRange(GC.GetTotalMemory(forceFullCollection: true) - before, long.MinValue, 150L << 20);
        await using GlooXClient other = new GlooXClient(grid.Agents[0].Url);
        Assert.Equal(100_000, await other.Channel<int>("channel").CountAsync(Ct));
        foreach (IAsyncEnumerator<ChannelChange<int>> reader in readers)
        {
            await reader.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_caller_has_so_many_reads_open_and_is_refused_more()
    {
        await using TestGrid grid = await TestGrid.StartAsync(s_plain);
        await grid.Agents[0].Channel<int>("channel").SetAsync("a", 1, ct: Ct);
        IChannel<int> channel = grid.Client.Channel<int>("channel");
        List<IAsyncEnumerator<ChannelChange<int>>> readers = [];
        RpcException? refused = null;
        while (refused is null && readers.Count < 2_000)
        {
            IAsyncEnumerator<ChannelChange<int>> reader = channel.WatchAsync(ct: Ct).GetAsyncEnumerator(Ct);
            try
            {
                Assert.True(await reader.MoveNextAsync());
                readers.Add(reader);
            }
            catch (RpcException e)
            {
                refused = e;
            }
        }

        Assert.Equal(RpcError.Overloaded, refused?.Code);
        Assert.Equal(1024, readers.Count);
        Identity another = Identity.Load().TryCreateChild(RpcRole.Child, "p")!;
        await using (GlooXClient other = new GlooXClient(grid.Agents[0].Url, new RpcClientOptions { Identity = another }))
        {
            Assert.Single(await other.Channel<int>("channel").ToDictionaryAsync(Ct)); // others are not kept out
        }

        foreach (IAsyncEnumerator<ChannelChange<int>> reader in readers)
        {
            await reader.DisposeAsync();
        }

        await Eventually.HoldsAsync(
            async () =>
            {
                try
                {
                    return (await channel.ToDictionaryAsync(Ct)).Count == 1;
                }
                catch (RpcException e) when (e.Code == RpcError.Overloaded)
                {
                    return false;
                }
            },
            "the places are free again");
    }

    [Fact]
    public async Task A_caller_follows_so_many_events_at_once_and_is_refused_more()
    {
        await using TestGrid grid = await TestGrid.StartAsync(s_plain);
        await using var client = new RpcClient(grid.Agents[0].Url);
        IAgentService agent = client.As<IAgentService>(IAgentService.ServiceName);
        List<IAsyncEnumerator<ProcessEvent[]>> watchers = [];
        RpcException? refused = null;
        while (refused is null && watchers.Count < 1_000)
        {
            IAsyncEnumerator<ProcessEvent[]> watcher = agent.WatchAsync(null, Ct).GetAsyncEnumerator(Ct);
            try
            {
                Assert.True(await watcher.MoveNextAsync()); // it says that it watches
                watchers.Add(watcher);
            }
            catch (RpcException e)
            {
                refused = e;
            }
        }

        Assert.Equal(RpcError.Overloaded, refused?.Code);
        Assert.Equal(256, watchers.Count);
        foreach (IAsyncEnumerator<ProcessEvent[]> watcher in watchers)
        {
            await watcher.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_follower_that_takes_nothing_is_ended_before_too_much_waits_for_it()
    {
        await using TestGrid grid = await TestGrid.StartAsync(s_plain);
        IChannel<byte[]> channel = grid.Agents[0].Channel<byte[]>("channel");
        await channel.SetAsync("first", [], ct: Ct);
        await using IAsyncEnumerator<ChannelChange<byte[]>> follower = grid.Client.Channel<byte[]>("channel").WatchAsync(ct: Ct).GetAsyncEnumerator(Ct);
        Assert.True(await follower.MoveNextAsync());
        for (int i = 0; i < 100; i++)
        {
            await channel.SetAsync($"k{i}", new byte[1_000_000], ct: Ct);
        }

        RpcException error = await Assert.ThrowsAsync<RpcException>(async () =>
        {
            while (await follower.MoveNextAsync())
            {
                // what had come before
            }
        });
        Assert.Equal(RpcError.Overloaded, error.Code);
        Assert.Equal(101, (await grid.Client.Channel<byte[]>("channel").ToDictionaryAsync(Ct)).Count);
    }

    [Fact]
    public async Task A_follower_is_told_each_key_once_and_then_its_changes_in_order_while_the_channel_changes()
    {
        await using TestGrid grid = await TestGrid.StartAsync(s_plain);
        const int Count = 20_000;
        IChannel<long> channel = grid.Agents[0].Channel<long>("channel");
        await channel.SetManyAsync(Enumerable.Range(0, Count).Select(static i => KeyValuePair.Create($"k{i}", 0L)), ct: Ct);
        await channel.AddAsync("counter", 1, ct: Ct);
        using var stop = new CancellationTokenSource();
        Task writing = Task.Run(
            async () =>
            {
                var random = new Random(7);
                for (long n = 1; !stop.IsCancellationRequested; n++)
                {
                    string key = $"k{random.Next(Count + 2_000)}";
                    if (random.Next(4) == 0)
                    {
                        await channel.DeleteAsync(key, ct: Ct);
                    }
                    else
                    {
                        await channel.SetAsync(key, n, ct: Ct);
                    }

                    await channel.AddAsync("counter", 1, ct: Ct);
                }
            },
            Ct);
        for (int round = 0; round < 5; round++)
        {
            Dictionary<string, long> told = new(StringComparer.Ordinal);
            Dictionary<string, long> last = new(StringComparer.Ordinal);
            bool isEnd = false;
            await foreach (ChannelChange<long> change in grid.Client.Channel<long>("channel").WatchAsync(ct: Ct))
            {
                if (round == 4 && told.Count > Count / 2 && !stop.IsCancellationRequested)
                {
                    await stop.CancelAsync();
                    await writing;
                    await channel.SetAsync("end", 1, ct: Ct);
                }

                isEnd |= change is { Key: "end", Value: 2 };
                if (change is { Key: "end", Value: 1 })
                {
                    await channel.SetAsync("end", 2, ct: Ct); // the last of the queue, where the first may be of a page
                }

                if (change.IsDelete)
                {
                    told.Remove(change.Key);
                }
                else
                {
                    Assert.True(last.GetValueOrDefault(change.Key, -1) < change.Value, $"{change.Key} was {last.GetValueOrDefault(change.Key)} and is {change.Value}");
                    told[change.Key] = last[change.Key] = change.Value;
                }

                if (round < 4 ? told.Count > Count / 2 : isEnd)
                {
                    break;
                }
            }

            if (round == 4)
            {
                Assert.Equal((await channel.ToDictionaryAsync(Ct)).OrderBy(static e => e.Key, StringComparer.Ordinal), told.OrderBy(static e => e.Key, StringComparer.Ordinal));
            }
        }
    }

    private static async Task IsFullAsync(Func<Task> write) => Assert.Equal(ChannelError.Full, (await Assert.ThrowsAsync<ChannelException>(write)).Code);
}
