using System.Collections;
using Microsoft.CSharp.RuntimeBinder;

namespace GlooX.Rpc.Tests.RpcRuntime;

/// <summary>Calls without a contract, as scripts write them.</summary>
public sealed class DynamicTests : IAsyncLifetime
{
    private Pair _pair = null!;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        _pair = await Pair.StartAsync(new Calculator());
        _pair.Server.Add(new Echo(), "echo");
        _pair.Server.Add(new Warehouse(), "warehouse");
    }

    public ValueTask DisposeAsync() => _pair.DisposeAsync();

    [Fact]
    public async Task A_method_is_called_by_its_name()
    {
        dynamic calculator = _pair.Client.Dynamic();
        int sum = await calculator.AddAsync(1, 2);
        long same = await calculator.Add(1, 2);
        Assert.Equal((3, 3L), (sum, same));
        string name = await calculator.Greet("größer");
        Assert.Equal("hello größer", name);
        Assert.True(await calculator.AddAsync(1, 2) == 3);
        Assert.Null(await calculator.ForgetAsync("it"));
        Assert.Equal(5, ((byte[])await calculator.BytesAsync(5)).Length);
    }

    [Fact]
    public async Task A_record_is_a_map_with_members_that_converts_to_the_record()
    {
        dynamic calculator = _pair.Client.Dynamic();
        var order = new Order("a", 21, ["x", "y"], new Order("b", 1, []));
        dynamic doubled = await calculator.DoubleAsync(order);
        Assert.Equal(42, (int)doubled.Amount);
        Assert.Equal("b", (string)doubled.Part.Name);
        Assert.Equal("y", (string)doubled.Tags[1]);
        Order back = doubled;
        Assert.Equal((42, "b", 2), (back.Amount, back.Part!.Name, back.Tags.Length));
        string[] tags = doubled.Tags;
        Assert.Equal(["x", "y"], tags);
        Assert.Throws<RuntimeBinderException>(() => doubled.Nothing);
        Assert.Equal(RpcError.BadResult, Assert.Throws<RpcException>(() => (OutOfStock)doubled).Code);

        IReadOnlyDictionary<string, object?> map = doubled;
        Assert.Equal(["Amount", "Name", "Part", "Tags"], map.Keys.Order());
        Assert.Equal(42, map["Amount"]);
        Assert.Equal(2, Assert.IsType<IReadOnlyList<object?>>(map["Tags"], exactMatch: false).Count);

        // What has come can be sent.
        Assert.Equal(84, (int)(await calculator.DoubleAsync(doubled)).Amount);
    }

    [Fact]
    public async Task A_service_has_a_name_and_its_values_any_type()
    {
        dynamic echo = _pair.Client.Dynamic("echo");
        List<Animal> animals = await echo.AnimalsAsync(new object[] { new object?[] { "Dog", new Dictionary<string, object?>(StringComparer.Ordinal) { ["Name"] = "rex", ["Age"] = 3 } } });
        Assert.Equal([new Dog("rex", 3)], animals);
        Dictionary<string, Point> points = await echo.MapAsync(new Dictionary<string, object?>(StringComparer.Ordinal) { ["a"] = new Point(1, 2) });
        Assert.Equal(new Point(1, 2), points["a"]);
        int[][] jagged = await echo.JaggedAsync(new[] { new[] { 1 }, [2, 3] });
        Assert.Equal([[1], [2, 3]], jagged);
        double number = await echo.DoubleAsync(1.5);
        Assert.Equal(1.5, number);
        ulong large = await echo.ULongAsync(ulong.MaxValue);
        Assert.Equal(ulong.MaxValue, large);
        Guid guid = await echo.GuidAsync(Guid.Empty);
        decimal money = await echo.DecimalAsync(1.10m);
        Assert.Equal((Guid.Empty, 1.10m), (guid, money));
        int count = 0;
        foreach (object? item in (IEnumerable)await echo.ArrayAsync(new[] { 1, 2, 3 }))
        {
            count += (int)item!;
        }

        Assert.Equal(6, count);
    }

    [Fact]
    public async Task It_fails_and_is_cancelled_as_any_call()
    {
        dynamic warehouse = _pair.Client.Dynamic("warehouse");
        RpcException e = await Assert.ThrowsAsync<RpcException>(async () => await warehouse.TakeAsync("bolt", 7));
        Assert.Equal(3, e.RemoteDetail!.Read<OutOfStock>()!.Left);
        e = await Assert.ThrowsAsync<RpcException>(async () => await warehouse.NothingAsync());
        Assert.Equal(RpcError.MethodNotFound, e.Code);

        using var stop = CancellationTokenSource.CreateLinkedTokenSource(Ct);
        dynamic calculator = _pair.Client.Dynamic();
        Task hanging = calculator.HangAsync("x", stop.Token);
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => hanging);
    }
}
