namespace GlooX.Rpc.Tests.RpcRuntime;

public sealed record OutOfStock(string Sku, int Left, Guid? Order = null);

public sealed record Banned(string Why);

public sealed record Unnamed(int Number);

[RpcService]
[RpcFault(typeof(OutOfStock))]
public interface IWarehouse
{
    [RpcFault(typeof(Banned))]
    Task<int> TakeAsync(string sku, int count);

    Task WithoutResultAsync(string sku);

    IAsyncEnumerable<int> ListAsync(string sku);

    Task<int> PutAsync(IAsyncEnumerable<int> counts);

    Task<int> AskAsync(IWarehouse other, string sku);
}

/// <summary>Failures with facts, as whoever threw them meant them.</summary>
public sealed class FaultTests : IAsyncLifetime
{
    private Pair _pair = null!;

    private IWarehouse Remote => _pair.Client.As<IWarehouse>();

    public async ValueTask InitializeAsync() => _pair = await Pair.StartAsync(new Warehouse());

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    [Fact]
    public async Task A_caller_catches_what_its_contract_names()
    {
        RpcFault<OutOfStock> e = await Assert.ThrowsAsync<RpcFault<OutOfStock>>(() => Remote.TakeAsync("bolt", 7));
        Assert.Equal(new OutOfStock("bolt", 3, Guid.Empty), e.Detail);
        Assert.Equal((RpcError.Remote, "only 3 left", "GlooX.RpcFault", "Take"), (e.Code, e.Message, e.RemoteType, e.Method));
        Assert.Equal(_pair.Server.Url, e.Url);

        RpcFault<Banned> banned = await Assert.ThrowsAsync<RpcFault<Banned>>(() => Remote.TakeAsync("bomb", 1));
        Assert.Equal("no", banned.Detail.Why);
        Assert.Equal("Banned: Banned { Why = no }", banned.Message);
    }

    [Fact]
    public async Task A_detail_that_the_contract_does_not_name_can_be_read()
    {
        RpcException e = await Assert.ThrowsAsync<RpcException>(() => Remote.TakeAsync("odd", 1));
        Assert.Equal((RpcError.Remote, typeof(Unnamed).FullName), (e.Code, e.RemoteDetail!.Type));
        Assert.Equal(new Unnamed(9), e.RemoteDetail.Read<Unnamed>());
        Assert.Equal(9L, Assert.IsType<IReadOnlyDictionary<string, object?>>(e.RemoteDetail.Read<object>(), exactMatch: false)["Number"]);
        Assert.Equal(RpcError.BadResult, Assert.Throws<RpcException>(() => e.RemoteDetail.Read<int>()).Code);

        // Named for another method only.
        e = await Assert.ThrowsAsync<RpcException>(() => Remote.WithoutResultAsync("bomb"));
        Assert.Equal("no", e.RemoteDetail!.Read<Banned>()!.Why);
    }

    [Fact]
    public async Task An_untyped_caller_gets_the_detail_too()
    {
        RpcException e = await Assert.ThrowsAsync<RpcException>(async () => await _pair.Client.CallAsync<int>("Take", "bolt", 7));
        Assert.Equal(3, e.RemoteDetail!.Read<OutOfStock>()!.Left);
    }

    [Fact]
    public async Task Calls_without_a_result_and_streams_fail_with_details()
    {
        Assert.Equal(3, (await Assert.ThrowsAsync<RpcFault<OutOfStock>>(() => Remote.WithoutResultAsync("bolt"))).Detail.Left);

        var seen = new List<int>();
        RpcFault<OutOfStock> e = await Assert.ThrowsAsync<RpcFault<OutOfStock>>(async () =>
        {
            await foreach (int count in Remote.ListAsync("bolt"))
            {
                seen.Add(count);
            }
        });
        Assert.Equal([1, 2], seen);
        Assert.Equal(3, e.Detail.Left);
    }

    [Fact]
    public async Task What_a_callers_stream_or_object_fails_with_passes_through_the_handler()
    {
        Assert.Equal(4, (await Assert.ThrowsAsync<RpcFault<OutOfStock>>(() => Remote.PutAsync(Failing()))).Detail.Left);
        Assert.Equal(3, (await Assert.ThrowsAsync<RpcFault<OutOfStock>>(() => Remote.AskAsync(new Warehouse(), "bolt"))).Detail.Left);

        static async IAsyncEnumerable<int> Failing()
        {
            yield return 1;
            await Task.Yield();
            throw new RpcFault<OutOfStock>(new OutOfStock("nut", 4));
        }
    }

    [Fact]
    public async Task A_detail_that_does_not_fit_or_cannot_be_sent_is_still_a_failure()
    {
        RpcException e = await Assert.ThrowsAsync<RpcException>(() => Remote.TakeAsync("deep", 1));
        Assert.Equal((RpcError.Remote, null), (e.Code, e.RemoteDetail));
        Assert.StartsWith("too deep (its detail cannot be sent: ", e.Message, StringComparison.Ordinal);

        await using RpcClient small = new RpcClient(_pair.Server.Url, new RpcClientOptions { Identity = Harness.Shared, MaxFrameBytes = 2000 });
        e = await Assert.ThrowsAsync<RpcException>(() => small.As<IWarehouse>().TakeAsync("large", 1));
        Assert.Equal((RpcError.Remote, null), (e.Code, e.RemoteDetail));
    }
}

internal sealed record Chain(int Depth, Chain? Next);

internal sealed class Warehouse : IWarehouse
{
    public Task<int> TakeAsync(string sku, int count) => sku switch
    {
        "bolt" => throw new RpcFault<OutOfStock>(new OutOfStock(sku, 3, Guid.Empty), "only 3 left"),
        "bomb" => throw new RpcFault<Banned>(new Banned("no")),
        "odd" => throw new RpcFault<Unnamed>(new Unnamed(9)),
        "large" => throw new RpcFault<Banned>(new Banned(new string('x', 5000))),
        "deep" => throw new RpcFault<Chain>(Enumerable.Range(0, 100).Aggregate((Chain?)null, static (next, depth) => new Chain(depth, next))!, "too deep"),
        _ => Task.FromResult(count),
    };

    public Task WithoutResultAsync(string sku) => TakeAsync(sku, 1);

    public async IAsyncEnumerable<int> ListAsync(string sku)
    {
        yield return 1;
        yield return 2;
        yield return await TakeAsync(sku, 1);
    }

    public async Task<int> PutAsync(IAsyncEnumerable<int> counts) => await counts.SumAsync();

    public Task<int> AskAsync(IWarehouse other, string sku) => other.TakeAsync(sku, 1);
}
