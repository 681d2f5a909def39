using System.Runtime.CompilerServices;

namespace GlooX.Rpc.Tests;

[RpcService]
public interface IPatient
{
    Task WaitAsync(CancellationToken ct);

    Task KeepAsync(byte[] bytes, CancellationToken ct);

    /// <summary>Reads all.</summary>
    Task ReadAsync(IAsyncEnumerable<byte[]> items);

    /// <summary>Reads nothing.</summary>
    Task IgnoreAsync(IAsyncEnumerable<byte[]> items, CancellationToken ct);

    IAsyncEnumerable<int> DripAsync(CancellationToken ct);

    [Rpc(OneWay = true)]
    Task HoldAsync();
}

/// <summary>Its calls end when they are cancelled, and not before.</summary>
public sealed class Patient : IPatient
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private readonly SemaphoreSlim _begun = new(0);
    private readonly SemaphoreSlim _ended = new(0);
    private readonly SemaphoreSlim _release = new(0);
    private readonly Lock _gate = new();
    private int _calls;
    private int _held;

    /// <summary>Most calls that were held at once.</summary>
    public int MostHeld { get; private set; }

    public async Task WaitAsync(CancellationToken ct)
    {
        Interlocked.Increment(ref _calls);
        _begun.Release();
        try
        {
            await Task.Delay(Timeout.Infinite, ct);
        }
        finally
        {
            _ended.Release();
        }
    }

    public Task KeepAsync(byte[] bytes, CancellationToken ct) => WaitAsync(ct);

    public async Task ReadAsync(IAsyncEnumerable<byte[]> items)
    {
        Interlocked.Increment(ref _calls);
        _begun.Release();
        try
        {
            await foreach (byte[] _ in items)
            {
            }
        }
        finally
        {
            _ended.Release();
        }
    }

    public Task IgnoreAsync(IAsyncEnumerable<byte[]> items, CancellationToken ct) => WaitAsync(ct);

    public async IAsyncEnumerable<int> DripAsync([EnumeratorCancellation] CancellationToken ct)
    {
        yield return 1;
        await WaitAsync(ct);
    }

    public async Task HoldAsync()
    {
        lock (_gate)
        {
            MostHeld = Math.Max(MostHeld, ++_held);
        }

        _begun.Release();
        await _release.WaitAsync();
        lock (_gate)
        {
            _held--;
        }

        _ended.Release();
    }

    public void Release(int calls) => _release.Release(calls);

    public async Task HasBegunAsync(int calls)
    {
        for (int i = 0; i < calls; i++)
        {
            Assert.True(await _begun.WaitAsync(s_patience), $"only {i} of {calls} calls have begun");
        }
    }

    public async Task EveryCallHasEndedAsync()
    {
        for (int i = 0; i < Volatile.Read(ref _calls); i++)
        {
            Assert.True(await _ended.WaitAsync(s_patience), $"only {i} of {_calls} calls have ended");
        }
    }
}
