using GlooX.RpcRuntime;
using Nerdbank.MessagePack;

namespace GlooX.Protocol;

/// <summary>
/// An object of the other side's, for as long as something here can still call it: whatever calls it holds this. When that is gone, the other
/// side is told, so that it need not keep the object for the connection's life.
/// </summary>
internal sealed class Borrowed(RpcConnection connection, uint number)
{
#pragma warning disable MA0055 // nobody disposes of what a handler was given: that it is gone is all there is to see
    ~Borrowed()
    {
        if (!connection.IsClosed)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static b => b.connection.GiveBack(b.number), (connection, number), preferLocal: false); // never on the finalizer's thread
        }
    }
}

/// <summary>The argument of <see cref="CallbackTable.GiveBack"/>.</summary>
internal readonly struct GiveBackArguments(uint number) : IRpcArguments
{
    public void Write(ref MessagePackWriter writer, RpcSerializer serializer)
    {
        writer.WriteArrayHeader(1);
        writer.Write(number);
    }

    public static uint Read(ref MessagePackReader reader)
    {
        RpcArguments.Begin(ref reader, 1, 1);
        return reader.ReadUInt32();
    }
}
