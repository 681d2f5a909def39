using System.Text;
using GlooX.Protocol;
using GlooX.RpcRuntime;
using GlooX.Server;
using Nerdbank.MessagePack;

namespace GlooX.Rpc.Tests.Protocol.Fuzzing;

/// <summary>A frame taken apart.</summary>
internal sealed record Piece(FrameType Type, uint Id, byte[] Body)
{
    public byte[] ToBytes()
    {
        FrameBuffer frame = FrameBuffer.Begin(Type, Id);
        frame.Append(Body);
        return frame.End().ToArray();
    }
}

/// <summary>Frames that are as they should be: what mutation begins with.</summary>
internal static class Corpus
{
    private static readonly Order s_order = new("größer", 21, ["a", "", "日本"], new Order("part", -1, []));
    private static readonly Moment s_moment = new(
        new DateTime(2026, 2, 3, 4, 5, 6, DateTimeKind.Utc), new DateTimeOffset(2026, 2, 3, 4, 5, 6, TimeSpan.FromHours(2)), TimeSpan.FromSeconds(1.5),
        Guid.Parse("8c3f5a70-0000-4000-8000-0123456789ab"), 12.5m, ["x", "y"], new(StringComparer.Ordinal) { ["one"] = s_order });

    private static readonly string[] s_methods = [.. RpcRegistry.FindDispatcher(typeof(Sink))!.Methods];

    private static readonly object?[][] s_arguments =
    [
        [(sbyte)-5, (byte)200, (short)-3000, (ushort)60000, 1_000_000, 4_000_000_000u, -5_000_000_000L, ulong.MaxValue],
        ["some text", null, true, 1.5f, -0.25],
        [new byte[40]],
        [s_order],
        [new[] { 1, 2, 300_000 }, new[] { "a", "b" }, new List<double> { 0.5, double.NaN }],
        [new Dictionary<string, long>(StringComparer.Ordinal) { ["a"] = 1, ["b"] = -1 }, new Dictionary<int, Order> { [7] = s_order }],
        [new object?[] { 1L, "two", null, new Dictionary<string, object?>(StringComparer.Ordinal) { ["deep"] = new object?[] { true, 1.5 } } }],
        [s_moment, 3],
        [],
        [1, 2],
        [s_order, 5],
        ["this"],
    ];

    /// <summary>What a caller says first: it greets, and names the methods 0, 1, 2, … and at last one that there is not.</summary>
    public static IReadOnlyList<Piece> Greeting { get; } =
        [Greet(FrameType.Hello), .. s_methods.Append("nobody/Nothing").Select((name, id) => new Piece(FrameType.Define, (uint)id, Encoding.UTF8.GetBytes(name)))];

    public static Piece Acknowledgement { get; } = Greet(FrameType.HelloAck);

    /// <summary>A call that is always answered, whatever came before.</summary>
    public static Piece LastCall { get; } = Request(uint.MaxValue - 7, "Nothing", [], timeout: 0);

    /// <summary>What a server gets.</summary>
    public static IReadOnlyList<Piece> ToServer { get; } =
    [
        Greeting[0], Greeting[^1],
        .. s_methods.Zip(s_arguments).SelectMany((call, i) => new[] { Request((uint)i, call.First, call.Second, timeout: 0), Request((uint)i + 100, call.First, call.Second, timeout: 60_000) }),
        new Piece(FrameType.Request, 90, [(byte)s_methods.Length, 0, MessagePackCode.MinFixArray]),
        .. Streamed(9), .. Streamed(109), new Piece(FrameType.Credit, 10, [0, 100]), new Piece(FrameType.Credit, 110, [0, 0]),
        new Piece(FrameType.Request, 91, [(byte)(s_methods.Length - 1), (byte)RequestFlags.OneWay, 0x91, 0xA1, 0x78]),
        new Piece(FrameType.Request, 92, [8, (byte)RequestFlags.Metadata, 0x81, 0xA1, 0x78, 1, 0x90]),
        new Piece(FrameType.Cancel, 2, []), new Piece(FrameType.Ping, 1, []), new Piece(FrameType.Pong, 1, []), GoAway(),
    ];

    /// <summary>What a client gets that waits for the answers to <see cref="Questions"/>.</summary>
    public static IReadOnlyList<Piece> ToClient { get; } =
    [
        Acknowledgement, GoAway(), new Piece(FrameType.Ping, 1, []), new Piece(FrameType.Pong, 1, []),
        new Piece(FrameType.StreamItem, 9, [0, .. Written(s_order)]), new Piece(FrameType.StreamItem, 9, [0, .. Written(null)]), new Piece(FrameType.Credit, 9, [1, 100]),
        .. s_arguments.Take(10).Select((values, i) => new Piece(FrameType.Response, (uint)i, Written(values.Length == 0 ? null : values[0]))),
        .. s_arguments.Take(10).Select((_, i) => Error((uint)i, i % 2 == 0 ? null : "System.Exception", i % 3 == 0 ? null : "at Somewhere")),
    ];

    /// <summary>How a client reads the answers to its calls 0, 1, 2, …</summary>
    public static IReadOnlyList<Func<Question>> Questions { get; } =
    [
        () => new Question<long>((ref MessagePackReader r, RpcSerializer _) => r.ReadInt64()),
        () => new Question<string?>((ref MessagePackReader r, RpcSerializer _) => r.ReadString()),
        () => new Question<byte[]?>((ref MessagePackReader r, RpcSerializer s) => s.Read<byte[]>(ref r)),
        () => new Question<Order?>((ref MessagePackReader r, RpcSerializer s) => s.Read<Order>(ref r)),
        () => new Question<int[]?>((ref MessagePackReader r, RpcSerializer s) => s.Read<int[]>(ref r)),
        () => new Question<Dictionary<string, long>?>((ref MessagePackReader r, RpcSerializer s) => s.Read<Dictionary<string, long>>(ref r)),
        () => new Question<object?>((ref MessagePackReader r, RpcSerializer s) => s.Read<object>(ref r)),
        () => new Question<Moment?>((ref MessagePackReader r, RpcSerializer s) => s.Read<Moment>(ref r)),
        () => new Question<RpcVoid>(RpcVoid.Read),
        () => new StreamQuestion<Order?>((ref MessagePackReader r, RpcSerializer s) => s.Read<Order>(ref r)),
    ];

    public static Piece Request(uint id, string method, object?[] arguments, uint timeout)
    {
        var body = new FrameBuffer(256);
        body.WriteVarint((uint)Array.IndexOf(s_methods, method));
        body.WriteVarint(timeout == 0 ? 0 : RequestFlags.Deadline);
        if (timeout != 0)
        {
            body.WriteVarint(timeout);
        }

        var writer = new MessagePackWriter(body);
        writer.WriteArrayHeader(arguments.Length);
        foreach (object? argument in arguments)
        {
            RpcSerializer.Default.WriteUntyped(ref writer, argument, 0);
        }

        writer.Flush();
        return new Piece(FrameType.Request, id, body.Written.ToArray());
    }

    private static byte[] Written(object? value)
    {
        var body = new FrameBuffer(256);
        var writer = new MessagePackWriter(body);
        RpcSerializer.Default.WriteUntyped(ref writer, value, 0);
        writer.Flush();
        return body.Written.ToArray();
    }

    // The items of a call's two streams, and their ends.
    private static Piece[] Streamed(uint call) =>
    [
        new(FrameType.StreamItem, call, [1, 7]), new(FrameType.StreamItem, call, [2, .. Written(s_order)]), new(FrameType.StreamEnd, call, [1]),
        new(FrameType.StreamEnd, call, [2, .. Error(0, "System.Exception", null).Body]),
    ];

    private static Piece Greet(FrameType type)
    {
        var body = new FrameBuffer(64);
        FrameBodies.WriteHello(body, new Hello(Hello.Version, Hello.Version, 1 << 20, 1000, "gloox/1.2.3", 1000));
        return new Piece(type, 0, body.Written.ToArray());
    }

    private static Piece Error(uint id, string? type, string? stack)
    {
        var body = new FrameBuffer(64);
        FrameBodies.WriteError(body, RpcError.Remote, "no luck", type, stack);
        return new Piece(FrameType.Error, id, body.Written.ToArray());
    }

    private static Piece GoAway()
    {
        var body = new FrameBuffer(64);
        FrameBodies.WriteGoAway(body, RpcError.ShuttingDown, "bye");
        return new Piece(FrameType.GoAway, 0, body.Written.ToArray());
    }
}
