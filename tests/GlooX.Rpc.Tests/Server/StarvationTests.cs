using GlooX.Tls;
using GlooX.Tls.Join;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX.Rpc.Tests.Server;

public delegate Task<int> Ask(int id);

[RpcService]
public interface IStall
{
    /// <summary>Holds its thread until the gate opens.</summary>
    ValueTask<int> BlockAsync(int id);

    /// <summary>Holds a thread of whoever goes on after an await, until the gate opens.</summary>
    Task<int> BlockLaterAsync(int id, bool anywhere);

    /// <summary>Holds its thread until the caller has answered.</summary>
    ValueTask<int> BlockOnAsync(int id, Ask ask);

    /// <summary>Holds a thread between the items of a stream.</summary>
    IAsyncEnumerable<int> BlockBetweenAsync(int id);

    [Rpc(OneWay = true)]
    Task NoteAsync(int id);

    ValueTask<int> EchoAsync(int id);
}

/// <summary>Handlers that block hold up neither each other nor anything else in the process.</summary>
public sealed class StarvationTests : IAsyncDisposable
{
    private const int Callers = 200;
    private static readonly TimeSpan s_deadline = TimeSpan.FromMinutes(2);
    private readonly string _home = Directory.CreateTempSubdirectory("gloox-stall-").FullName;
    private readonly Stall _stall = new();
    private readonly List<IAsyncDisposable> _ends = [];
    private readonly Identity _identity;
    private RpcServer _server = null!;
    private int _joined;

    public StarvationTests() => _identity = new Identity(new IdentityStore(Path.Combine(_home, "issuer"), TimeProvider.System), []);

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public async ValueTask DisposeAsync()
    {
        _stall.Open();
        foreach (IAsyncDisposable end in _ends)
        {
            await end.DisposeAsync();
        }

        await _server.DisposeAsync();
        _stall.Dispose();
        Directory.Delete(_home, recursive: true);
    }

    [Fact]
    public Task Two_hundred_callers_whose_handlers_block_starve_nobody() => StarveAsync(Callers, static (stall, id) => stall.BlockAsync(id).AsTask());

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public Task Handlers_that_block_after_an_await_starve_nobody(bool anywhere) => StarveAsync(Callers, (stall, id) => stall.BlockLaterAsync(id, anywhere));

    [Fact]
    public Task Handlers_that_block_between_the_items_of_a_stream_starve_nobody() => StarveAsync(Callers, static (stall, id) => LastAsync(stall.BlockBetweenAsync(id)));

    [Fact]
    public async Task Handlers_that_block_on_the_caller_starve_nobody()
    {
        var answer = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        await StarveAsync(
            100,
            (stall, id) => stall.BlockOnAsync(id, async asked =>
            {
                _stall.Enter();
                await answer.Task;
                return asked;
            }).AsTask(),
            answer.SetResult);
    }

    [Fact]
    public async Task A_method_that_was_always_quick_and_then_blocks_starves_nobody()
    {
        await ServeAsync();
        _stall.IsOpen = true;
        IStall warm = Connect();
        for (int i = 0; i < 3000; i++)
        {
            Assert.Equal(i, await warm.BlockLaterAsync(i, anywhere: false));
        }

        _stall.IsOpen = false;
        await StarveAsync(50, static (stall, id) => stall.BlockLaterAsync(id, anywhere: false));
    }

    [Fact]
    public async Task Beyond_the_bound_of_threads_calls_that_may_block_are_refused_and_quick_ones_are_answered()
    {
        await ServeAsync(threads: 4);
        IStall remote = Connect();
        Task<int>[] blocked = await BlockAllAsync();
        RpcException refusal = await Assert.ThrowsAsync<RpcException>(() => remote.BlockAsync(4).AsTask());
        Assert.Equal(RpcError.Overloaded, refusal.Code);
        Assert.Contains("MaxHandlerThreads", refusal.Message, StringComparison.Ordinal);
        Assert.Equal(RpcError.Overloaded, (await Assert.ThrowsAsync<RpcException>(() => Connect().BlockAsync(5).AsTask())).Code);
        await remote.NoteAsync(6);
        Assert.Equal(7, await remote.EchoAsync(7));
        Assert.Equal(8, await Connect().EchoAsync(8));
        Assert.DoesNotContain(blocked, static b => b.IsCompleted);

        _stall.Open();
        Assert.Equal(Enumerable.Range(0, 4), await Task.WhenAll(blocked).WaitAsync(s_deadline, Ct));
        await _stall.NotedAsync().WaitAsync(s_deadline, Ct);
        Assert.Equal(9, await remote.BlockAsync(9));

        // A thread that the system preempts looks like a slow handler, so the quick method may have to earn its trust anew.
        async Task<Task<int>[]> BlockAllAsync()
        {
            for (int attempt = 1; ; attempt++)
            {
                for (int i = 0; i < 1000; i++)
                {
                    Assert.Equal(i, await remote.EchoAsync(i));
                }

                Task<int>[] all = [.. Enumerable.Range(0, 4).Select(i => remote.BlockAsync(i).AsTask())];
                await _stall.UntilEnteredAsync(4);
                try
                {
                    Assert.Equal(attempt, await remote.EchoAsync(attempt));
                    return all;
                }
                catch (RpcException e) when (e.Code == RpcError.Overloaded && attempt < 20)
                {
                    _stall.IsOpen = true;
                    await Task.WhenAll(all).WaitAsync(s_deadline, Ct);
                    _stall.IsOpen = false;
                }
            }
        }
    }

    [Fact]
    public async Task A_burst_of_calls_that_were_never_made_before_is_not_refused()
    {
        await ServeAsync(threads: 1);
        IStall remote = Connect();
        int[] echoes = await Task.WhenAll(Enumerable.Range(0, 5000).Select(i => remote.EchoAsync(i).AsTask())).WaitAsync(s_deadline, Ct);
        Assert.Equal(Enumerable.Range(0, 5000), echoes);
    }

    private static async Task<int> LastAsync(IAsyncEnumerable<int> items)
    {
        int last = 0;
        await foreach (int item in items.ConfigureAwait(false))
        {
            last = item;
        }

        return last;
    }

    /// <summary>Twice in a row as many callers as there are each make a call that blocks; everything else is answered; then all come home.</summary>
    private async Task StarveAsync(int callers, Func<IStall, int, Task<int>> call, Action? release = null)
    {
        await ServeAsync();
        IStall[] remotes = [.. Enumerable.Range(0, callers).Select(_ => Connect())];
        await Task.WhenAll(remotes.Select(static (r, i) => r.EchoAsync(i).AsTask())).WaitAsync(s_deadline, Ct);
        IStall neighbour = Connect();
        var calls = new List<Task<int>>();
        for (int round = 0; round < 2; round++)
        {
            calls.AddRange(remotes.Select((r, i) => call(r, i)));
            await _stall.UntilEnteredAsync(callers);
            await AllElseIsAnsweredAsync(neighbour).WaitAsync(s_deadline, Ct);
            Assert.DoesNotContain(calls, static c => c.IsCompleted);
        }

        release?.Invoke();
        _stall.Open();
        int[] ids = await Task.WhenAll(calls).WaitAsync(s_deadline, Ct);
        Assert.Equal(Enumerable.Range(0, callers * 2).Select(i => i % callers), ids);
        Assert.Equal(7, await neighbour.EchoAsync(7));
    }

    private async Task AllElseIsAnsweredAsync(IStall neighbour)
    {
        for (int i = 0; i < 50; i++)
        {
            Assert.Equal(i, await neighbour.EchoAsync(i));
            Assert.Equal(i, await Connect().EchoAsync(i));
        }

        string name = $"joined{_joined++}";
        await JoinClient.JoinAsync(
            new IdentityStore(Path.Combine(_home, name), TimeProvider.System),
            _server.Url,
            new GlooX.Tls.StoreAuthority(_identity.Store!).CreateToken(new JoinTokenOptions()),
            new JoinOptions { Timeout = s_deadline },
            Ct);
    }

    private async Task ServeAsync(int threads = 1024)
    {
        if (_server is not null)
        {
            return;
        }

        _server = new RpcServer(new RpcServerOptions { Identity = _identity, DrainTimeout = TimeSpan.Zero, HandshakeTimeout = s_deadline, MaxHandlerThreads = threads, AcceptJoins = true });
        _server.Add(_stall);
        await _server.StartAsync("127.0.0.1:0", Ct);
    }

    private IStall Connect()
    {
        RpcClient client = new RpcClient(_server.Url, new RpcClientOptions { Identity = _identity, ConnectTimeout = s_deadline, CallTimeout = s_deadline });
        _ends.Add(client);
        return client.As<IStall>();
    }
}

internal sealed class Stall : IStall, IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);
    private readonly ManualResetEventSlim _open = new();
    private readonly SemaphoreSlim _entered = new(0);
    private readonly TaskCompletionSource _noted = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Whether handlers go through.</summary>
    public bool IsOpen
    {
        get => _open.IsSet;
        set
        {
            if (value)
            {
                _open.Set();
            }
            else
            {
                _open.Reset();
            }
        }
    }

    public async Task UntilEnteredAsync(int count)
    {
        for (int i = 0; i < count; i++)
        {
            Assert.True(await _entered.WaitAsync(s_limit), $"only {i} of {count} handlers began");
        }
    }

    public Task NotedAsync() => _noted.Task;

    public void Enter() => _entered.Release();

    public void Open() => _open.Set();

    public void Dispose()
    {
        _open.Set();
        _entered.Dispose();
    }

    public ValueTask<int> BlockAsync(int id)
    {
        Wait();
        return new(id);
    }

    public async Task<int> BlockLaterAsync(int id, bool anywhere)
    {
        await Task.Delay(1).ConfigureAwait(!anywhere);
        Wait();
        return id;
    }

    public ValueTask<int> BlockOnAsync(int id, Ask ask) => new(ask(id).Result);

    public async IAsyncEnumerable<int> BlockBetweenAsync(int id)
    {
        yield return -1;
        await Task.Yield();
        Wait();
        yield return id;
    }

    public Task NoteAsync(int id)
    {
        Wait();
        _noted.TrySetResult();
        return Task.CompletedTask;
    }

    public ValueTask<int> EchoAsync(int id) => new(id);

    private void Wait()
    {
        if (!_open.IsSet)
        {
            _entered.Release();
            _open.Wait();
        }
    }
}
