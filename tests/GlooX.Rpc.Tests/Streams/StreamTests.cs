using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace GlooX.Rpc.Tests.Streams;

[RpcService]
public interface IFeed
{
    IAsyncEnumerable<int> CountAsync(int count, CancellationToken ct);

    IAsyncEnumerable<int> FailAfterAsync(int count);

    IAsyncEnumerable<byte[]> BlocksAsync(int count, int size);

    Task<long> SumAsync(IAsyncEnumerable<int> numbers, CancellationToken ct);

    Task<int> FirstOfAsync(IAsyncEnumerable<int> numbers);

    IAsyncEnumerable<string> ZipAsync(IAsyncEnumerable<string> left, string between, IAsyncEnumerable<Order> right);

    Task<int> CallBackAsync(IListener listener, int count);

    Task KeepAsync(IListener listener);

    [Rpc(OneWay = true)]
    ValueTask NoteAsync(int number);

    Task<int> NotedAsync();

    [Rpc(TimeoutMilliseconds = 60_000)]
    Task<double> RemainingAsync();
}

[RpcService]
public interface IListener
{
    Task<int> HearAsync(int number);

    [Rpc(OneWay = true)]
    Task ToldAsync(string text);

    IAsyncEnumerable<int> TellAsync(int count);
}

/// <summary>Streams in both directions, objects that are called back, and calls without an answer.</summary>
public sealed class StreamTests : IAsyncLifetime
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);
    private readonly Feed _feed = new();
    private RpcServer _server = null!;
    private RpcClient _client = null!;

    private IFeed Remote => _client.As<IFeed>();

    public async ValueTask InitializeAsync()
    {
        _server = new RpcServer(new RpcServerOptions { Identity = Harness.Shared, DrainTimeout = TimeSpan.Zero });
        _server.Add(_feed);
        await _server.StartAsync("127.0.0.1:0");
        _client = new RpcClient(_server.Url, new RpcClientOptions { Identity = Harness.Shared });
    }

    public async ValueTask DisposeAsync()
    {
        await _client.DisposeAsync();
        await _server.DisposeAsync();
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(100_000)]
    public async Task AResultComesItemByItem(int count)
    {
        int next = 0;
        await foreach (int item in Remote.CountAsync(count, CancellationToken.None))
        {
            Assert.Equal(next++, item);
        }

        Assert.Equal(count, next);
    }

    [Fact]
    public async Task EachEnumerationIsACall()
    {
        IAsyncEnumerable<int> stream = Remote.CountAsync(5, CancellationToken.None);
        for (int i = 0; i < 3; i++)
        {
            Assert.Equal(5, await stream.CountAsync());
        }
    }

    [Fact]
    public async Task AFailureComesAfterWhatCameBefore()
    {
        var seen = new List<int>();
        RpcException e = await Assert.ThrowsAsync<RpcException>(async () =>
        {
            await foreach (int item in Remote.FailAfterAsync(3))
            {
                seen.Add(item);
            }
        });
        Assert.Equal([0, 1, 2], seen);
        Assert.Equal(RpcError.Remote, e.Code);
        Assert.Contains("enough", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task WhoeverStopsReadingStopsTheHandler()
    {
        await foreach (int item in Remote.CountAsync(int.MaxValue, CancellationToken.None))
        {
            if (item == 10)
            {
                break;
            }
        }

        await _feed.Stopped.Task.WaitAsync(s_limit);
        Assert.Equal(3, await Remote.CountAsync(3, CancellationToken.None).CountAsync());
    }

    [Fact]
    public async Task CancellingStopsTheHandler()
    {
        using var cancel = new CancellationTokenSource();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (int item in Remote.CountAsync(int.MaxValue, cancel.Token))
            {
                if (item == 10)
                {
                    await cancel.CancelAsync();
                }
            }
        });
        await _feed.Stopped.Task.WaitAsync(s_limit);
    }

    [Fact]
    public async Task AHandlerIsNeverFarAheadOfItsReader()
    {
        int read = 0;
        await foreach (byte[] block in Remote.BlocksAsync(100, 64 * 1024))
        {
            read++;
            int ahead = Volatile.Read(ref _feed.Blocks) - read;
            Assert.InRange(ahead * 64, int.MinValue, 1024); // KiB: the window, one item that overdraws it, and one in the making
            await Remote.NotedAsync(); // others are served meanwhile
        }

        Assert.Equal(100, read);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(100_000)]
    public async Task AnArgumentGoesItemByItem(int count)
    {
        Assert.Equal((long)count * (count - 1) / 2, await Remote.SumAsync(Numbers(count), CancellationToken.None));
    }

    [Fact]
    public async Task AHandlerThatWantsNoMoreStopsTheCallersStream()
    {
        var stopped = new TaskCompletionSource();
        Assert.Equal(0, await Remote.FirstOfAsync(Endless(stopped)));
        await stopped.Task.WaitAsync(s_limit);
        Assert.Equal(6, await Remote.SumAsync(Numbers(4), CancellationToken.None));
    }

    [Fact]
    public async Task AStreamThatFailsFailsTheCall()
    {
        RpcException e = await Assert.ThrowsAsync<RpcException>(() => Remote.SumAsync(Failing(), CancellationToken.None));
        Assert.Contains("no more numbers", e.Message, StringComparison.Ordinal);

        static async IAsyncEnumerable<int> Failing()
        {
            yield return 1;
            await Task.Yield();
            throw new OddException("no more numbers");
        }
    }

    [Fact]
    public async Task StreamsGoBothWaysAtOnce()
    {
        string[] result = await Remote.ZipAsync(Names(), "=", Orders()).ToArrayAsync();
        Assert.Equal(["a=x0", "b=x1", "c=x2"], result);

        static async IAsyncEnumerable<string> Names()
        {
            foreach (string name in (string[])["a", "b", "c"])
            {
                await Task.Yield();
                yield return name;
            }
        }

        static async IAsyncEnumerable<Order> Orders()
        {
            for (int i = 0; ; i++)
            {
                await Task.Yield();
                yield return new Order($"x{i}", i, []);
            }
        }
    }

    [Fact]
    public async Task ManyStreamsShareAConnection()
    {
        long[] sums = await Task.WhenAll(Enumerable.Range(0, 32).Select(async i => i % 2 == 0
            ? await Remote.SumAsync(Numbers(2000), CancellationToken.None)
            : await Remote.CountAsync(2000, CancellationToken.None).Select(static x => (long)x).SumAsync())).WaitAsync(s_limit);
        Assert.All(sums, static s => Assert.Equal(1999L * 1000, s));
    }

    [Fact]
    public async Task ManyShortCallsWithStreamsKeepThemApart()
    {
        await Task.WhenAll(Enumerable.Range(0, 16).Select(async i =>
        {
            for (int n = 0; n < 200; n++)
            {
                Assert.Equal(i, await Remote.FirstOfAsync(From(i)));
                Assert.Equal(0, await Remote.CountAsync(100, CancellationToken.None).FirstAsync());
            }
        })).WaitAsync(s_limit);

        static async IAsyncEnumerable<int> From(int first)
        {
            for (int i = first; ; i++)
            {
                yield return i;
                await Task.Yield();
            }
        }
    }

    [Fact]
    public async Task AStreamEndsWithItsConnection()
    {
        IAsyncEnumerator<int> stream = Remote.CountAsync(int.MaxValue, CancellationToken.None).GetAsyncEnumerator();
        Assert.True(await stream.MoveNextAsync());
        await _server.DisposeAsync();
        RpcException e = await Assert.ThrowsAsync<RpcException>(async () =>
        {
            while (await stream.MoveNextAsync().AsTask().WaitAsync(s_limit))
            {
            }
        });
        Assert.True(e.Code is RpcError.Connection or RpcError.ShuttingDown, e.Message);
        await stream.DisposeAsync();
    }

    [Fact]
    public async Task AnObjectOfTheCallersIsCalledBack()
    {
        var listener = new Listener();
        Assert.Equal(Enumerable.Range(0, 100).Sum(static i => i * 2), await Remote.CallBackAsync(listener, 100));
        Assert.Equal(100, listener.Heard.Count);
    }

    [Fact]
    public async Task AnObjectIsCalledAfterItsCallUntilTheConnectionEnds()
    {
        var listener = new Listener();
        await Remote.KeepAsync(listener);
        IListener kept = await _feed.Kept.Task.WaitAsync(s_limit);
        Assert.Equal(8, await kept.HearAsync(4));
        int[] told = await kept.TellAsync(3).ToArrayAsync();
        Assert.Equal(3, told.Length);
        await kept.ToldAsync("news");
        Assert.Equal("news", await listener.Told.Task.WaitAsync(s_limit));

        await _client.DisposeAsync();
        RpcException e = await Assert.ThrowsAsync<RpcException>(() => kept.HearAsync(5).WaitAsync(s_limit));
        Assert.Equal(RpcError.Connection, e.Code);
    }

    [Fact]
    public async Task AHandlerAndItsCallerTalkBothWays()
    {
        // A handler waits for its caller, whose listener calls the same server meanwhile.
        var listener = new Listener { Then = n => Remote.CountAsync(n % 3, CancellationToken.None).CountAsync().AsTask() };
        int sum = await Remote.CallBackAsync(listener, 30).WaitAsync(s_limit);
        Assert.Equal(Enumerable.Range(0, 30).Sum(static i => (i * 2) + (i % 3)), sum);
    }

    [Fact]
    public async Task CallsWithoutAnswerAllArrive()
    {
        for (int i = 0; i < 10_000; i++)
        {
            await Remote.NoteAsync(i);
        }

        using var limit = new CancellationTokenSource(s_limit);
        while (await Remote.NotedAsync() < 10_000)
        {
            limit.Token.ThrowIfCancellationRequested();
        }
    }

    [Fact]
    public async Task AHandlerKnowsHowLongItsCallerWaits()
    {
        Assert.InRange(await Remote.RemainingAsync(), 30, 60);
    }

    private static async IAsyncEnumerable<int> Numbers(int count)
    {
        for (int i = 0; i < count; i++)
        {
            if (i % 1000 == 0)
            {
                await Task.Yield();
            }

            yield return i;
        }
    }

    private static async IAsyncEnumerable<int> Endless(TaskCompletionSource stopped, [EnumeratorCancellation] CancellationToken ct = default)
    {
        try
        {
            for (int i = 0; ; i++)
            {
                await Task.Yield();
                ct.ThrowIfCancellationRequested();
                yield return i;
            }
        }
        finally
        {
            stopped.TrySetResult();
        }
    }
}

internal sealed class Feed : IFeed
{
    public int Blocks;
    private int _noted;

    public TaskCompletionSource Stopped { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public TaskCompletionSource<IListener> Kept { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public async IAsyncEnumerable<int> CountAsync(int count, [EnumeratorCancellation] CancellationToken ct)
    {
        try
        {
            for (int i = 0; i < count; i++)
            {
                if (i % 1000 == 0)
                {
                    await Task.Yield();
                }

                yield return i;
            }
        }
        finally
        {
            if (ct.IsCancellationRequested)
            {
                Stopped.TrySetResult();
            }
        }
    }

    public async IAsyncEnumerable<int> FailAfterAsync(int count)
    {
        for (int i = 0; i < count; i++)
        {
            await Task.Yield();
            yield return i;
        }

        throw new OddException("enough");
    }

    public async IAsyncEnumerable<byte[]> BlocksAsync(int count, int size)
    {
        for (int i = 0; i < count; i++)
        {
            Interlocked.Increment(ref Blocks);
            yield return new byte[size];
            await Task.Yield();
        }
    }

    public async Task<long> SumAsync(IAsyncEnumerable<int> numbers, CancellationToken ct) => await numbers.Select(static n => (long)n).SumAsync(ct);

    public async Task<int> FirstOfAsync(IAsyncEnumerable<int> numbers) => await numbers.FirstAsync();

    public async IAsyncEnumerable<string> ZipAsync(IAsyncEnumerable<string> left, string between, IAsyncEnumerable<Order> right)
    {
        await foreach ((string l, Order r) in left.Zip(right))
        {
            yield return l + between + r.Name;
        }
    }

    public async Task<int> CallBackAsync(IListener listener, int count)
    {
        int[] heard = await Task.WhenAll(Enumerable.Range(0, count).Select(i => listener.HearAsync(i)));
        return heard.Sum();
    }

    public Task KeepAsync(IListener listener)
    {
        Kept.TrySetResult(listener);
        return Task.CompletedTask;
    }

    public ValueTask NoteAsync(int number)
    {
        Interlocked.Increment(ref _noted);
        return default;
    }

    public Task<int> NotedAsync() => Task.FromResult(Volatile.Read(ref _noted));

    public Task<double> RemainingAsync() => Task.FromResult(RpcCall.Current.Remaining?.TotalSeconds ?? -1);
}

internal sealed class Listener : IListener
{
    public ConcurrentQueue<int> Heard { get; } = new();

    public TaskCompletionSource<string> Told { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public Func<int, Task<int>>? Then { get; init; }

    public async Task<int> HearAsync(int number)
    {
        Heard.Enqueue(number);
        return (number * 2) + (Then is null ? 0 : await Then(number));
    }

    public Task ToldAsync(string text)
    {
        Told.TrySetResult(text);
        return Task.CompletedTask;
    }

    public async IAsyncEnumerable<int> TellAsync(int count)
    {
        for (int i = 0; i < count; i++)
        {
            await Task.Yield();
            yield return i;
        }
    }
}
