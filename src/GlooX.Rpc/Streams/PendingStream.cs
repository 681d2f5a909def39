using GlooX.Client;
using GlooX.Protocol;
using GlooX.RpcRuntime;

namespace GlooX.Streams;

/// <summary>A call whose result is a stream. Disposal ends the call on both sides.</summary>
internal sealed class PendingStream<T> : PendingCall, IDisposable
{
    private readonly IncomingStream<T> _items;

    public PendingStream(RpcConnection connection, string name, RpcMethod<T> method, long deadline)
    {
        Connection = connection;
        Method = name;
        Deadline = deadline;
        Faults = method.Faults;
        Trust = method.Trust;
        _items = new IncomingStream<T>(0, method.ReadResult);
    }

    public IAsyncEnumerable<T> Items => _items;

    public override void Ending()
    {
        base.Ending();
        _items.Detach();
    }

    public override void Item(ReadOnlyMemory<byte> item)
    {
        _items.Attach(Connection, Id);
        _items.Item(item);
    }

    public override void Read(ReadOnlyMemory<byte> body)
    {
        // nil: the stream has ended
    }

    public override void Execute()
    {
        if (Failure is { } failure)
        {
            _items.Fail(failure);
        }
        else
        {
            _items.Complete();
        }
    }

    public void Dispose() => Connection.Abandon(this);
}
