using GlooX.Rpc.Tests;
using System.Collections.Concurrent;

namespace GlooX.Tests;

/// <summary>Channels of clients whose connection is lost, or whose agent starts again.</summary>
public sealed class ChannelConnectionTests
{
    private static readonly AgentOptions Plain = new() { WarmHosts = 0 };

    [Fact]
    public async Task After_a_lost_connection_callbacks_are_told_what_they_missed_each_key_once()
    {
        await using var grid = await TestGrid.StartAsync(Plain);
        IChannel<int> there = grid.Agents[0].Channel<int>("channel");
        await there.SetManyAsync([new("same", 1), new("changes", 1), new("goes", 1)]);
        await there.AddAsync("sum", 1);
        await there.AddAsync("sum of old", 5);
        await using var relay = new Relay(grid.Agents[0].Url);
        await using var client = new GlooXClient(relay.Url);
        var told = new BlockingCollection<string>();
        await using IAsyncDisposable sets = await client.Channel<int>("channel").OnSetAsync(Keys.All, (key, value) => told.Add($"{key}={value}"));
        await using IAsyncDisposable deletes = await client.Channel<int>("channel").OnDeleteAsync(Keys.All, key => told.Add($"-{key}"));
        await there.SetAsync("live", 1);
        await there.AddAsync("live sum", 1);
        Assert.Equal(["live=1", "live sum=1"], Take(told, 2));

        relay.Refuses = true;
        relay.Cut();
        await there.SetManyAsync([new("changes", 2), new("changes", 3), new("new", 1)]);
        await there.AddAsync("sum", 2);
        await there.DeleteAsync("goes");
        relay.Refuses = false;
        Assert.Equal(["-goes", "changes=3", "new=1", "sum=3"], Take(told, 4).Order(StringComparer.Ordinal));

        // Nothing but this comes any more.
        await there.SetAsync("live", 2);
        await there.DeleteAsync("live");
        Assert.Equal(["-live", "live=2"], Take(told, 2).Order(StringComparer.Ordinal));
        Assert.Empty(told);
    }

    [Fact]
    public async Task Callbacks_go_on_when_the_agent_starts_again()
    {
        await using var grid = await TestGrid.StartAsync(Plain);
        await grid.Agents[0].CreateChannelAsync("news");
        IChannel<int> there = grid.Agents[0].Channel<int>("news");
        Agent asked = await Agent.StartAsync("127.0.0.1:0", grid.Agents[0].Url, Plain);
        string url = asked.Url;
        await using var client = new GlooXClient(url);
        var told = new BlockingCollection<string>();
        await using IAsyncDisposable sets = await client.Channel<int>("news").OnSetAsync(Keys.All, (key, value) => told.Add($"{key}={value}"));
        await there.SetAsync("before", 1);
        Assert.Equal(["before=1"], Take(told, 1));

        await asked.DisposeAsync();
        await there.SetAsync("meanwhile", 2);
        await using Agent again = await Agent.StartAsync(url, grid.Agents[0].Url, Plain);
        Assert.Equal(["meanwhile=2"], Take(told, 1));
        await there.SetAsync("after", 3);
        Assert.Equal(["after=3"], Take(told, 1));
    }

    [Fact]
    public async Task Removing_the_channel_ends_callbacks()
    {
        await using var grid = await TestGrid.StartAsync(Plain);
        await grid.Client.CreateChannelAsync("c");
        var told = new BlockingCollection<string>();
        IChannel<int> numbers = grid.Client.Channel<int>("c");
        await using IAsyncDisposable sets = await numbers.OnSetAsync(Keys.All, (_, value) => told.Add($"old {value}"));
        await numbers.SetAsync("k", 1);
        Assert.Equal(["old 1"], Take(told, 1));

        await grid.Client.RemoveChannelAsync("c");
        await grid.Client.CreateChannelAsync("c");
        await using IAsyncDisposable others = await numbers.OnSetAsync(Keys.All, (_, value) => told.Add($"new {value}"));
        await numbers.SetAsync("k", 2);
        Assert.Equal(["new 2"], Take(told, 1));
        await numbers.SetAsync("k", 3);
        Assert.Equal(["new 3"], Take(told, 1));
    }

    [Fact]
    public async Task Handlers_that_throw_and_values_of_another_type_are_logged_and_the_next_change_is_told()
    {
        await using var grid = await TestGrid.StartAsync(Plain);
        using var log = new LogKeeper();
        await using var client = new GlooXClient(grid.Agents[0].Url, new RpcClientOptions { LoggerFactory = log });
        var told = new BlockingCollection<string>();
        await using IAsyncDisposable sets = await client.Channel<int>("channel").OnSetAsync("k", (_, value) => told.Add(value > 0 ? $"{value}" : throw new InvalidOperationException("none of these")));
        await client.Channel("channel").SetAsync("k", "a text");
        await client.Channel("channel").SetAsync("k", 0);
        await client.Channel("channel").SetAsync("k", 1);
        Assert.Equal(["1"], Take(told, 1));
        Assert.Equal(2, log.Errors.Count);
        Assert.All(log.Errors, e => Assert.Contains("channel 'channel' threw at the key 'k'", e, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Watching_and_waiting_say_that_the_connection_was_lost()
    {
        await using var grid = await TestGrid.StartAsync(Plain);
        await using var relay = new Relay(grid.Agents[0].Url);
        await using var client = new GlooXClient(relay.Url);
        IChannel<int> channel = client.Channel<int>("channel");
        await channel.SetAsync("k", 1);
        await using var watch = channel.WatchAsync().GetAsyncEnumerator();
        Assert.True(await watch.MoveNextAsync());
        var asked = new TaskCompletionSource();
        Task<int> waiting = channel.WaitForAsync("k", value => !asked.TrySetResult() && value == 7);
        await asked.Task;
        Task<bool> next = watch.MoveNextAsync().AsTask();
        relay.Cut();
        Assert.Equal(RpcError.Connection, (await Assert.ThrowsAsync<RpcException>(() => next)).Code);
        await Assert.ThrowsAsync<RpcException>(() => waiting);
        await channel.SetAsync("k", 2);
        Assert.Equal(2, await channel.GetAsync("k"));
    }

    private static List<string> Take(BlockingCollection<string> told, int count)
    {
        List<string> taken = [];
        while (taken.Count < count)
        {
            Assert.True(told.TryTake(out string? next, TimeSpan.FromSeconds(60)), $"heard only {taken.Count} of {count}: {string.Join("; ", taken)}");
            taken.Add(next);
        }

        return taken;
    }
}
