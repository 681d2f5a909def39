using System.Net.Security;
using System.Security.Cryptography;
using GlooX.Tls;
using Nerdbank.MessagePack;

namespace GlooX.Wire;

/// <summary>
/// One connection: a loop that reads frames, and a writer that puts whatever is ready into one TLS record.
/// When the other side is gone, stalls or breaks the protocol, the connection closes with the reason and stays closed.
/// </summary>
/// <remarks>
/// Sending: a frame is written into thread-local scratch without a lock, copied under a short one into the batch that is being filled,
/// and the batch is written by whoever finds nobody writing. Alone in flight it is written at once (latency); otherwise the flush goes
/// to the end of the thread pool's queue, so that callers which are ready too join the batch (throughput).
/// </remarks>
internal abstract class WireConnection : IThreadPoolWorkItem
{
    private const int SmallBuffer = 4 * 1024;
    private const int ReadBuffer = 64 * 1024;
    private const int KeepBatch = 256 * 1024;

    private readonly SslStream _stream;
    private readonly int _maxFrame;
    private readonly int _highWater;
    private readonly Lock _gate = new();
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private FrameBuffer _filling = new(SmallBuffer);
    private FrameBuffer _sending = new(SmallBuffer);
    private TaskCompletionSource? _drained;
    private bool _flushing;
    private Exception? _closeReason;
    private int _inFlight;

    protected WireConnection(TlsConnection connection, int maxFrame, int highWater)
    {
        _stream = connection.Stream;
        Remote = connection.Remote;
        _maxFrame = maxFrame;
        _highWater = highWater;
    }

    /// <summary>The other side, for messages.</summary>
    public string Remote { get; }

    /// <summary>Completes, without an exception, when the connection is closed.</summary>
    public Task Closed => _closed.Task;

    public bool IsClosed => Volatile.Read(ref _closeReason) is not null;

    public Exception? CloseReason => Volatile.Read(ref _closeReason);

    /// <summary>True while the other side reads slower than this side writes: wait with <see cref="DrainAsync"/> before sending more.</summary>
    public bool IsCongested => Volatile.Read(ref _filling).Length > _highWater;

    /// <summary>Largest frame that the other side accepts.</summary>
    protected int PeerMaxFrame { get; set; } = int.MaxValue;

    protected int InFlight => Volatile.Read(ref _inFlight);

    void IThreadPoolWorkItem.Execute() => _ = FlushAsync();

    /// <summary>Waits until the batch has gone out, or the connection is closed.</summary>
    public async ValueTask DrainAsync(CancellationToken ct)
    {
        while (true)
        {
            Task drained;
            lock (_gate)
            {
                if (_closeReason is not null || _filling.Length <= _highWater)
                {
                    return;
                }

                _drained ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                drained = _drained.Task;
            }

            await drained.WaitAsync(ct).ConfigureAwait(false);
        }
    }

    /// <summary>Completes the frame in <paramref name="scratch"/> and sends it. False: the connection is closed.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.TooLarge"/>: larger than the other side accepts; nothing was sent.</exception>
    public bool Send(FrameBuffer scratch)
    {
        ReadOnlySpan<byte> frame = scratch.End();
        if (frame.Length > PeerMaxFrame)
        {
            throw new RpcException(RpcError.TooLarge, $"a message of {frame.Length} bytes is larger than the {PeerMaxFrame} bytes that {Remote} accepts") { Url = Remote };
        }

        lock (_gate)
        {
            if (_closeReason is not null)
            {
                return false;
            }

            _filling.Append(frame);
            if (_flushing)
            {
                return true;
            }

            _flushing = true;
        }

        if (Volatile.Read(ref _inFlight) <= 1)
        {
            _ = FlushAsync();
        }
        else
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }

        return true;
    }

    /// <summary>Closes the connection; the first reason stays.</summary>
    public void Close(Exception reason)
    {
        lock (_gate)
        {
            if (_closeReason is not null)
            {
                return;
            }

            Volatile.Write(ref _closeReason, reason);
            _drained?.TrySetResult();
        }

        _stream.Dispose();
        OnClosed(reason);
        _closed.TrySetResult();
    }

    /// <summary>Sends what waits, then closes: for a last word such as a refusal.</summary>
    public async Task FinishAsync(Exception reason, TimeSpan limit)
    {
        long until = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        while (Environment.TickCount64 < until)
        {
            lock (_gate)
            {
                if (_closeReason is not null || (!_flushing && _filling.Length == 0))
                {
                    break;
                }
            }

            await Task.Delay(1).ConfigureAwait(false);
        }

        try
        {
            await _stream.ShutdownAsync().WaitAsync(TimeSpan.FromSeconds(1)).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException or TimeoutException or CryptographicException)
        {
            // the other side is gone already: closing is all that is left
        }

        Close(reason);
    }

    /// <summary>Reads frames until the connection ends. Never throws: the reason is in <see cref="CloseReason"/>.</summary>
    public async Task ReadLoopAsync()
    {
        byte[] buffer = new byte[SmallBuffer];
        int start = 0;
        int end = 0;
        Exception reason;
        try
        {
            while (true)
            {
                int read = await _stream.ReadAsync(buffer.AsMemory(end)).ConfigureAwait(false);
                if (read == 0)
                {
                    reason = new RpcException(RpcError.Connection, $"{Remote} closed the connection") { Url = Remote };
                    break;
                }

                end += read;
                bool full = end == buffer.Length;
                int needed;
                while (Frame.TryRead(buffer.AsSpan(start, end - start), _maxFrame, out int offset, out int length, out FrameType type, out uint id, out needed))
                {
                    OnFrame(type, id, buffer.AsMemory(start + offset, length));
                    start += offset + length;
                }

                if (start == end)
                {
                    start = end = 0;
                    if (buffer.Length > ReadBuffer)
                    {
                        buffer = new byte[ReadBuffer];
                    }
                }

                // Memory grows with what has arrived, never with what a length only promises.
                int have = end - start;
                int size = full && buffer.Length < ReadBuffer ? buffer.Length * 4 : buffer.Length;
                if (needed > size && have * 2 > size)
                {
                    size = (int)Math.Min(needed, size * 4L);
                }

                if (size != buffer.Length || (start > 0 && (end == buffer.Length || start + needed > buffer.Length)))
                {
                    byte[] target = size == buffer.Length ? buffer : new byte[size];
                    buffer.AsSpan(start, have).CopyTo(target);
                    (buffer, start, end) = (target, 0, have);
                }

                if (IsCongested)
                {
                    await DrainAsync(CancellationToken.None).ConfigureAwait(false);
                }
            }
        }
        catch (RpcException e)
        {
            reason = e;
            await SayGoAwayAsync(e).ConfigureAwait(false);
        }
        catch (Exception e) when (e is MessagePackSerializationException or EndOfStreamException or OverflowException)
        {
            reason = new RpcException(RpcError.Protocol, $"{Remote} sent a malformed frame: {e.Message}", e) { Url = Remote };
            await SayGoAwayAsync((RpcException)reason).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException or System.Security.Authentication.AuthenticationException)
        {
            reason = new RpcException(RpcError.Connection, $"the connection to {Remote} broke: {e.InnerException?.Message ?? e.Message}", e) { Url = Remote };
        }

        Close(reason);
    }

    protected void CallStarted() => Interlocked.Increment(ref _inFlight);

    protected void CallEnded() => Interlocked.Decrement(ref _inFlight);

    /// <summary>Handles one frame on the reader loop; <paramref name="body"/> is valid only during the call.</summary>
    /// <exception cref="RpcException">Ends the connection with this reason; the other side is told.</exception>
    protected abstract void OnFrame(FrameType type, uint id, ReadOnlyMemory<byte> body);

    /// <summary>The connection has closed; called once.</summary>
    protected abstract void OnClosed(Exception reason);

    protected Task SayGoAwayAsync(RpcException reason)
    {
        FrameBuffer goAway = FrameBuffer.Begin(FrameType.GoAway, 0);
        Bodies.WriteGoAway(goAway, reason.Code, reason.Message);
        Send(goAway);
        return FinishAsync(reason, TimeSpan.FromSeconds(1));
    }

    private async Task FlushAsync()
    {
        try
        {
            while (true)
            {
                FrameBuffer batch;
                lock (_gate)
                {
                    if (_filling.Length == 0 || _closeReason is not null)
                    {
                        _flushing = false;
                        return;
                    }

                    batch = _filling;
                    Volatile.Write(ref _filling, _sending);
                    _sending = batch;
                    if (_drained is not null)
                    {
                        _drained.TrySetResult();
                        _drained = null;
                    }
                }

                await _stream.WriteAsync(batch.Written).ConfigureAwait(false);
                batch.Clear(KeepBatch);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException or OperationCanceledException)
        {
            Close(new RpcException(RpcError.Connection, $"the connection to {Remote} broke: {e.InnerException?.Message ?? e.Message}", e) { Url = Remote });
        }
    }
}
