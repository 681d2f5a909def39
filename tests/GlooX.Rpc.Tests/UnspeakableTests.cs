using System.Runtime.CompilerServices;

namespace GlooX.Rpc.Tests;

/// <summary>Handlers whose exceptions throw when they are asked what they say: the caller gets an error, and the process goes on.</summary>
public sealed class UnspeakableTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public async Task An_exception_that_cannot_be_read_is_an_error_to_the_caller(bool later, bool withStacks)
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { SendStackTraces = withStacks, DrainTimeout = TimeSpan.Zero });
        it.Server.Add(new Unspeakable(), "unspeakable");
        var remote = it.Client.As<IUnspeakable>("unspeakable");
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => remote.FailAsync(later).WaitAsync(Wait.Deadline, Ct));
        Assert.Equal((RpcError.Remote, typeof(UnspeakableException).FullName), (error.Code, error.RemoteType));
        Assert.Contains("cannot be read", error.Message, StringComparison.Ordinal);
        Assert.Equal(withStacks, error.RemoteStack is not null);
        Assert.Equal(3, await it.Remote.AddAsync(1, 2));
    }

    [Fact]
    public async Task A_stream_that_fails_with_it_is_an_error_to_its_reader_in_both_directions()
    {
        await using Harness it = await Harness.StartAsync();
        it.Server.Add(new Unspeakable(), "unspeakable");
        var remote = it.Client.As<IUnspeakable>("unspeakable");
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => remote.StreamAsync(Ct).ToArrayAsync(Ct).AsTask().WaitAsync(Wait.Deadline, Ct));
        Assert.Equal((RpcError.Remote, typeof(UnspeakableException).FullName), (error.Code, error.RemoteType));
        error = await Assert.ThrowsAsync<RpcException>(() => remote.ReadAsync(Unspeakable.FailingAsync(Ct)).WaitAsync(Wait.Deadline, Ct));
        Assert.Contains("cannot be read", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Neither_an_interceptor_nor_telemetry_trips_over_it()
    {
        using var listener = new System.Diagnostics.ActivityListener
        {
            ShouldListenTo = static s => s.Name == "GlooX.Rpc",
            Sample = static (ref System.Diagnostics.ActivityCreationOptions<System.Diagnostics.ActivityContext> _) => System.Diagnostics.ActivitySamplingResult.AllData,
        };
        System.Diagnostics.ActivitySource.AddActivityListener(listener);
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { Interceptors = [new Refuser()], DrainTimeout = TimeSpan.Zero });
        it.Server.Add(new Unspeakable(), "unspeakable");
        var remote = it.Client.As<IUnspeakable>("unspeakable");
        foreach (bool later in (bool[])[false, true])
        {
            RpcException error = await Assert.ThrowsAsync<RpcException>(() => remote.FailAsync(later).WaitAsync(Wait.Deadline, Ct));
            Assert.Equal((RpcError.Remote, typeof(UnspeakableException).FullName), (error.Code, error.RemoteType));
        }

        RpcException refused = await Assert.ThrowsAsync<RpcException>(() => it.Remote.AddAsync(1, 2).AsTask().WaitAsync(Wait.Deadline, Ct));
        Assert.Equal((RpcError.Remote, typeof(UnspeakableException).FullName), (refused.Code, refused.RemoteType));
    }

    private sealed class Refuser : RpcInterceptor
    {
        public override void Admit(RpcCall call)
        {
            if (call.Method == "Add")
            {
                throw new UnspeakableException();
            }
        }
    }
}

public sealed class UnspeakableException : Exception
{
    public override string Message => throw new InvalidOperationException("it has no message");

    public override string ToString() => throw new InvalidOperationException("it has no text");
}

[RpcService]
public interface IUnspeakable
{
    Task FailAsync(bool later);

    IAsyncEnumerable<int> StreamAsync(CancellationToken ct);

    Task ReadAsync(IAsyncEnumerable<int> numbers);
}

public sealed class Unspeakable : IUnspeakable
{
    public Task FailAsync(bool later) => later ? FailLaterAsync() : throw new UnspeakableException();

    public IAsyncEnumerable<int> StreamAsync(CancellationToken ct) => FailingAsync(ct);

    public async Task ReadAsync(IAsyncEnumerable<int> numbers)
    {
        await foreach (int _ in numbers)
        {
        }
    }

    public static async IAsyncEnumerable<int> FailingAsync([EnumeratorCancellation] CancellationToken ct)
    {
        yield return 1;
        await Task.Yield();
        throw new UnspeakableException();
    }

    private static async Task FailLaterAsync()
    {
        await Task.Yield();
        throw new UnspeakableException();
    }
}
