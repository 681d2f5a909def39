using System.Runtime.CompilerServices;

namespace GlooX.Bench.Soak;

[RpcService]
internal interface ISoak
{
    /// <summary>Is on disk before it is answered.</summary>
    Task OnceAsync(long id);

    Task<string> EchoAsync(string text);

    Task<byte[]> BytesAsync(byte[] bytes);

    Task HangAsync(CancellationToken ct);

    IAsyncEnumerable<int> CountAsync(int count, CancellationToken ct);

    Task<long> SumAsync(IAsyncEnumerable<int> numbers);

    Task<(long Resident, int Handles)> SizeAsync();
}

/// <summary>Writes down each execution in a file that outlives the process.</summary>
internal sealed class SoakTarget(string journal) : ISoak, IDisposable
{
    private readonly FileStream _journal = new(journal, FileMode.Append, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
    private readonly Lock _gate = new();

    public Task OnceAsync(long id)
    {
        lock (_gate)
        {
            _journal.Write(BitConverter.GetBytes(id)); // with the kernel when this returns: it survives the end of the process
        }

        return Task.CompletedTask;
    }

    public Task<string> EchoAsync(string text) => Task.FromResult(text);

    public Task<byte[]> BytesAsync(byte[] bytes) => Task.FromResult(bytes);

    public Task HangAsync(CancellationToken ct) => Task.Delay(Timeout.Infinite, ct);

    public async IAsyncEnumerable<int> CountAsync(int count, [EnumeratorCancellation] CancellationToken ct)
    {
        await Task.Yield();
        for (int i = 0; i < count && !ct.IsCancellationRequested; i++)
        {
            yield return i;
        }
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

    public Task<(long Resident, int Handles)> SizeAsync() => Task.FromResult(ProcessSize.Read());

    public void Dispose() => _journal.Dispose();
}

internal static class ProcessSize
{
    /// <summary>Of this process, after a collection: what is left is held.</summary>
    public static (long Resident, int Handles) Read()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect();
        return (Environment.WorkingSet, Directory.GetFileSystemEntries("/proc/self/fd").Length);
    }
}
