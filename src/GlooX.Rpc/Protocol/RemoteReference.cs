using GlooX.RpcRuntime;
using Nerdbank.MessagePack;

namespace GlooX.Protocol;

/// <summary>
/// A reference to an object of the other side, held by everything that can call the object. When nothing holds it any more, the other side is told
/// to release the object.
/// </summary>
internal sealed class RemoteReference(RpcConnection connection, uint number)
{
#pragma warning disable MA0055 // handlers do not dispose their arguments; the garbage collector is the only witness
    ~RemoteReference()
    {
        if (!connection.IsClosed)
        {
            ThreadPool.UnsafeQueueUserWorkItem(static b => b.connection.Release(b.number), (connection, number), preferLocal: false); // not on the finalizer's thread
        }
    }
}

/// <summary>The argument of <see cref="ExportedObjects.ReleaseMethod"/>.</summary>
internal readonly struct ReleaseArguments(uint number) : IRpcArguments
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
