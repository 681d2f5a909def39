using System.Runtime.ExceptionServices;
using System.Threading.Tasks.Sources;
using GlooX.Protocol;
using GlooX.RpcRuntime;
using Nerdbank.MessagePack;

namespace GlooX.Streams;

/// <summary>A stream that the other side sends: the items that arrived and were not yet read, within the window that this side grants.</summary>
internal abstract class IncomingStream(uint number)
{
    /// <summary>How many unread bytes the other side may send.</summary>
    public const int Window = 256 * 1024;

    /// <summary>The cost of an item in addition to its bytes, because even the smallest item takes memory.</summary>
    public const int ItemCost = 32;

    public uint Number { get; } = number;

    /// <summary>Receives an item; runs on the read loop.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.Protocol"/>: the item exceeds the window.</exception>
    public abstract void Item(ReadOnlyMemory<byte> item);

    public abstract void Complete();

    /// <summary>The call's id is about to be reused: from now on the stream sends nothing under it.</summary>
    public abstract void Detach();

    public abstract void Fail(Exception reason);
}

/// <summary>
/// Enumerated once. The consumer takes all items that arrived at once, and is woken when it had to wait; the read loop never waits for it.
/// </summary>
internal sealed class IncomingStream<T>(uint number, RpcResultReader<T> read) : IncomingStream(number), IAsyncEnumerable<T>
{
    private readonly Lock _gate = new(); // guards frames sent under the call's id
    private readonly Lock _handover = new(); // guards the items that arrived
    private (T Item, int Cost)[] _come = new (T Item, int Cost)[16];
    private int _count;
    private Exception? _failure;
    private bool _isComplete;
    private Reader? _waiting;
    private RpcConnection? _connection;
    private uint _call;
    private bool _isAttached;
    private bool _isDetached;
    private long _underWay;
    private int _enumerated;

    /// <summary>Sets the call that the stream belongs to, before it can be read. Called by the read loop, perhaps again.</summary>
    public void Attach(RpcConnection connection, uint call)
    {
        if (_isAttached)
        {
            return;
        }

        _isAttached = true;
        lock (_gate)
        {
            if (!_isDetached)
            {
                (_connection, _call) = (connection, call);
            }
        }
    }

    public override void Item(ReadOnlyMemory<byte> item)
    {
        // One item may exceed the window.
        int cost = item.Length + ItemCost;
        if (Interlocked.Add(ref _underWay, cost) - cost >= Window)
        {
            throw new RpcException(RpcError.Protocol, $"stream {Number} of call {_call} sends more than its window of {Window} bytes");
        }

        T value;
        try
        {
            var reader = new MessagePackReader(item);
            value = read(ref reader, RpcSerializer.Default);
        }
        catch (Exception e)
        {
            // Any exception of a converter over malformed bytes concerns this stream only.
            Fail(new RpcException(RpcError.BadArguments, $"an item of the stream is no {typeof(T).Name}: {ExceptionText.Message(e)}", e));
            return;
        }

        Reader? waiting;
        lock (_handover)
        {
            if (_isComplete)
            {
                return;
            }

            if (_count == _come.Length)
            {
                Array.Resize(ref _come, _count * 2);
            }

            _come[_count++] = (value, cost);
            (waiting, _waiting) = (_waiting, null);
        }

        waiting?.Wake();
    }

    public override void Detach()
    {
        lock (_gate)
        {
            _isDetached = true;
            _connection = null;
        }
    }

    public override void Complete() => End(null);

    public override void Fail(Exception reason) => End(reason);

    public IAsyncEnumerator<T> GetAsyncEnumerator(CancellationToken cancellationToken = default) =>
        Interlocked.Exchange(ref _enumerated, 1) == 0
            ? new Reader(this, cancellationToken)
            : throw new InvalidOperationException("a stream from the network can be enumerated once");

    private void End(Exception? reason)
    {
        lock (_handover)
        {
            if (_isComplete)
            {
                return;
            }

            (_isComplete, _failure) = (true, reason);
        }

        Wake();
    }

    private void Wake()
    {
        Reader? waiting;
        lock (_handover)
        {
            (waiting, _waiting) = (_waiting, null);
        }

        waiting?.Wake();
    }

    private void SendCredit(uint bytes)
    {
        FrameBuffer credit = FrameBuffer.Begin(FrameType.Credit, _call);
        credit.WriteVarint(Number);
        credit.WriteVarint(bytes);
        lock (_gate)
        {
            _connection?.Send(credit, isUrgent: false);
        }
    }

    /// <summary>The state of the consumer alone, apart from that of the read loop, so that two processors do not share cache lines.</summary>
    private sealed class Reader : IAsyncEnumerator<T>, IValueTaskSource<bool>
    {
        private readonly IncomingStream<T> _stream;
        private readonly CancellationToken _ct;
        private readonly CancellationTokenRegistration _cancelling;
        private (T Item, int Cost)[] _taken = new (T Item, int Cost)[16];
        private int _have;
        private int _next;
        private int _read;
        private ManualResetValueTaskSourceCore<bool> _more = new() { RunContinuationsAsynchronously = true };

        public Reader(IncomingStream<T> stream, CancellationToken ct)
        {
            (_stream, _ct) = (stream, ct);
            _cancelling = ct.UnsafeRegister(static s => ((IncomingStream<T>)s!).Wake(), stream);
        }

        public T Current { get; private set; } = default!;

        public ValueTask<bool> MoveNextAsync()
        {
            if (_next < _have)
            {
                Take();
                return new ValueTask<bool>(true);
            }

            if (_ct.IsCancellationRequested)
            {
                return ValueTask.FromCanceled<bool>(_ct);
            }

            lock (_stream._handover)
            {
                if (_stream._count == 0 && !_stream._isComplete)
                {
                    _more.Reset();
                    _stream._waiting = this;
                    if (!_ct.IsCancellationRequested)
                    {
                        return new ValueTask<bool>(this, _more.Version);
                    }

                    _stream._waiting = null; // cancelled before the consumer waited
                    return ValueTask.FromCanceled<bool>(_ct);
                }
            }

            try
            {
                return new ValueTask<bool>(Refill());
            }
            catch (Exception e)
            {
                return ValueTask.FromException<bool>(e);
            }
        }

        public void Wake() => _more.SetResult(true);

        public ValueTask DisposeAsync()
        {
            _cancelling.Dispose();
            bool isComplete;
            lock (_stream._handover)
            {
                isComplete = _stream._isComplete;
                _stream._isComplete = true;
                (_stream._come, _stream._count) = ([], 0);
            }

            (_taken, _have, _next) = ([], 0, 0);
            if (_stream.Number != 0 && !isComplete)
            {
                _stream.SendCredit(0); // the consumer wants no more items
            }

            return default;
        }

        bool IValueTaskSource<bool>.GetResult(short token)
        {
            _more.GetResult(token);
            return Refill();
        }

        ValueTaskSourceStatus IValueTaskSource<bool>.GetStatus(short token) => _more.GetStatus(token);

        void IValueTaskSource<bool>.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
            _more.OnCompleted(continuation, state, token, flags);

        // Takes the next item. False: the stream has ended. Woken for neither: it was cancelled.
        private bool Refill()
        {
            Array.Clear(_taken, 0, _have);
            (_have, _next) = (0, 0);
            lock (_stream._handover)
            {
                if (_stream._count > 0)
                {
                    (_taken, _stream._come) = (_stream._come, _taken);
                    (_have, _stream._count) = (_stream._count, 0);
                }
                else if (_stream._failure is { } failure)
                {
                    ExceptionDispatchInfo.Throw(failure);
                }
                else if (_stream._isComplete)
                {
                    return false;
                }
                else
                {
                    throw new OperationCanceledException(_ct);
                }
            }

            Take();
            return true;
        }

        private void Take()
        {
            (Current, int cost) = _taken[_next++];
            _read += cost;
            if (_read >= Window / 2)
            {
                Interlocked.Add(ref _stream._underWay, -_read);
                _stream.SendCredit((uint)_read);
                _read = 0;
            }
        }
    }
}
