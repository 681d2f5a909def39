using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using GlooX.Processes;

namespace GlooX.Tests;

/// <summary>What handlers of changes may do, what becomes of those that are slow or fail, and what one agent promises of its channels.</summary>
public sealed class ChannelHandlerTests
{
    private static readonly AgentOptions Plain = new() { WarmHosts = 0 };

    [Fact]
    public async Task Changes_that_a_slow_handler_is_not_told_are_counted_and_logged()
    {
        long skipped = 0;
        using var listener = new MeterListener();
        listener.InstrumentPublished = (instrument, l) =>
        {
            if (instrument.Meter.Name == "GlooX.Channels" && instrument.Name == "gloox.channel.changes.skipped")
                l.EnableMeasurementEvents(instrument);
        };
        listener.SetMeasurementEventCallback<long>((_, count, tags, _) =>
        {
            if (tags.ToArray().Contains(new KeyValuePair<string, object?>("gloox.channel.name", "news")))
                Interlocked.Add(ref skipped, count);
        });
        listener.Start();
        using var log = new LogKeeper();
        await using var grid = await TestGrid.StartAsync(Plain with { LoggerFactory = log });
        await grid.Agents[0].CreateChannelAsync("news");
        IChannel<int> channel = grid.Agents[0].Channel<int>("news");
        var release = new TaskCompletionSource();
        var told = new ConcurrentQueue<int>();
        await using IAsyncDisposable slow = channel.OnSet(Keys.All, async (_, value) =>
        {
            await release.Task;
            told.Enqueue(value);
        });

        const int writes = 20_000;
        for (int i = 1; i <= writes; i++)
            await channel.SetAsync("k", i);
        await Eventually.HoldsAsync(() => !log.Warnings.IsEmpty && Volatile.Read(ref skipped) > 0, "it is told while the handler is still stuck");
        release.SetResult();

        await Eventually.HoldsAsync(() => told.Count == writes - Volatile.Read(ref skipped) && told.Last() == writes, "what was told and what was skipped is all");
        Assert.Equal(told.Order(), told);
        Assert.Contains("'news' is too slow", Assert.Single(log.Warnings), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Handlers_see_nothing_of_the_call_that_brought_the_change()
    {
        await using var grid = await TestGrid.StartAsync(Plain, Plain);
        var seen = new ConcurrentQueue<Exception?>();
        await using IAsyncDisposable handler = grid.Agents[1].Channel<int>("channel").OnSet(Keys.All, (_, _) => seen.Enqueue(Record.Exception(static () => RpcCall.Current)));
        for (int i = 1; i <= 20; i++)
        {
            await grid.Agents[0].Channel<int>("channel").SetAsync("k", i);
            await Eventually.HoldsAsync(() => seen.Count == i, "it is told");
        }

        Assert.All(seen, static e => Assert.IsType<InvalidOperationException>(e));
    }

    [Fact]
    public async Task A_handler_may_wait_for_writes_of_others_and_what_it_throws_is_logged()
    {
        using var log = new LogKeeper();
        await using var grid = await TestGrid.StartAsync(Plain with { LoggerFactory = log });
        IChannel<int> channel = grid.Agents[0].Channel<int>("channel");
        await using IAsyncDisposable copies = channel.OnSet("from", value =>
        {
            using var written = new ManualResetEventSlim();
            new Thread(() =>
            {
                channel.SetAsync("to", value).AsTask().Wait();
                written.Set();
            }).Start();
            Assert.True(written.Wait(TimeSpan.FromSeconds(60)), "nobody can write while a handler runs");
            throw new InvalidOperationException($"a fault at {channel.ToDictionary()["to"]}");
        });
        await channel.SetAsync("from", 1);
        await channel.SetAsync("from", 2);
        await Eventually.HoldsAsync(() => log.Errors.Count == 2, "both are told and logged");
        Assert.Equal(2, channel.Get("to"));
        Assert.All(log.Errors, e => Assert.Contains("channel 'channel' threw at the key 'from'", e, StringComparison.Ordinal));
    }

    [Fact]
    public async Task All_that_is_read_at_once_is_of_one_moment()
    {
        await using var grid = await TestGrid.StartAsync(Plain);
        IChannel<int> channel = grid.Agents[0].Channel<int>("channel");
        await channel.SetManyAsync([new("a", 0), new("b", 0)]);
        Task writing = Task.Run(async () =>
        {
            for (int i = 1; i <= 5_000; i++)
                await channel.SetManyAsync([new("a", i), new("b", i)]);
        });
        int last = 0;
        while (last < 5_000)
        {
            Dictionary<string, int> all = channel.ToDictionary();
            Assert.Equal(all["a"], all["b"]);
            Assert.InRange(all["a"], last, 5_000);
            last = all["a"];
            Assert.False(writing.IsFaulted);
        }

        await writing;
    }

    [Fact]
    public async Task A_channel_holds_no_more_bytes_than_it_may()
    {
        await using var grid = await TestGrid.StartAsync(Plain);
        await grid.Agents[0].CreateChannelAsync("small", new ChannelOptions { MaxBytes = 10_000 });
        IChannel<byte[]> channel = grid.Agents[0].Channel<byte[]>("small");
        await channel.SetAsync("a", new byte[9_000]);
        ChannelException full = await Assert.ThrowsAsync<ChannelException>(() => channel.SetAsync("b", new byte[2_000]).AsTask());
        Assert.Equal(ChannelError.Full, full.Code);
        await channel.SetAsync("a", new byte[5_000]);
        await channel.SetAsync("b", new byte[2_000]);
        Assert.Equal(2, channel.Count);
    }

    [Fact]
    public async Task Of_many_that_are_set_at_once_a_bad_one_keeps_all_out()
    {
        await using var grid = await TestGrid.StartAsync(Plain);
        await grid.Agents[0].CreateChannelAsync("small", new ChannelOptions { MaxValueBytes = 100, MaxEntries = 2, MaxBytes = 150 });
        IChannel<string> channel = grid.Agents[0].Channel<string>("small");
        Assert.Equal(ChannelError.ValueTooLarge, (await Assert.ThrowsAsync<ChannelException>(() => channel.SetManyAsync([new("a", "1"), new("b", new string('x', 200))]).AsTask())).Code);
        Assert.Equal(ChannelError.BadKey, (await Assert.ThrowsAsync<ChannelException>(() => channel.SetManyAsync([new("a", "1"), new("", "2")]).AsTask())).Code);
        Assert.Equal(ChannelError.Full, (await Assert.ThrowsAsync<ChannelException>(() => channel.SetManyAsync([new("a", "1"), new("b", "2"), new("a", "3"), new("c", "4")]).AsTask())).Code);
        Assert.Equal(ChannelError.Full, (await Assert.ThrowsAsync<ChannelException>(() => channel.SetManyAsync([new("a", new string('x', 90)), new("b", new string('x', 90))]).AsTask())).Code);
        Assert.Equal(0, channel.Count);
        await channel.SetManyAsync([new("a", new string('x', 90)), new("a", "1"), new("b", new string('x', 90)), new("a", "2")]);
        Assert.Equal(["2", new string('x', 90)], channel.ToDictionary().OrderBy(e => e.Key, StringComparer.Ordinal).Select(e => e.Value));
    }
}
