using System.Collections.Concurrent;
using GlooX.Protocol;
using GlooX.Rpc.Tests.Streams;

namespace GlooX.Rpc.Tests.Interceptors;

public sealed class InterceptorTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Interceptors_wrap_a_call_on_both_sides_the_first_outermost()
    {
        var log = new ConcurrentQueue<string>();
        await using Harness it = await Harness.StartAsync(
            new RpcServerOptions { Interceptors = [new Diary("s1", log), new Diary("s2", log)] },
            new RpcClientOptions { Interceptors = [new Diary("c1", log), new Diary("c2", log)] });

        Assert.Equal(5, await it.Remote.AddAsync(2, 3));

        Assert.Equal(
            ["c1 Add", "c2 Add", "s1 admits Add", "s2 admits Add", "s1 Add", "s2 Add", "s2 Add: 5", "s1 Add: 5", "c2 Add: 5", "c1 Add: 5"],
            log);
    }

    [Fact]
    public async Task Metadata_reach_the_other_sides_interceptors_and_handlers()
    {
        await using Harness it = await StartAsync([], [new Stamp("tenant", "größer"), new Stamp("user", "ada")]);
        Assert.Equal("tenant=größer user=ada", await it.Client.CallAsync<string>("who/Am", []).AsTask().WaitAsync(s_limit));
        Assert.Equal("tenant=größer user=ada", await it.Client.As<IWho>("who").LaterAsync());
    }

    [Fact]
    public async Task A_handler_knows_its_call_without_any_interceptor_too()
    {
        await using Harness it = await StartAsync([], []);
        Assert.Equal("", await it.Client.As<IWho>("who").AmAsync());
        Assert.Equal("who/Method", await it.Client.As<IWho>("who").MethodAsync());
    }

    [Fact]
    public async Task A_handler_knows_its_call_although_an_interceptor_moved_to_another_thread()
    {
        await using Harness it = await StartAsync([new Detour()], [new Stamp("user", "ada"), new Detour()]);
        Assert.Equal("user=ada", await it.Client.As<IWho>("who").AmAsync());
        Assert.Equal(["user=ada"], await it.Client.As<IWho>("who").StreamAsync().ToListAsync(Ct));
    }

    [Fact]
    public async Task A_call_is_refused_before_its_arguments_are_read()
    {
        await using Harness it = await StartAsync([new Guard("open sesame")], []);

        // These arguments fit no method: the refusal comes first.
        var error = await Assert.ThrowsAsync<RpcException>(async () => await it.Client.CallAsync<int>("Add", "not", "numbers", "at", "all"));
        Assert.Equal(RpcError.Unauthorized, error.Code);
        Assert.Equal("Add: say the word", error.Message);

        RpcClientOptions knowing = new() { Identity = Harness.Shared, Interceptors = [new Stamp("word", "open sesame")] };
        await using RpcClient friend = new RpcClient(it.Server.Url, knowing);
        Assert.Equal(5, await friend.As<ICalculator>().AddAsync(2, 3));
    }

    [Fact]
    public async Task An_interceptor_knows_the_callers_certificate()
    {
        var book = new Visitors();
        await using Harness it = await StartAsync([book], []);
        Assert.Equal(5, await it.Remote.AddAsync(2, 3));
        Assert.Equal(("CN=test client", RpcRole.Client), book.Last);
    }

    [Fact]
    public async Task A_fault_in_an_interceptor_is_told_like_one_in_a_handler()
    {
        await using Harness it = await StartAsync([new Broken(admits: false)], []);
        var error = await Assert.ThrowsAsync<RpcException>(async () => await it.Remote.AddAsync(2, 3));
        Assert.Equal((RpcError.Remote, typeof(OddException).FullName), (error.Code, error.RemoteType));

        await using Harness other = await StartAsync([new Broken(admits: true)], []);
        error = await Assert.ThrowsAsync<RpcException>(async () => await other.Remote.AddAsync(2, 3));
        Assert.Equal((RpcError.Remote, typeof(OddException).FullName), (error.Code, error.RemoteType));
        await other.Server.DisposeAsync(); // refused calls are not in flight: it does not wait for them
    }

    [Fact]
    public async Task An_interceptor_may_answer_itself_and_a_client_may_call_again()
    {
        var again = new Again();
        await using Harness it = await StartAsync([], [again]);
        again.Times = 3;
        Assert.Equal(5, await it.Remote.AddAsync(2, 3));
        Assert.Equal(3, again.Made);

        await using Harness mocked = await StartAsync([new Canned(42)], []);
        Assert.Equal(42, await mocked.Remote.AddAsync(2, 3));
    }

    [Fact]
    public async Task The_caller_sees_what_an_interceptor_makes_of_a_failure()
    {
        var log = new ConcurrentQueue<string>();
        await using Harness it = await StartAsync([new Diary("s", log)], [new Diary("c", log)]);
        await Assert.ThrowsAsync<RpcException>(() => it.Remote.FailAsync("no luck"));
        Assert.Contains($"s Fail! {nameof(OddException)}", log);
        Assert.Contains($"c Fail! {nameof(RpcException)}", log);
    }

    [Fact]
    public async Task A_stream_is_one_call_from_its_start_to_its_end()
    {
        var log = new ConcurrentQueue<string>();
        await using Harness it = await StartAsync([new Diary("s", log)], [new Diary("c", log), new Stamp("user", "ada")]);
        IFeed feed = it.Client.As<IFeed>("feed");
        await using (IAsyncEnumerator<int> numbers = feed.CountAsync(2, Ct).GetAsyncEnumerator(Ct))
        {
            Assert.True(await numbers.MoveNextAsync());
            Assert.DoesNotContain("c feed/Count.", log);
            Assert.True(await numbers.MoveNextAsync());
            Assert.False(await numbers.MoveNextAsync());
        }

        Assert.Equal(["c feed/Count", "s admits feed/Count", "s feed/Count", "s feed/Count.", "c feed/Count."], log);
    }

    [Fact]
    public async Task A_stream_that_is_left_early_ends_for_the_interceptors_as_well()
    {
        var log = new ConcurrentQueue<string>();
        await using Harness it = await StartAsync([], [new Diary("c", log)]);
        Assert.Equal(0, await it.Client.As<IFeed>("feed").CountAsync(int.MaxValue, Ct).FirstAsync(Ct));
        Assert.Equal(["c feed/Count", "c feed/Count."], log);
    }

    [Fact]
    public async Task A_streams_failure_passes_through_the_interceptors_and_a_refused_stream_never_begins()
    {
        var log = new ConcurrentQueue<string>();
        await using Harness it = await StartAsync([], [new Diary("c", log)]);
        var seen = new List<int>();
        var error = await Assert.ThrowsAsync<RpcException>(async () =>
        {
            await foreach (int item in it.Client.As<IFeed>("feed").FailAfterAsync(3))
            {
                seen.Add(item);
            }
        });
        Assert.Equal(RpcError.Remote, error.Code);
        Assert.Equal([0, 1, 2], seen);
        Assert.Equal(["c feed/FailAfter", $"c feed/FailAfter! {nameof(RpcException)}"], log);

        await using Harness guarded = await StartAsync([new Guard("open sesame")], []);
        error = await Assert.ThrowsAsync<RpcException>(async () => await guarded.Client.As<IFeed>("feed").CountAsync(3, Ct).ToListAsync(Ct));
        Assert.Equal(RpcError.Unauthorized, error.Code);
    }

    [Fact]
    public async Task Streams_among_the_arguments_and_calls_without_answer_carry_metadata_too()
    {
        var log = new ConcurrentQueue<string>();
        await using Harness it = await StartAsync([new Diary("s", log, "user")], [new Stamp("user", "ada")]);
        IFeed feed = it.Client.As<IFeed>("feed");
        Assert.Equal(6, await feed.SumAsync(Numbers(), Ct));
        await feed.NoteAsync(1);
        using var limit = new CancellationTokenSource(Wait.Deadline);
        while (await feed.NotedAsync() == 0) // calls may overtake each other
        {
            limit.Token.ThrowIfCancellationRequested();
        }

        Assert.Contains("s admits feed/Sum ada", log);
        Assert.Contains("s admits feed/Note ada", log);

        static async IAsyncEnumerable<int> Numbers()
        {
            yield return 1;
            await Task.Yield();
            yield return 5;
        }
    }

    [Fact]
    public async Task An_object_that_is_called_back_is_seen_by_the_interceptors_of_both()
    {
        var log = new ConcurrentQueue<string>();
        await using Harness it = await StartAsync([new Diary("s", log), new Stamp("from", "server")], [new Diary("c", log, "from")]);
        Assert.Equal(0, await it.Client.As<IFeed>("feed").CallBackAsync(new Listener(), 1));
        Assert.Contains("s #0/Hear", log);
        Assert.Contains("c admits #0/Hear server", log);
    }

    [Theory]
    [InlineData(65, 1)]
    [InlineData(1, 17_000)]
    public async Task Too_much_metadata_is_refused_where_it_is_made(int entries, int length)
    {
        await using Harness it = await StartAsync([], [new Load(entries, length)]);
        var error = await Assert.ThrowsAsync<RpcException>(async () => await it.Remote.AddAsync(2, 3));
        Assert.Equal(RpcError.TooLarge, error.Code);
    }

    [Fact]
    public async Task As_much_metadata_as_is_allowed_arrives()
    {
        await using Harness it = await StartAsync([], [new Load(64, 250)]);
        Assert.Equal(64, (await it.Client.As<IWho>("who").AmAsync()).Split(' ').Length);
    }

    private static async Task<Harness> StartAsync(RpcInterceptor[] server, RpcInterceptor[] client)
    {
        Harness it = await Harness.StartAsync(
            new RpcServerOptions { Interceptors = server, DrainTimeout = s_limit }, new RpcClientOptions { Interceptors = client });
        it.Server.Add(new Who(), "who");
        it.Server.Add(new Feed(), "feed");
        return it;
    }

    /// <summary>Notes what it sees, and a value of the metadata.</summary>
    private sealed class Diary(string name, ConcurrentQueue<string> log, string? key = null) : RpcInterceptor
    {
        public override ValueTask<T> CallAsync<T>(RpcClientCall call, Func<ValueTask<T>> next) => NoteAsync(call.Method, next);

        public override void Admit(RpcCall call) =>
            log.Enqueue(key is null ? $"{name} admits {call.Method}" : $"{name} admits {call.Method} {call.Metadata.GetValueOrDefault(key)}");

        public override ValueTask<T> ServeAsync<T>(RpcCall call, Func<ValueTask<T>> next) => NoteAsync(call.Method, next);

        private async ValueTask<T> NoteAsync<T>(string method, Func<ValueTask<T>> next)
        {
            log.Enqueue($"{name} {method}");
            try
            {
                T result = await next();
                log.Enqueue(result is int ? $"{name} {method}: {result}" : $"{name} {method}.");
                return result;
            }
            catch (Exception e)
            {
                log.Enqueue($"{name} {method}! {e.GetType().Name}");
                throw;
            }
        }
    }

    private sealed class Stamp(string key, string value) : RpcInterceptor
    {
        public override ValueTask<T> CallAsync<T>(RpcClientCall call, Func<ValueTask<T>> next)
        {
            call.Metadata[key] = value;
            return next();
        }
    }

    private sealed class Load(int entries, int length) : RpcInterceptor
    {
        public override ValueTask<T> CallAsync<T>(RpcClientCall call, Func<ValueTask<T>> next)
        {
            for (int i = 0; i < entries; i++)
            {
                call.Metadata[$"{i}"] = new string('x', length);
            }

            return next();
        }
    }

    private sealed class Guard(string word) : RpcInterceptor
    {
        public override void Admit(RpcCall call)
        {
            if (call.Metadata.GetValueOrDefault("word") != word)
            {
                throw new RpcException(RpcError.Unauthorized, $"{call.Method}: say the word");
            }
        }
    }

    private sealed class Visitors : RpcInterceptor
    {
        public (string Subject, RpcRole Roles) Last { get; private set; }

        public override void Admit(RpcCall call) => Last = (call.CallerSubject, call.CallerRoles);
    }

    private sealed class Detour : RpcInterceptor
    {
        public override async ValueTask<T> CallAsync<T>(RpcClientCall call, Func<ValueTask<T>> next)
        {
            await Task.Yield();
            return await next();
        }

        public override async ValueTask<T> ServeAsync<T>(RpcCall call, Func<ValueTask<T>> next)
        {
            await Task.Yield();
            return await next();
        }
    }

    private sealed class Broken(bool admits) : RpcInterceptor
    {
        public override void Admit(RpcCall call)
        {
            if (!admits)
            {
                throw new OddException("broken");
            }
        }

        public override ValueTask<T> ServeAsync<T>(RpcCall call, Func<ValueTask<T>> next) => throw new OddException("broken");
    }

    private sealed class Again : RpcInterceptor
    {
        public int Times { get; set; } = 1;

        public int Made { get; private set; }

        public override async ValueTask<T> CallAsync<T>(RpcClientCall call, Func<ValueTask<T>> next)
        {
            for (int i = 1; i < Times; i++)
            {
                Made++;
                await next();
            }

            Made++;
            return await next();
        }
    }

    private sealed class Canned(object answer) : RpcInterceptor
    {
        public override ValueTask<T> ServeAsync<T>(RpcCall call, Func<ValueTask<T>> next) => ValueTask.FromResult((T)answer);
    }
}

[RpcService]
public interface IWho
{
    /// <summary>The call's metadata.</summary>
    ValueTask<string> AmAsync();

    /// <summary>The same, asked before an await and used after it.</summary>
    Task<string> LaterAsync();

    ValueTask<string> MethodAsync();

    IAsyncEnumerable<string> StreamAsync();
}

internal sealed class Who : IWho
{
    public ValueTask<string> AmAsync() => ValueTask.FromResult(Text(RpcCall.Current));

    public async Task<string> LaterAsync()
    {
        RpcCall call = RpcCall.Current;
        await Task.Yield();
        return Text(call);
    }

    public ValueTask<string> MethodAsync() => ValueTask.FromResult(RpcCall.Current.Method);

    public async IAsyncEnumerable<string> StreamAsync()
    {
        yield return Text(RpcCall.Current);
        await Task.Yield();
    }

    private static string Text(RpcCall call) => string.Join(' ', call.Metadata.Select(static e => $"{e.Key}={e.Value}").Order(StringComparer.Ordinal));
}
