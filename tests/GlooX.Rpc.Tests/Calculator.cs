using System.Collections.Concurrent;

namespace GlooX.Rpc.Tests;

[RpcService]
public interface ICalculator
{
    ValueTask<int> AddAsync(int a, int b);

    Task<Order> DoubleAsync(Order order, CancellationToken ct);

    Task ForgetAsync(string what);

    Task FailAsync(string why);

    Task<byte[]> BytesAsync(int count);

    Task<int> SizeAsync(byte[] bytes);

    Task<string> HangAsync(string key, CancellationToken ct);

    [Rpc("impatient", TimeoutMilliseconds = 50)]
    Task<string> ImpatientAsync(CancellationToken ct);

    [Rpc("deaf", TimeoutMilliseconds = 50)]
    Task<string> DeafAsync();
}

public sealed record Order(string Name, int Amount, string[] Tags, Order? Part = null);

public sealed class OddException(string message) : Exception(message);

/// <summary>What the tests call. Handlers say through <see cref="Entered"/> that they have begun, through <see cref="Ended"/> that they were cancelled.</summary>
public sealed class Calculator : ICalculator
{
    private readonly TaskCompletionSource _release = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ConcurrentQueue<string> Forgotten { get; } = new();

    public TaskCompletionSource Entered { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public TaskCompletionSource Ended { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public ValueTask<int> AddAsync(int a, int b) => ValueTask.FromResult(a + b);

    public Task<Order> DoubleAsync(Order order, CancellationToken ct) => Task.FromResult(order with { Amount = order.Amount * 2 });

    public async Task ForgetAsync(string what)
    {
        await Task.Yield();
        Forgotten.Enqueue(what);
    }

    public Task FailAsync(string why) => throw new OddException(why);

    public Task<byte[]> BytesAsync(int count) => Task.FromResult(new byte[count]);

    public Task<int> SizeAsync(byte[] bytes) => Task.FromResult(bytes.Length);

    public async Task<string> HangAsync(string key, CancellationToken ct)
    {
        Entered.TrySetResult();
        try
        {
            await Task.Delay(Timeout.Infinite, ct);
            return key;
        }
        catch (OperationCanceledException)
        {
            Ended.TrySetResult();
            throw;
        }
    }

    public Task<string> ImpatientAsync(CancellationToken ct) => HangAsync("", ct);

    public async Task<string> DeafAsync()
    {
        await _release.Task;
        return "";
    }

    public void Release() => _release.TrySetResult();

    [Rpc]
    public string Greet(string name) => $"hello {name}";

    [Rpc]
    public string Name() => "calculator";
}
