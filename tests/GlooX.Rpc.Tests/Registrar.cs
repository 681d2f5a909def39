using System.Collections.Concurrent;

namespace GlooX.Rpc.Tests;

[RpcService]
public interface IRegistrar
{
    /// <summary>Notes the number.</summary>
    ValueTask<int> NoteAsync(int id);

    /// <summary>Notes the number and waits until released.</summary>
    Task<int> HoldAsync(int id);

    /// <summary>As <see cref="HoldAsync"/>.</summary>
    [Rpc(Idempotent = true)]
    Task<int> HoldAgainAsync(int id);

    /// <summary>As <see cref="HoldAsync"/>, without a result.</summary>
    [Rpc(Idempotent = true)]
    Task HoldAgainQuietlyAsync(int id);

    /// <summary>As <see cref="HoldAsync"/>.</summary>
    [Rpc(Idempotent = true, TimeoutMilliseconds = 1000)]
    Task<int> HoldAgainBrieflyAsync(int id);
}

/// <summary>Knows how often each call was executed.</summary>
public sealed class Registrar : IRegistrar
{
    private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ConcurrentDictionary<int, int> _notes = new();

    public IReadOnlyDictionary<int, int> Notes => _notes;

    public int Times(int id) => _notes.GetValueOrDefault(id);

    public void Release() => _released.TrySetResult();

    public ValueTask<int> NoteAsync(int id)
    {
        _notes.AddOrUpdate(id, 1, static (_, times) => times + 1);
        return new(id);
    }

    public async Task<int> HoldAsync(int id)
    {
        await NoteAsync(id);
        await _released.Task;
        return id;
    }

    public Task<int> HoldAgainAsync(int id) => HoldAsync(id);

    public Task HoldAgainQuietlyAsync(int id) => HoldAsync(id);

    public Task<int> HoldAgainBrieflyAsync(int id) => HoldAsync(id);
}
