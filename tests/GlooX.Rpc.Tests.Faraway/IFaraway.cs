using GlooX;

namespace Faraway;

[RpcService]
public interface IFaraway
{
    Task<int> AddAsync(int a, int b);

    /// <summary>The caller's address and port, which tell connections apart.</summary>
    Task<string> WhoAsync();

    [Rpc(TimeoutMilliseconds = -1)]
    Task HangAsync(CancellationToken ct);

    IAsyncEnumerable<int> CountAsync(int count, CancellationToken ct);

    Task<long> SumAsync(IAsyncEnumerable<int> numbers);
}

/// <summary>Tells on its output what becomes of calls.</summary>
public sealed class Target : IFaraway
{
    public Task<int> AddAsync(int a, int b) => Task.FromResult(a + b);

    public Task<string> WhoAsync() => Task.FromResult(RpcCall.Current!.Caller);

    public async Task HangAsync(CancellationToken ct)
    {
        Console.WriteLine("entered");
        try
        {
            await Task.Delay(Timeout.Infinite, ct);
        }
        finally
        {
            Console.WriteLine("cancelled");
        }
    }

    public async IAsyncEnumerable<int> CountAsync(int count, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken ct)
    {
        for (int i = 0; i < count; i++)
        {
            yield return i;
        }

        await Task.CompletedTask;
    }

    public async Task<long> SumAsync(IAsyncEnumerable<int> numbers)
    {
        long sum = 0;
        await foreach (int number in numbers)
        {
            sum += number;
        }

        return sum;
    }
}
