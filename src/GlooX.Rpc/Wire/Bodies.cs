using System.Text;
using Nerdbank.MessagePack;

namespace GlooX.Wire;

/// <summary>What a side says first: the versions that it speaks and the largest frame that it takes.</summary>
/// <param name="MinVersion">Oldest version spoken.</param>
/// <param name="MaxVersion">Newest version spoken.</param>
/// <param name="MaxFrame">Largest frame accepted, in bytes.</param>
/// <param name="MaxInFlight">Most calls in flight accepted.</param>
/// <param name="Software">Name and version, for logs.</param>
/// <param name="Window">Bytes that each stream to this side may have under way.</param>
internal readonly record struct Hello(uint MinVersion, uint MaxVersion, int MaxFrame, int MaxInFlight, string Software, int Window)
{
    public const uint Version = 1;

    /// <summary>The window of a side that names none.</summary>
    public const int LeastWindow = 64 * 1024;
}

/// <summary>
/// The bodies of the control frames: MessagePack arrays, so that later versions can append fields that older ones skip.
/// </summary>
internal static class Bodies
{
    public static void WriteHello(FrameBuffer target, in Hello hello)
    {
        var writer = new MessagePackWriter(target);
        writer.WriteArrayHeader(6);
        writer.Write(hello.MinVersion);
        writer.Write(hello.MaxVersion);
        writer.Write(hello.MaxFrame);
        writer.Write(hello.MaxInFlight);
        writer.Write(hello.Software);
        writer.Write(hello.Window);
        writer.Flush();
    }

    public static Hello ReadHello(ReadOnlyMemory<byte> body)
    {
        var reader = new MessagePackReader(body);
        int count = reader.ReadArrayHeader();
        if (count < 5)
        {
            throw new RpcException(RpcError.Protocol, "Hello is too short");
        }

        return new Hello(
            reader.ReadUInt32(),
            reader.ReadUInt32(),
            Math.Max(1024, reader.ReadInt32()),
            Math.Max(1, reader.ReadInt32()),
            Text(ref reader) ?? "",
            count > 5 ? Math.Max(1, reader.ReadInt32()) : Hello.LeastWindow);
    }

    public static void WriteGoAway(FrameBuffer target, RpcError code, string message) => WriteError(target, code, message, null, null);

    public static void WriteError(FrameBuffer target, RpcError code, string message, string? type, string? stack)
    {
        var writer = new MessagePackWriter(target);
        writer.WriteArrayHeader(4);
        writer.Write((uint)code);
        writer.Write(message);
        writer.Write(type);
        writer.Write(stack);
        writer.Flush();
    }

    public static (RpcError Code, string Message, string? Type, string? Stack) ReadError(ReadOnlyMemory<byte> body)
    {
        var reader = new MessagePackReader(body);
        int count = reader.ReadArrayHeader();
        if (count < 4)
        {
            throw new RpcException(RpcError.Protocol, "Error is too short");
        }

        return ((RpcError)reader.ReadUInt32(), Text(ref reader) ?? "", Text(ref reader), Text(ref reader));
    }

    public static string ReadText(ReadOnlyMemory<byte> body)
    {
        try
        {
            return s_strictUtf8.GetString(body.Span);
        }
        catch (DecoderFallbackException e)
        {
            throw new RpcException(RpcError.Protocol, "a name is not UTF-8", e);
        }
    }

    private static readonly UTF8Encoding s_strictUtf8 = new(false, true);

    private static string? Text(ref MessagePackReader reader) => reader.ReadString();
}
