using System.Collections.Concurrent;
using System.Diagnostics;
using System.Diagnostics.CodeAnalysis;
using System.Net.Security;
using System.Runtime.CompilerServices;
using GlooX.Server;
using GlooX.Tls;
using GlooX.Transport.Linux;
using Nerdbank.MessagePack;

namespace GlooX.Protocol;

/// <summary>
/// One connection: a loop that reads frames, a queue of the work that they brought, and a batch of frames that go out in one TLS record.
/// When the other side is gone, stalls or breaks the protocol, the connection closes with the reason and stays closed.
/// </summary>
/// <remarks>
/// <para>
/// Work (a request to serve, an answer to hand over) runs users' code. When its method is known to be quick, the thread of an
/// <see cref="EventLoop"/> that read it runs it too, after the next read has been started; if it blocks all the same, the loop's monitor
/// calls for rescue. All other work runs on <see cref="HandlerThreads"/>. Either way, work that blocks holds up itself alone.
/// </para>
/// <para>
/// Sending: a frame is written into thread-local scratch without a lock and copied under a short one into the batch that is being filled.
/// Alone in flight it is written at once (latency); otherwise by whoever finds no more work to run, so that all that became ready
/// together goes out together (throughput). A frame that waits always has somebody on the way to send it.
/// </para>
/// </remarks>
internal abstract class WireConnection : IThreadPoolWorkItem, IInlineWork, IHandlerQueue
{
    private const int SmallBuffer = 4 * 1024;
    private const int ReadBuffer = 64 * 1024;
    // Kept while the connection is in use: to make it anew for each batch costs a collection of the oldest generation now and then.
    private const int KeepBatch = 1024 * 1024;

    // One TLS record: what waits for more beyond it holds up the other side.
    private const int FullBatch = 16 * 1024;

    // What is written at once, if so much has come together. Each such piece that had to wait, and went through, tells that the other side
    // lives.
    private const int WriteSlice = 64 * 1024;

    // In milliseconds; then the room for batches is given back.
    private const int Quiet = 1000;

    // Quick runs that are timed together: to look at the clock costs a percent of a small call.
    private const int Measured = 16;

    // What one thread does before it gives way.
    private static readonly long s_longRun = Stopwatch.Frequency / 4_000;

    private readonly SslStream _stream;
    private readonly SocketStream? _socket;
    private readonly int _maxFrame;
    private readonly int _highWater;
    private readonly Lock _gate = new();
    private readonly ConcurrentQueue<IWork> _ready = new();
    private readonly ConcurrentQueue<IWork> _slow = new(); // ready, and not to be run by the loop
    private readonly TaskCompletionSource _closed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private FrameBuffer _filling = new(SmallBuffer);
    private FrameBuffer _sending = new(SmallBuffer);
    private TaskCompletionSource? _drained;
    private bool _flushing;
    private Exception? _closeReason;
    private int _flushQueued;
    private int _workQueued;
    private int _inline; // the thread of a loop that runs work
    private MethodTrust? _running; // what it runs
    private int _held; // work waits for the next batch to be taken
    private long _heard = Environment.TickCount64;
    private long _asked;

    protected WireConnection(TlsConnection connection, int maxFrame, int highWater)
    {
        _stream = connection.Stream;
        _socket = connection.Transport as SocketStream;
        Remote = connection.Remote;
        LocalAddress = connection.LocalAddress;
        _maxFrame = maxFrame;
        _highWater = highWater;
    }

    /// <summary>The other side, for messages.</summary>
    public string Remote { get; }

    /// <summary>The address of this machine that the connection uses; null for a UNIX-domain socket.</summary>
    public System.Net.IPAddress? LocalAddress { get; }

    /// <summary>Completes, without an exception, when the connection is closed.</summary>
    public Task Closed => _closed.Task;

    public bool IsClosed => Volatile.Read(ref _closeReason) is not null;

    public Exception? CloseReason => Volatile.Read(ref _closeReason);

    /// <summary>True while the other side reads slower than this side writes: wait with <see cref="DrainAsync"/> before sending more.</summary>
    public bool IsCongested => Volatile.Read(ref _filling).Length > _highWater;

    /// <summary>True when far more waits to be sent than can be this side's own doing.</summary>
    protected bool IsFlooded => Volatile.Read(ref _filling).Length > 4L * _highWater;

    /// <summary>Largest frame that the other side accepts.</summary>
    protected int PeerMaxFrame { get; set; } = int.MaxValue;

    /// <summary>What bounds the frames that are under way to this side, with those of other connections; null: nothing but each frame's size.</summary>
    protected virtual FrameMemory? FrameMemory => null;

    /// <summary>True while no more may be read because this side has too much to do that it cannot refuse.</summary>
    protected virtual bool IsFull => false;

    /// <summary>
    /// Whether this side reads on though the other does not read. Of two sides one must, or each might wait for the other.
    /// </summary>
    protected virtual bool AlwaysReads => false;

    /// <summary>Calls that are made or served.</summary>
    protected abstract int InFlight { get; }

    /// <summary>What runs the work that the loop does not.</summary>
    protected abstract HandlerThreads Threads { get; }

    /// <summary>Whether work that was read is to wait: until the other side has read what was sent to it.</summary>
    protected virtual bool HoldsWork => false;

    void IThreadPoolWorkItem.Execute()
    {
        Interlocked.Exchange(ref _flushQueued, 0);
        Flush();
    }

    void IInlineWork.Rescue()
    {
        Volatile.Read(ref _running)?.Blocked(Environment.TickCount64);
        Interlocked.Exchange(ref _inline, 0);
        QueueFlush();
        QueueWork();
    }

    void IHandlerQueue.RunNext()
    {
        Interlocked.Exchange(ref _workQueued, 0);
        RunReady(isInline: false);
    }

    void IHandlerQueue.Refuse()
    {
        for (int count = _slow.Count; count > 0 && !HoldsWork && _slow.TryDequeue(out IWork? work); count--)
        {
            if (!work.TryRefuse(Threads.Most))
            {
                _slow.Enqueue(work);
            }
        }

        if (!_ready.IsEmpty)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static c => c.RunQuick(), this, preferLocal: false);
        }
    }

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
    /// <param name="scratch">From <see cref="FrameBuffer.Begin"/>.</param>
    /// <param name="isUrgent">False: others are about to follow.</param>
    /// <exception cref="RpcException"><see cref="RpcError.TooLarge"/>: larger than the other side accepts; nothing was sent.</exception>
    public bool Send(FrameBuffer scratch, bool isUrgent = true)
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
        }

        if (isUrgent ? InFlight <= 1 : Volatile.Read(ref _filling).Length >= FullBatch)
        {
            Flush();
        }
        else if (Volatile.Read(ref _inline) != Environment.CurrentManagedThreadId)
        {
            QueueFlush();
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
        Flush();
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
        catch (Exception)
        {
            // The other side is gone already, and OpenSSL has exceptions of its own for that: closing is all that is left.
        }

        Close(reason);
    }

    /// <summary>Reads frames until the connection ends. Never throws: the reason is in <see cref="CloseReason"/>.</summary>
    public async Task ReadLoopAsync()
    {
        _socket?.ReadInline();
        byte[] buffer = new byte[SmallBuffer];
        int start = 0;
        int end = 0;
        long taken = 0; // of the frames' memory
        Exception reason;
        try
        {
            while (true)
            {
                ValueTask<int> reading = _stream.ReadAsync(buffer.AsMemory(end));
                if (reading.IsCompleted)
                {
                    QueueWork();
                }

                int read = await new ReadThenRun(reading, this);
                if (read == 0)
                {
                    reason = new RpcException(RpcError.Connection, $"{Remote} closed the connection") { Url = Remote };
                    break;
                }

                Volatile.Write(ref _heard, Environment.TickCount64);
                end += read;
                bool full = end == buffer.Length;
                int needed;
                while (Frame.TryRead(buffer.AsSpan(start, end - start), _maxFrame, out int offset, out int length, out FrameType type, out uint id, out needed))
                {
                    OnFrame(type, id, buffer.AsMemory(start + offset, length));
                    start += offset + length;
                    if (IsCongested && !AlwaysReads)
                    {
                        // Here and not after them all: small frames may have large answers.
                        QueueWork();
                        QueueFlush();
                        await DrainAsync(CancellationToken.None).ConfigureAwait(false);
                    }

                    while (IsFull && !IsClosed)
                    {
                        QueueWork();
                        await Task.Delay(1).ConfigureAwait(false);
                        Volatile.Write(ref _heard, Environment.TickCount64); // it is this side that does not listen
                    }
                }

                if (start == end)
                {
                    start = end = 0;
                    if (buffer.Length > ReadBuffer)
                    {
                        buffer = new byte[ReadBuffer];
                        FrameMemory?.Return(taken);
                        taken = 0;
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
                    if (size > buffer.Length && size > ReadBuffer && FrameMemory is { } memory)
                    {
                        long more = size - Math.Max(buffer.Length, ReadBuffer);
                        taken += memory.TryTake(more, taken) ? more : throw memory.Refusal();
                    }

                    byte[] target = size == buffer.Length ? buffer : new byte[size];
                    buffer.AsSpan(start, have).CopyTo(target);
                    (buffer, start, end) = (target, 0, have);
                }
            }
        }
        catch (RpcException e)
        {
            reason = e;
            SendGoAway(e);
            if (e.Code == RpcError.Overloaded)
            {
                await ReadOutAsync(buffer).ConfigureAwait(false);
            }

            await FinishAsync(e, TimeSpan.FromSeconds(1)).ConfigureAwait(false);
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
        finally
        {
            FrameMemory?.Return(taken);
        }

        Close(reason);
        QueueWork(); // a closed connection holds nothing back
    }

    /// <summary>
    /// Asks the other side whether it is there when it was silent for <paramref name="interval"/>, and closes the connection when it is
    /// silent for as long again. It is not silent while it takes what is sent to it. Called now and then, by one thread at a time.
    /// </summary>
    protected void CheckPeer(long now, TimeSpan interval)
    {
        long silence = now - Volatile.Read(ref _heard);
        if (interval <= TimeSpan.Zero || silence < interval.TotalMilliseconds)
        {
            return;
        }

        if (_asked <= now - silence)
        {
            _asked = now;
            FrameBuffer ping = FrameBuffer.Begin(FrameType.Ping, 0);
            Send(ping);
        }
        else if (now - _asked >= interval.TotalMilliseconds)
        {
            Close(new RpcException(RpcError.Connection, $"the connection to {Remote} is lost: nothing was heard of it for {silence / 1000.0:0.#} s, though it was asked") { Url = Remote });
        }
    }

    /// <summary>Gives back the room for batches of a connection that is quiet. Called now and then.</summary>
    protected void Trim(long now)
    {
        if (now - Volatile.Read(ref _heard) < Quiet || (_filling.Capacity == SmallBuffer && _sending.Capacity == SmallBuffer))
        {
            return;
        }

        lock (_gate)
        {
            if (!_flushing && _filling.Length == 0)
            {
                Volatile.Write(ref _filling, new FrameBuffer(SmallBuffer));
                _sending = new FrameBuffer(SmallBuffer);
            }
        }
    }

    /// <summary>Hands work to whoever runs it next; for <see cref="OnFrame"/>.</summary>
    protected void Ready(IWork work) => _ready.Enqueue(work);

    /// <summary>As <see cref="Ready"/>, from anywhere.</summary>
    protected void ReadySoon(IWork work)
    {
        _ready.Enqueue(work);
        QueueWork();
    }

    /// <summary>Handles one frame on the reader loop; <paramref name="body"/> is valid only during the call.</summary>
    /// <exception cref="RpcException">Ends the connection with this reason; the other side is told.</exception>
    protected abstract void OnFrame(FrameType type, uint id, ReadOnlyMemory<byte> body);

    /// <summary>The connection has closed; called once.</summary>
    protected abstract void OnClosed(Exception reason);

    protected Task SayGoAwayAsync(RpcException reason)
    {
        SendGoAway(reason);
        return FinishAsync(reason, TimeSpan.FromSeconds(1));
    }

    private void SendGoAway(RpcException reason)
    {
        FrameBuffer goAway = FrameBuffer.Begin(FrameType.GoAway, 0);
        FrameBodies.WriteGoAway(goAway, reason.Code, reason.Message);
        Send(goAway);
    }

    /// <summary>
    /// Reads on for nothing until the other side has hung up, but not for long: it is in the midst of a message, and closing with unread bytes
    /// would send a reset that overtakes the farewell.
    /// </summary>
    private async Task ReadOutAsync(byte[] buffer)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        try
        {
            while (await _stream.ReadAsync(buffer, limit.Token).ConfigureAwait(false) > 0)
            {
                // what comes is for nobody
            }
        }
        catch (Exception e) when (e is OperationCanceledException or IOException or ObjectDisposedException or InvalidOperationException)
        {
            // it is gone, or does not listen
        }
    }

    private void QueueFlush()
    {
        if (Volatile.Read(ref _flushQueued) == 0 && Interlocked.Exchange(ref _flushQueued, 1) == 0)
        {
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
        }
    }

    private void QueueWork()
    {
        if ((!_ready.IsEmpty || !_slow.IsEmpty) && Volatile.Read(ref _workQueued) == 0 && Interlocked.Exchange(ref _workQueued, 1) == 0)
        {
            Threads.Queue(this);
        }
    }

    /// <summary>Runs what the last read brought; the next one is under way.</summary>
    private void RunRead()
    {
        if (_ready.IsEmpty)
        {
            return;
        }

        if (EventLoop.TryBegin(this))
        {
            Volatile.Write(ref _inline, Environment.CurrentManagedThreadId);
            RunReady(isInline: true);
            EventLoop.End();
        }
        else
        {
            QueueWork();
        }
    }

    /// <summary>Runs what is ready, or as much of it as is known to be quick, then sends what that has written.</summary>
    /// <param name="isInline">Whether the loop's thread runs it, and slow work is to go elsewhere.</param>
    private void RunReady(bool isInline)
    {
        ExecutionContext? context = ExecutionContext.Capture();
        MethodTrust? measured = null;
        int runs = 0;
        long worked = 0;
        long start = Stopwatch.GetTimestamp();
        while (worked <= s_longRun && TryNext(isInline, out IWork? work, out MethodTrust? trust))
        {
            if (trust != measured)
            {
                Measure();
                measured = trust;
                if (isInline)
                {
                    Volatile.Write(ref _running, trust);
                }
            }

            if (!isInline)
            {
                QueueWork(); // if this one blocks, others go on with the rest
            }

            work.Execute();
            RestoreContext(context);
            runs++;
            bool isTaken = isInline && !EventLoop.Progress(); // another thread has the loop
            bool isFull = Volatile.Read(ref _filling).Length >= FullBatch;
            if (isInline && !isTaken && !isFull && runs < Measured)
            {
                continue;
            }

            Measure();
            if (isTaken)
            {
                break;
            }

            if (isFull)
            {
                Flush();
                start = Stopwatch.GetTimestamp();
            }
        }

        Measure();
        if (isInline)
        {
            Interlocked.CompareExchange(ref _inline, 0, Environment.CurrentManagedThreadId);
        }

        Flush();
        Continue();

        void Measure()
        {
            if (runs > 0)
            {
                long now = Stopwatch.GetTimestamp();
                measured!.Ran(now - start, runs);
                worked += now - start;
                (start, runs) = (now, 0);
            }
        }
    }

    /// <summary>Runs what is known to be quick where no thread is free for it.</summary>
    private void RunQuick()
    {
        ExecutionContext? context = ExecutionContext.Capture();
        while (TryNext(isInline: true, out IWork? work, out _))
        {
            work.Execute();
            RestoreContext(context);
        }

        Flush();
        Continue();
    }

    /// <summary>The next work to run here, and its trust: an answer that was handed over is used again at once.</summary>
    private bool TryNext(bool isInline, [NotNullWhen(true)] out IWork? work, [NotNullWhen(true)] out MethodTrust? trust)
    {
        (work, trust) = (null, null);
        while (!HoldsWork && ((!isInline && _slow.TryDequeue(out work)) || _ready.TryDequeue(out work)))
        {
            trust = work.Trust;
            if (!isInline || trust.IsQuick)
            {
                return true;
            }

            _slow.Enqueue(work);
            QueueWork();
        }

        return false;
    }

    /// <summary>Sees to it that what is left is run: soon, or when the other side has read what was sent to it.</summary>
    private void Continue()
    {
        if (HoldsWork)
        {
            Interlocked.Exchange(ref _held, 1);
        }

        if (!HoldsWork)
        {
            QueueWork();
        }
    }

    // What one handler leaves behind is not for the next to see.
    private static void RestoreContext(ExecutionContext? context)
    {
        if (ExecutionContext.Capture() != context)
        {
            ExecutionContext.Restore(context!);
        }

        if (SynchronizationContext.Current is not null)
        {
            SynchronizationContext.SetSynchronizationContext(null);
        }
    }

    private void Flush()
    {
        lock (_gate)
        {
            if (_flushing || _filling.Length == 0 || _closeReason is not null)
            {
                return;
            }

            _flushing = true;
        }

        _ = FlushAsync();
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

                if (Volatile.Read(ref _held) != 0 && Interlocked.Exchange(ref _held, 0) != 0)
                {
                    QueueWork();
                }

                for (ReadOnlyMemory<byte> rest = batch.Written; !rest.IsEmpty; rest = rest[Math.Min(rest.Length, WriteSlice)..])
                {
                    ValueTask writing = WriteAsync(rest[..Math.Min(rest.Length, WriteSlice)]);
                    bool waits = !writing.IsCompleted;
                    await writing.ConfigureAwait(false);
                    if (waits)
                    {
                        Volatile.Write(ref _heard, Environment.TickCount64);
                    }
                }

                batch.Clear(KeepBatch);
            }
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or InvalidOperationException or OperationCanceledException)
        {
            Close(new RpcException(RpcError.Connection, $"the connection to {Remote} broke: {e.InnerException?.Message ?? e.Message}", e) { Url = Remote });
        }
    }

    private ValueTask WriteAsync(ReadOnlyMemory<byte> slice) => _socket is null || slice.Length <= FullBatch ? _stream.WriteAsync(slice) : WriteAsOneAsync(_socket, slice);

    /// <summary>Several TLS records in one go.</summary>
    private async ValueTask WriteAsOneAsync(SocketStream socket, ReadOnlyMemory<byte> slice)
    {
        socket.Cork(slice.Length + (slice.Length / FullBatch * 64) + 64);
        await _stream.WriteAsync(slice).ConfigureAwait(false);
        await socket.UncorkAsync(CancellationToken.None).ConfigureAwait(false);
    }

    /// <summary>Awaits a read; when it has not come at once, runs what is ready meanwhile: after the continuation is in place.</summary>
    private readonly struct ReadThenRun(ValueTask<int> reading, WireConnection connection) : ICriticalNotifyCompletion
    {
        private readonly ConfiguredValueTaskAwaitable<int>.ConfiguredValueTaskAwaiter _reading = reading.ConfigureAwait(false).GetAwaiter();

        public bool IsCompleted => _reading.IsCompleted;

        public ReadThenRun GetAwaiter() => this;

        public int GetResult() => _reading.GetResult();

        public void OnCompleted(Action continuation)
        {
            _reading.OnCompleted(continuation);
            connection.RunRead();
        }

        public void UnsafeOnCompleted(Action continuation)
        {
            _reading.UnsafeOnCompleted(continuation);
            connection.RunRead();
        }
    }
}
