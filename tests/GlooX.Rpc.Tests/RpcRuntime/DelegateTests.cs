using System.Collections.Concurrent;
using GlooX.Rpc.Tests.Server;
using GlooX.Rpc.Tests.Streams;

namespace GlooX.Rpc.Tests.RpcRuntime;

public delegate ValueTask<Order> Change(Order order, CancellationToken ct);

public delegate IAsyncEnumerable<int> Source(int count);

[RpcService]
public interface IWorker
{
    Task<int> SumAsync(Func<int, int, Task<int>> add, int[] numbers);

    Task<Order> ChangeAsync(Order order, Change change, CancellationToken ct);

    Task<string> ReportAsync(Action<int, string> progress, int count, Func<Task>? done = null);

    Task KeepAsync(Func<string, Task<string>> ask);

    Task<int> DrainAsync(Source source);

    Task<int> WithContractAsync(Func<IListener, ValueTask<int>> use, IListener listener);

    Task ThrowAsync(Func<ValueTask> fail);

    IAsyncEnumerable<int> MapAsync(int[] numbers, Func<int, Task<int>> map);

    Task<bool> IsNullAsync(IListener? listener);
}

/// <summary>Delegates as arguments: they stay with the caller and are called back.</summary>
public sealed class DelegateTests : IAsyncLifetime
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);
    private readonly Worker _worker = new();
    private Pair _pair = null!;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    private IWorker Remote => _pair.Client.As<IWorker>();

    public async ValueTask InitializeAsync() => _pair = await Pair.StartAsync(_worker);

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    [Fact]
    public async Task A_delegate_is_called_and_answers()
    {
        int calls = 0;
        int sum = await Remote.SumAsync(
            (a, b) =>
            {
                calls++;
                return Task.FromResult(a + b);
            },
            [1, 2, 3, 4]);
        Assert.Equal((10, 4), (sum, calls));
    }

    [Fact]
    public async Task A_delegate_of_an_own_type_takes_records_and_is_cancelled_with_the_call()
    {
        Assert.Equal(7, (await Remote.ChangeAsync(new Order("a", 6, []), static (o, _) => new(o with { Amount = o.Amount + 1 }), Ct)).Amount);

        var cancelled = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Remote.ChangeAsync(new Order("a", 6, []), ChangeSlowlyAsync, stop.Token));
        await cancelled.Task.WaitAsync(s_limit, Ct);

        async ValueTask<Order> ChangeSlowlyAsync(Order order, CancellationToken ct)
        {
            await stop.CancelAsync();
            try
            {
                await Task.Delay(Timeout.Infinite, ct);
                return order;
            }
            finally
            {
                cancelled.SetResult();
            }
        }
    }

    [Fact]
    public async Task A_delegate_that_returns_nothing_is_told_everything()
    {
        var seen = new ConcurrentBag<(int, string)>();
        var all = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        string result = await Remote.ReportAsync(
            (number, text) =>
            {
                seen.Add((number, text));
                if (seen.Count == 1000)
                {
                    all.TrySetResult();
                }
            },
            1000);
        Assert.Equal("nothing when done", result);
        await all.Task.WaitAsync(s_limit, Ct);
        Assert.Equal(Enumerable.Range(0, 1000).Select(static i => (i, $"step {i}")), seen.Order());
    }

    [Fact]
    public async Task A_delegate_may_be_null_where_the_contract_says_so_and_so_may_an_object()
    {
        bool isDone = false;
        Assert.Equal("done", await Remote.ReportAsync(static (_, _) => { }, 0, () =>
        {
            isDone = true;
            return Task.CompletedTask;
        }));
        Assert.True(isDone);
        Assert.True(await Remote.IsNullAsync(null));
        Assert.False(await Remote.IsNullAsync(new Listener()));
        Assert.Equal(RpcError.BadArguments, (await Assert.ThrowsAsync<RpcException>(async () => await _pair.Client.CallAsync<int>("Keep", (object?)null))).Code);
        await Assert.ThrowsAsync<ArgumentNullException>(() => Remote.KeepAsync(null!));
    }

    [Fact]
    public async Task A_delegate_is_called_after_its_call_until_the_connection_ends()
    {
        await Remote.KeepAsync(static text => Task.FromResult(text + "!"));
        Assert.Equal("hey!", await _worker.Kept!("hey").WaitAsync(s_limit, Ct));
        await _pair.Client.DisposeAsync();
        RpcException e = await Assert.ThrowsAsync<RpcException>(() => _worker.Kept("hey").WaitAsync(s_limit, Ct));
        Assert.Equal(RpcError.Connection, e.Code);
    }

    [Fact]
    public async Task A_delegate_may_return_a_stream_or_take_an_object()
    {
        Assert.Equal(10, await Remote.DrainAsync(static count => Enumerable.Range(0, count).ToAsyncEnumerable()));
        Assert.Equal(16, await Remote.WithContractAsync(static async l => await l.HearAsync(8), new Listener()));
    }

    [Fact]
    public async Task What_a_delegate_throws_comes_to_the_caller()
    {
        RpcException e = await Assert.ThrowsAsync<RpcException>(() => Remote.ThrowAsync(static () => throw new OddException("not here")));
        Assert.Equal((RpcError.Remote, typeof(OddException).FullName), (e.Code, e.RemoteType));
        Assert.Contains("not here", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stream_uses_a_delegate_while_it_flows()
    {
        int[] mapped = await Remote.MapAsync([1, 2, 3], static n => Task.FromResult(n * 2)).ToArrayAsync(Ct);
        Assert.Equal([2, 4, 6], mapped);
    }

    [Fact]
    public async Task A_new_delegate_in_each_call_does_not_use_up_the_connection()
    {
        // More than a connection can define. What nobody holds any more is given back when its memory is.
        int calls = 0;
        for (int i = 0; i < 10_000; i++)
        {
            int mine = i;
            Assert.Equal(mine, await Remote.SumAsync(
                (_, b) =>
                {
                    calls++;
                    return Task.FromResult(mine);
                },
                [0]));
            if (i % 1000 == 0)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
            }
        }

        Assert.Equal(10_000, calls);
    }

    [Fact]
    public async Task One_delegate_lent_again_and_again_stays_one()
    {
        for (int i = 0; i < 10_000; i++)
        {
            Assert.Equal(3, await Remote.SumAsync(AddAsync, [1, 2]));
        }
    }

    private Task<int> AddAsync(int a, int b) => Task.FromResult(a + b);

    private sealed class Worker : IWorker
    {
        public Func<string, Task<string>>? Kept { get; private set; }

        public async Task<int> SumAsync(Func<int, int, Task<int>> add, int[] numbers)
        {
            int sum = 0;
            foreach (int number in numbers)
            {
                sum = await add(sum, number);
            }

            return sum;
        }

        public async Task<Order> ChangeAsync(Order order, Change change, CancellationToken ct) => await change(order, ct);

        public async Task<string> ReportAsync(Action<int, string> progress, int count, Func<Task>? done = null)
        {
            for (int i = 0; i < count; i++)
            {
                progress(i, $"step {i}");
            }

            await (done?.Invoke() ?? Task.CompletedTask);
            return done is null ? "nothing when done" : "done";
        }

        public Task KeepAsync(Func<string, Task<string>> ask)
        {
            Kept = ask;
            return Task.CompletedTask;
        }

        public async Task<int> DrainAsync(Source source) => await source(5).SumAsync();

        public async Task<int> WithContractAsync(Func<IListener, ValueTask<int>> use, IListener listener) => await use(listener);

        public async Task ThrowAsync(Func<ValueTask> fail) => await fail();

        public async IAsyncEnumerable<int> MapAsync(int[] numbers, Func<int, Task<int>> map)
        {
            foreach (int number in numbers)
            {
                yield return await map(number);
            }
        }

        public Task<bool> IsNullAsync(IListener? listener) => Task.FromResult(listener is null);
    }
}
