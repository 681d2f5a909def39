using System.Buffers;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks.Sources;

namespace GlooX.Transport.Linux;

/// <summary>
/// A connected socket as a stream: one reader and one writer at a time, both asynchronous. On Linux it is served by an
/// <see cref="EventLoop"/>; elsewhere use <see cref="NetworkStream"/> (see <see cref="Open"/>).
/// </summary>
/// <remarks>Edge-triggered: an operation is tried first, and waits for the next event only if the kernel was not ready.</remarks>
internal sealed class SocketStream : Stream, IValueTaskSource<int>
{
    // States of the reader.
    private const int Idle = 0;
    private const int Signalled = 1;
    private const int Waiting = 2;

    private static long s_lastTag;

    private readonly Socket _socket;
    private readonly EventLoop _loop = EventLoop.Next();
    private readonly ulong _tag = (ulong)Interlocked.Increment(ref s_lastTag);
    private ManualResetValueTaskSourceCore<int> _read = new() { RunContinuationsAsynchronously = true };
    private Memory<byte> _into;
    private CancellationToken _token;
    private CancellationTokenRegistration _registration;
    private int _reader = Signalled;
    private SocketFlags _flags;
    private bool _drained;
    private volatile bool _ended;
    private TaskCompletionSource? _writable;
    private byte[]? _corked;
    private int _corkedBytes;
    private int _disposed;

    private SocketStream(Socket socket) => _socket = socket;

    public override bool CanRead => true;

    public override bool CanWrite => true;

    public override bool CanSeek => false;

    public override long Length => throw new NotSupportedException();

    public override long Position
    {
        get => throw new NotSupportedException();
        set => throw new NotSupportedException();
    }

    /// <summary>A stream that owns a socket on which no asynchronous operation was started yet.</summary>
    /// <exception cref="System.ComponentModel.Win32Exception">The process is out of descriptors.</exception>
    public static Stream Open(Socket socket)
    {
        if (!OperatingSystem.IsLinux())
        {
            return new NetworkStream(socket, ownsSocket: true);
        }

        socket.Blocking = false;
        var stream = new SocketStream(socket);
        stream._loop.Add(stream, socket.Handle, stream._tag);
        return stream;
    }

    /// <summary>Connects.</summary>
    /// <exception cref="SocketException">Nothing listens there, or the address is unreachable.</exception>
    public static async Task<Stream> ConnectAsync(Socket socket, EndPoint endPoint, CancellationToken ct)
    {
        if (!OperatingSystem.IsLinux())
        {
            await socket.ConnectAsync(endPoint, ct).ConfigureAwait(false);
            return Open(socket);
        }

        socket.Blocking = false;
        try
        {
            socket.Connect(endPoint);
            return Open(socket);
        }
        catch (SocketException e) when (e.SocketErrorCode is SocketError.WouldBlock or SocketError.InProgress)
        {
            var stream = new SocketStream(socket);
            var connected = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            stream._writable = connected;
            stream._loop.Add(stream, socket.Handle, stream._tag);
            try
            {
                await connected.Task.WaitAsync(ct).ConfigureAwait(false);
                var error = (SocketError)(int)socket.GetSocketOption(SocketOptionLevel.Socket, SocketOptionName.Error)!;
                return error == SocketError.Success ? stream : throw new SocketException((int)error);
            }
            catch
            {
                await stream.DisposeAsync().ConfigureAwait(false);
                throw;
            }
        }
    }

    /// <summary>Waits until there is something to read, or the other side has closed. A stream that is no socket's is always readable.</summary>
    public static async ValueTask ReadableAsync(Stream stream, CancellationToken ct)
    {
        byte[] first = new byte[1];
        if (stream is NetworkStream network)
        {
            await network.Socket.ReceiveAsync(first.AsMemory(), SocketFlags.Peek, ct).ConfigureAwait(false);
        }
        else if (stream is SocketStream socket)
        {
            socket._flags = SocketFlags.Peek;
            await socket.ReadAsync(first, ct).ConfigureAwait(false);
            socket._flags = SocketFlags.None;
        }
    }

    /// <summary>From now on the continuation of a read runs on the loop's thread. Call it while no read is in progress.</summary>
    public void ReadInline() => _read.RunContinuationsAsynchronously = false;

    public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (cancellationToken.IsCancellationRequested)
        {
            return ValueTask.FromCanceled<int>(cancellationToken);
        }

        try
        {
            // A read that did not fill its buffer has emptied the socket: the next data raises an event.
            if ((!_drained || _ended || Volatile.Read(ref _reader) == Signalled) && TryRead(buffer, out int read))
            {
                return new ValueTask<int>(read);
            }
        }
        catch (Exception e)
        {
            return ValueTask.FromException<int>(e);
        }

        _read.Reset();
        _into = buffer;
        _token = cancellationToken;
        var task = new ValueTask<int>(this, _read.Version);
        if (cancellationToken.CanBeCanceled)
        {
            _registration = cancellationToken.UnsafeRegister(static s => ((SocketStream)s!).CancelRead(), this);
        }

        if (Interlocked.CompareExchange(ref _reader, Waiting, Idle) != Idle)
        {
            CompleteRead();
        }
        else if (Volatile.Read(ref _disposed) != 0 || cancellationToken.IsCancellationRequested)
        {
            CancelRead();
        }

        return task;
    }

    /// <summary>Collects what is written from now on, until <see cref="UncorkAsync"/> writes all of it at once.</summary>
    /// <param name="size">About how many bytes that will be.</param>
    public void Cork(int size) => _corked = ArrayPool<byte>.Shared.Rent(size);

    /// <summary>Writes what was collected.</summary>
    public async ValueTask UncorkAsync(CancellationToken ct)
    {
        byte[] corked = _corked!;
        _corked = null;
        try
        {
            await WriteAsync(corked.AsMemory(0, _corkedBytes), ct).ConfigureAwait(false);
        }
        finally
        {
            _corkedBytes = 0;
            ArrayPool<byte>.Shared.Return(corked);
        }
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (_corked is not null)
        {
            return KeepAsync(buffer, cancellationToken);
        }

        try
        {
            return TryWrite(ref buffer) ? default : new ValueTask(WriteRestAsync(buffer, cancellationToken));
        }
        catch (Exception e)
        {
            return ValueTask.FromException(e);
        }
    }

    public override void Flush()
    {
    }

    public override Task FlushAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    int IValueTaskSource<int>.GetResult(short token) => _read.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource<int>.GetStatus(short token) => _read.GetStatus(token);

    void IValueTaskSource<int>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _read.OnCompleted(continuation, state, token, flags);

    /// <summary>Handles an event; runs on the loop's thread.</summary>
    internal void OnEvent(uint what)
    {
        if ((what & (Epoll.Ended | Epoll.Broken)) != 0)
        {
            _ended = true; // reported once, perhaps together with the last data
        }

        if ((what & (Epoll.Writable | Epoll.Broken)) != 0)
        {
            Interlocked.Exchange(ref _writable, null)?.TrySetResult();
        }

        if ((what & (Epoll.Readable | Epoll.Ended | Epoll.Broken)) != 0 && Interlocked.Exchange(ref _reader, Signalled) == Waiting)
        {
            CompleteRead();
        }
    }

    protected override void Dispose(bool disposing)
    {
        if (disposing && Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _loop.Remove(_tag);
            _socket.Dispose();
            Interlocked.Exchange(ref _writable, null)?.TrySetResult();
            CancelRead();
        }

        base.Dispose(disposing);
    }

    private static IOException Broken(SocketError error) => new(new SocketException((int)error).Message, new SocketException((int)error));

    /// <summary>False: no data, and the reader is <see cref="Idle"/> unless an event arrived meanwhile.</summary>
    private bool TryRead(Memory<byte> buffer, out int read)
    {
        Interlocked.Exchange(ref _reader, Idle); // before the read, so that an event after it is not lost
        read = _socket.Receive(buffer.Span, _flags, out SocketError error);
        switch (error)
        {
            case SocketError.Success:
                _drained = read < buffer.Length && read > 0;
                return true;
            case SocketError.WouldBlock:
                _drained = true;
                return false;
            default:
                _drained = false;
                throw Broken(error);
        }
    }

    /// <summary>An event arrived while the reader waited: the reader belongs to this thread until it waits again.</summary>
    private void CompleteRead()
    {
        try
        {
            int read;
            while (!TryRead(_into, out read))
            {
                if (Interlocked.CompareExchange(ref _reader, Waiting, Idle) == Idle)
                {
                    if (Volatile.Read(ref _disposed) != 0 || _token.IsCancellationRequested)
                    {
                        CancelRead();
                    }

                    return;
                }
            }

            EndRead();
            _read.SetResult(read);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException or SocketException)
        {
            EndRead();
            _read.SetException(e);
        }
    }

    /// <summary>Ends a waiting read when it is cancelled or the stream is disposed. The continuation does not run here.</summary>
    private void CancelRead()
    {
        CancellationToken token = _token;
        bool isDisposed = Volatile.Read(ref _disposed) != 0;
        if ((isDisposed || token.IsCancellationRequested) && Interlocked.CompareExchange(ref _reader, Signalled, Waiting) == Waiting)
        {
            EndRead();
            Exception reason = isDisposed ? new ObjectDisposedException(nameof(SocketStream)) : new OperationCanceledException(token);
            ThreadPool.UnsafeQueueUserWorkItem(static s => s.Stream.FailRead(s.Reason), (Stream: this, Reason: reason), preferLocal: false);
        }
    }

    private void FailRead(Exception reason) => _read.SetException(reason);

    private void EndRead()
    {
        _into = default;
        _token = default;
        _registration.Unregister();
        _registration = default;
    }

    /// <summary>Writes what the kernel accepts. False: <paramref name="buffer"/> is the rest.</summary>
    private bool TryWrite(ref ReadOnlyMemory<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            int written = _socket.Send(buffer.Span, SocketFlags.None, out SocketError error);
            switch (error)
            {
                case SocketError.Success:
                    buffer = buffer[written..];
                    break;
                case SocketError.WouldBlock:
                    return false;
                default:
                    throw Broken(error);
            }
        }

        return true;
    }

    private ValueTask KeepAsync(ReadOnlyMemory<byte> buffer, CancellationToken ct)
    {
        if (buffer.Length <= _corked!.Length - _corkedBytes)
        {
            buffer.Span.CopyTo(_corked.AsSpan(_corkedBytes));
            _corkedBytes += buffer.Length;
            return default;
        }

        return OverflowAsync(buffer, ct);
    }

    private async ValueTask OverflowAsync(ReadOnlyMemory<byte> buffer, CancellationToken ct)
    {
        await UncorkAsync(ct).ConfigureAwait(false);
        await WriteAsync(buffer, ct).ConfigureAwait(false);
    }

    private async Task WriteRestAsync(ReadOnlyMemory<byte> rest, CancellationToken ct)
    {
        while (true)
        {
            var writable = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            Volatile.Write(ref _writable, writable);
            if (TryWrite(ref rest)) // the socket may have become writable before the source was set
            {
                return;
            }

            await writable.Task.WaitAsync(ct).ConfigureAwait(false);
        }
    }
}
