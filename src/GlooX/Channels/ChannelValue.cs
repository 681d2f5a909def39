using System.Buffers;
using GlooX.RpcRuntime;
using GlooX.Slots;
using Nerdbank.MessagePack;

namespace GlooX.Channels;

/// <summary>Values as bytes: MessagePack, by the serializer of calls.</summary>
internal static class ChannelValue
{
    [ThreadStatic]
    private static ArrayBufferWriter<byte>? t_buffer;

    public static byte[] Write<T>(T? value)
    {
        ArrayBufferWriter<byte> buffer = t_buffer ?? new ArrayBufferWriter<byte>(256);
        t_buffer = null; // a converter may come back here
        buffer.ResetWrittenCount();
        var writer = new MessagePackWriter(buffer);
        RpcSerializer.Default.Write(ref writer, value);
        writer.Flush();
        byte[] bytes = buffer.WrittenSpan.ToArray();
        t_buffer = buffer.Capacity <= 64 * 1024 ? buffer : null;
        return bytes;
    }

    public static T? Read<T>(byte[] bytes)
    {
        var reader = new MessagePackReader(bytes);
        return RpcSerializer.Default.Read<T>(ref reader);
    }
}
