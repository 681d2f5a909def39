namespace GlooX.Rpc.Tests;

/// <summary>Arguments and results of every kind that can travel.</summary>
[RpcService]
public interface ISink
{
    ValueTask<long> NumbersAsync(sbyte a, byte b, short c, ushort d, int e, uint f, long g, ulong h);

    Task<string> TextAsync(string a, string? b, bool c, float d, double e);

    Task<byte[]> BytesAsync(byte[] a, CancellationToken ct);

    Task<Order> RecordAsync(Order order);

    Task<int[]> ListsAsync(int[] a, string[] b, List<double> c, int d = 5);

    Task<Dictionary<string, long>> MapsAsync(Dictionary<string, long> a, Dictionary<int, Order> b);

    Task<object?> AnythingAsync(object? anything);

    Task<Moment> MomentAsync(Moment moment, DayOfWeek day, CancellationToken ct);

    Task NothingAsync();

    Task<long> CountAsync(IAsyncEnumerable<int> numbers, IAsyncEnumerable<Order> orders);

    IAsyncEnumerable<Order> RepeatAsync(Order order, byte times);

    [Rpc(OneWay = true)]
    Task ForgetAsync(string what);
}

public sealed record Moment(DateTime At, DateTimeOffset Precisely, TimeSpan For, Guid Id, decimal? Price, HashSet<string> Tags, Dictionary<string, Order>? Parts);

/// <summary>Gives back what it gets.</summary>
public sealed class Sink : ISink
{
    public ValueTask<long> NumbersAsync(sbyte a, byte b, short c, ushort d, int e, uint f, long g, ulong h) => new(unchecked(a + b + c + d + e + f + g + (long)h));

    public Task<string> TextAsync(string a, string? b, bool c, float d, double e) => Task.FromResult(a + b);

    public Task<byte[]> BytesAsync(byte[] a, CancellationToken ct) => Task.FromResult(a);

    public Task<Order> RecordAsync(Order order) => Task.FromResult(order);

    public Task<int[]> ListsAsync(int[] a, string[] b, List<double> c, int d = 5) => Task.FromResult(a);

    public Task<Dictionary<string, long>> MapsAsync(Dictionary<string, long> a, Dictionary<int, Order> b) => Task.FromResult(a);

    public Task<object?> AnythingAsync(object? anything) => Task.FromResult(anything);

    public Task<Moment> MomentAsync(Moment moment, DayOfWeek day, CancellationToken ct) => Task.FromResult(moment);

    public Task NothingAsync() => Task.CompletedTask;

    public async Task<long> CountAsync(IAsyncEnumerable<int> numbers, IAsyncEnumerable<Order> orders)
    {
        long count = 0;
        await foreach (int _ in numbers)
        {
            count++;
        }

        await foreach (Order _ in orders)
        {
            count++;
        }

        return count;
    }

    public async IAsyncEnumerable<Order> RepeatAsync(Order order, byte times)
    {
        for (int i = 0; i < times; i++)
        {
            yield return order;
        }

        await Task.CompletedTask;
    }

    public Task ForgetAsync(string what) => Task.CompletedTask;
}
