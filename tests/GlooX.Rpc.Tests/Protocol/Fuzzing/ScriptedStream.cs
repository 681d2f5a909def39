using System.Net.Security;

namespace GlooX.Rpc.Tests.Protocol.Fuzzing;

/// <summary>The other side of a connection, played from bytes: gives one piece for each read, waits for the last word, hangs up.</summary>
/// <param name="script">What the other side says.</param>
/// <param name="lastWord">What it waits to hear before it hangs up; empty: nothing.</param>
internal sealed class ScriptedStream(IReadOnlyList<byte[]> script, byte[] lastWord) : SslStream(new MemoryStream())
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private readonly MemoryStream _written = new();
    private readonly TaskCompletionSource _heard = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _resumed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _offset;

    /// <summary>Whether the other side does not read before <see cref="Resume"/>.</summary>
    public bool IsStalled { get; init; }

    public int LargestWrite { get; private set; }

    /// <summary>How many pieces were read, the last of them perhaps not to its end.</summary>
    public int Taken { get; private set; }

    /// <summary>Whether the last word was said.</summary>
    public bool HasHeard => lastWord.Length == 0 || _heard.Task.IsCompleted;

    public byte[] Written
    {
        get
        {
            lock (_written)
            {
                return _written.ToArray();
            }
        }
    }

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (Taken > 0 && _offset < script[Taken - 1].Length)
        {
            ReadOnlyMemory<byte> left = script[Taken - 1].AsMemory(_offset);
            int length = Math.Min(buffer.Length, left.Length);
            left[..length].CopyTo(buffer);
            _offset += length;
            return new ValueTask<int>(length);
        }

        if (Taken == script.Count)
        {
            return HasHeard ? new ValueTask<int>(0) : HangUpAsync();
        }

        Taken++;
        _offset = 0;
        return ReadAsync(buffer, cancellationToken);
    }

    public void Resume() => _resumed.TrySetResult();

    public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (IsStalled)
        {
            await _resumed.Task.WaitAsync(cancellationToken);
        }

        lock (_written)
        {
            _written.Write(buffer.Span);
            LargestWrite = Math.Max(LargestWrite, buffer.Length);
        }

        if (lastWord.Length > 0 && buffer.Span.IndexOf(lastWord) >= 0)
        {
            _heard.TrySetResult();
        }
    }

    public override Task ShutdownAsync() => Task.CompletedTask;

    private async ValueTask<int> HangUpAsync()
    {
        try
        {
            await _heard.Task.WaitAsync(s_patience);
        }
        catch (TimeoutException)
        {
            // HasHeard tells
        }

        return 0;
    }
}
