using System.Buffers;
using System.Text;
using GlooX.RpcRuntime;
using Nerdbank.MessagePack;

namespace GlooX.Protocol;

/// <summary>The greeting of a side: the versions it speaks and its limits.</summary>
/// <param name="MinVersion">The oldest version spoken.</param>
/// <param name="MaxVersion">The newest version spoken.</param>
/// <param name="MaxFrame">The largest frame accepted, in bytes.</param>
/// <param name="MaxInFlight">The largest number of calls in flight accepted.</param>
/// <param name="Software">Name and version, for logs.</param>
/// <param name="Window">How many unread bytes each stream to this side may have.</param>
internal readonly record struct Hello(uint MinVersion, uint MaxVersion, int MaxFrame, int MaxInFlight, string Software, int Window)
{
    public const uint Version = 1;

    /// <summary>The window of a side that states none.</summary>
    public const int LeastWindow = 64 * 1024;
    public static readonly IReadOnlyDictionary<string, string> NoTokens = new Dictionary<string, string>(StringComparer.Ordinal);

    /// <summary>The caller's tokens, by service name.</summary>
    public IReadOnlyDictionary<string, string> Tokens { get; init; } = NoTokens;
}

/// <summary>The bodies of control frames: MessagePack arrays, to which later versions can append fields that older ones skip.</summary>
internal static class FrameBodies
{
    private const int MaxTokens = 256;

    /// <summary>The longest message and the longest stack of an error, in characters.</summary>
    public const int MaxMessage = 8 * 1024;
    public const int MaxStack = 32 * 1024;
    /// <summary>The longest <c>service/method</c> in bytes: ample, and short enough to be stored and repeated in messages.</summary>
    public const int MaxName = 1024;

    private const int MaxHello = 64 * 1024;

    public static void WriteHello(FrameBuffer target, in Hello hello)
    {
        var writer = new MessagePackWriter(target);
        writer.WriteArrayHeader(hello.Tokens.Count == 0 ? 6 : 7);
        writer.Write(hello.MinVersion);
        writer.Write(hello.MaxVersion);
        writer.Write(hello.MaxFrame);
        writer.Write(hello.MaxInFlight);
        writer.Write(hello.Software);
        writer.Write(hello.Window);
        if (hello.Tokens.Count > 0)
        {
            writer.WriteMapHeader(hello.Tokens.Count);
            foreach ((string service, string token) in hello.Tokens)
            {
                writer.Write(service);
                writer.Write(token);
            }
        }

        writer.Flush();
    }

    public static Hello ReadHello(ReadOnlyMemory<byte> body)
    {
        if (body.Length > MaxHello)
        {
            throw new RpcException(RpcError.Protocol, $"Hello is longer than {MaxHello} bytes");
        }

        var reader = new MessagePackReader(body);
        int count = reader.ReadArrayHeader();
        if (count < 5)
        {
            throw new RpcException(RpcError.Protocol, "Hello is too short");
        }

        var hello = new Hello(
            reader.ReadUInt32(),
            reader.ReadUInt32(),
            Math.Max(1024, reader.ReadInt32()),
            Math.Max(1, reader.ReadInt32()),
            Text(ref reader) ?? "",
            count > 5 ? Math.Max(1, reader.ReadInt32()) : Hello.LeastWindow);
        return count < 7 ? hello : hello with { Tokens = ReadTokens(ref reader) };
    }

    public static void WriteGoAway(FrameBuffer target, RpcError code, string message) => WriteError(target, code, message, null, null);

    public static void WriteError(FrameBuffer target, RpcError code, string message, string? type, string? stack, RpcFaultDetail? detail = null, RpcError? inner = null)
    {
        var writer = new MessagePackWriter(target);
        writer.WriteArrayHeader(inner is not null ? 7 : detail is not null ? 6 : 4);
        writer.Write((uint)code);
        writer.Write(message);
        writer.Write(type);
        writer.Write(stack);
        if (detail is not null)
        {
            writer.Write(detail.Type);
            writer.WriteRaw(detail.MessagePack.Span);
        }

        if (inner is { } why)
        {
            if (detail is null)
            {
                writer.WriteNil();
                writer.WriteNil();
            }

            writer.Write((uint)why);
        }

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

        return ((RpcError)reader.ReadUInt32(), ForeignText.Lines(Text(ref reader), MaxMessage), Text(ref reader) is { } type ? ForeignText.Of(type) : null, Text(ref reader) is { } stack ? ForeignText.Lines(stack, MaxStack) : null);
    }

    /// <summary>Reads the whole body of an Error frame.</summary>
    public static Failure ReadFailure(ReadOnlyMemory<byte> body)
    {
        (RpcError code, string message, string? type, string? stack) = ReadError(body);
        var reader = new MessagePackReader(body);
        int count = reader.ReadArrayHeader();
        var context = new SerializationContext();
        for (int i = 0; i < 4; i++)
        {
            reader.Skip(context);
        }

        RpcFaultDetail? detail = null;
        if (count >= 6)
        {
            string? name = Text(ref reader);
            byte[] value = reader.ReadRaw(context).MsgPack.ToArray();
            detail = name is null ? null : new RpcFaultDetail(name, value);
        }

        RpcError? inner = count >= 7 && !reader.TryReadNil() ? (RpcError)reader.ReadUInt32() : null;
        return new Failure(code, message, type, stack, detail, inner);
    }

    public static string ReadName(ReadOnlyMemory<byte> body)
    {
        if (body.Length > MaxName)
        {
            throw new RpcException(RpcError.Protocol, $"a name is longer than {MaxName} bytes");
        }

        try
        {
            return s_strictUtf8.GetString(body.Span);
        }
        catch (DecoderFallbackException e)
        {
            throw new RpcException(RpcError.Protocol, "a name is not UTF-8", e);
        }
    }

    private static Dictionary<string, string> ReadTokens(ref MessagePackReader reader)
    {
        int count = reader.ReadMapHeader();
        if (count > MaxTokens)
        {
            throw new RpcException(RpcError.Protocol, $"Hello has {count} tokens; {MaxTokens} are allowed");
        }

        var tokens = new Dictionary<string, string>(StringComparer.Ordinal);
        for (int i = 0; i < count; i++)
        {
            tokens[Text(ref reader) ?? ""] = Text(ref reader) ?? "";
        }

        return tokens;
    }

    private static readonly UTF8Encoding s_strictUtf8 = new(false, true);

    private static string? Text(ref MessagePackReader reader) => reader.ReadString();
}

/// <summary>The body of an Error frame.</summary>
internal readonly record struct Failure(RpcError Code, string Message, string? Type, string? Stack, RpcFaultDetail? Detail, RpcError? Inner)
{
    /// <summary>The exception for the caller.</summary>
    /// <param name="url">The other side.</param>
    /// <param name="method">The called method; null: none.</param>
    /// <param name="faults">The details that the caller knows; null: none.</param>
    public RpcException ToException(string url, string? method, RpcFaultKind[]? faults)
    {
        var failure = new RpcException(Code, Message) { Url = url, Method = method, RemoteType = Type, RemoteStack = Stack, RemoteDetail = Detail, InnerCode = Inner };
        if (Detail is { } detail)
        {
            return faults?.FirstOrDefault(f => f.Name == detail.Type)?.Read(failure, detail) ?? failure;
        }

        return failure;
    }
}
