namespace GlooX.Rpc.Tests.Hostile;

[RpcService]
public interface IPatient
{
    Task WaitAsync(CancellationToken ct);

    Task KeepAsync(byte[] bytes, CancellationToken ct);
}

/// <summary>Its calls end when they are cancelled, and not before.</summary>
public sealed class Patient : IPatient
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private readonly SemaphoreSlim _begun = new(0);
    private readonly SemaphoreSlim _ended = new(0);
    private int _calls;

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
