using System.Threading.Channels;
using GlooX.RpcRuntime;
using GlooX.Wire;
using Nerdbank.MessagePack;

namespace GlooX.Streams;

/// <summary>A stream that the other side sends: what has come and was not yet read, within the window that this side grants.</summary>
internal abstract class IncomingStream(uint number)
{
    /// <summary>Bytes that the other side may have under way.</summary>
    public const int Window = 256 * 1024;

    /// <summary>What an item costs besides its bytes: it takes memory on the other side however small it is.</summary>
    public const int ItemCost = 32;

    public uint Number { get; } = number;

    /// <summary>Takes an item; on the reader loop.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.Protocol"/>: more than was allowed.</exception>
    public abstract void Item(ReadOnlyMemory<byte> item);

    public abstract void Complete();

    /// <summary>The call's id is about to be free for another: from now on nothing is said in its name.</summary>
    public abstract void Detach();

    public abstract void Fail(Exception reason);
}

/// <summary>Enumerated once.</summary>
internal sealed class IncomingStream<T>(uint number, RpcResultReader<T> read) : IncomingStream(number), IAsyncEnumerable<T>
{
    private readonly Channel<(T Item, int Cost)> _items = Channel.CreateUnbounded<(T Item, int Cost)>(new() { SingleReader = true, SingleWriter = true });
    private readonly Lock _gate = new();
    private RpcConnection? _connection;
    private uint _call;
    private bool _isDetached;
    private long _underWay;
    private int _enumerated;

    /// <summary>Which call it belongs to; before it can be read.</summary>
    public void Attach(RpcConnection connection, uint call)
    {
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
        // One item may overdraw.
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
            // Whatever a converter throws over bytes that do not fit concerns this stream only.
            Fail(new RpcException(RpcError.BadArguments, $"an item of the stream is no {typeof(T).Name}: {ExceptionText.Message(e)}", e));
            return;
        }

        _items.Writer.TryWrite((value, cost));
    }

    public override void Detach()
    {
        lock (_gate)
        {
            _isDetached = true;
            _connection = null;
        }
    }

    public override void Complete() => _items.Writer.TryComplete();

    public override void Fail(Exception reason) => _items.Writer.TryComplete(reason);

    public IAsyncEnumerator<T> GetAsyncEnumerator(CancellationToken cancellationToken = default) =>
        Interlocked.Exchange(ref _enumerated, 1) == 0
            ? ReadAsync(cancellationToken)
            : throw new InvalidOperationException("a stream that comes over the network can be enumerated once");

    private async IAsyncEnumerator<T> ReadAsync(CancellationToken ct)
    {
        int taken = 0;
        try
        {
            while (await _items.Reader.WaitToReadAsync(ct).ConfigureAwait(false))
            {
                while (_items.Reader.TryRead(out (T Item, int Cost) next))
                {
                    taken += next.Cost;
                    if (taken >= Window / 2)
                    {
                        Interlocked.Add(ref _underWay, -taken);
                        SendCredit((uint)taken);
                        taken = 0;
                    }

                    yield return next.Item;
                }
            }
        }
        finally
        {
            if (Number != 0 && !_items.Reader.Completion.IsCompleted)
            {
                SendCredit(0); // no more is wanted
            }
        }
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
}
