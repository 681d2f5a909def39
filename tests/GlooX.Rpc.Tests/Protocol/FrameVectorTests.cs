using System.Buffers;
using System.Text;
using System.Text.Json;
using GlooX.Protocol;
using GlooX.RpcRuntime;
using Nerdbank.MessagePack;

namespace GlooX.Rpc.Tests.Protocol;

/// <summary>Varints and whole frames against the vectors, written and read.</summary>
public sealed class FrameVectorTests
{
    private const int Limit = 1 << 20;
    private static readonly JsonElement s_varints = Vectors.Read("varints.json");
    private static readonly JsonElement s_frames = Vectors.Read("frames.json");

    public static TheoryData<string> Frames => Vectors.Names("frames.json", "frames", v => v.Text("name"));

    [Fact]
    public void Varints_are_written_and_read_as_in_the_vectors()
    {
        foreach (JsonElement vector in s_varints.GetProperty("valid").EnumerateArray())
        {
            byte[] written = new byte[Frame.MaxVarint];
            int length = Frame.WriteVarint(written, vector.Number("value"));
            Assert.Equal(vector.Hex(), written[..length]);
        }

        foreach (JsonElement vector in s_varints.GetProperty("valid").EnumerateArray().Concat(s_varints.GetProperty("tolerated").EnumerateArray()))
        {
            Assert.True(Frame.TryReadVarint(vector.Hex(), out uint value, out int length));
            Assert.Equal((vector.Number("value"), vector.Hex().Length), (value, length));
        }
    }

    [Fact]
    public void Varints_that_are_too_long_or_cut_off_are_told_apart()
    {
        Assert.All(s_varints.GetProperty("refused").EnumerateArray(), v => Assert.Throws<RpcException>(() => Frame.TryReadVarint(v.Hex(), out _, out _)));
        Assert.All(s_varints.GetProperty("incomplete").EnumerateArray(), v => Assert.False(Frame.TryReadVarint(v.Hex(), out _, out _)));
    }

    [Theory]
    [MemberData(nameof(Frames))]
    public void A_frame_is_written_and_read_as_in_the_vectors(string name)
    {
        JsonElement vector = s_frames.GetProperty("frames").EnumerateArray().Single(v => v.Text("name") == name);
        if (!vector.TryGetProperty("only", out _))
        {
            Assert.Equal(vector.Text("hex"), Convert.ToHexStringLower(Write(vector)));
        }

        byte[] bytes = vector.Hex();
        Assert.True(Frame.TryRead(bytes, Limit, out int offset, out int length, out FrameType type, out uint id, out _));
        Assert.Equal((vector.Text("type"), vector.Number("id"), bytes.Length), (type.ToString(), id, offset + length));
        AssertBody(vector, type, bytes.AsMemory(offset, length));
    }

    [Fact]
    public void Frames_that_cannot_be_are_refused_with_the_number_in_the_vectors() =>
        Assert.All(s_frames.GetProperty("refused").EnumerateArray(), v =>
            Assert.Equal(v.Number("code"), (uint)Assert.Throws<RpcException>(() => Frame.TryRead(v.Hex(), Limit, out _, out _, out _, out _, out _)).Code));

    private static byte[] Write(JsonElement vector)
    {
        var type = Enum.Parse<FrameType>(vector.Text("type"));
        FrameBuffer frame = FrameBuffer.Begin(type, vector.Number("id"));
        switch (type)
        {
            case FrameType.Hello or FrameType.HelloAck:
                FrameBodies.WriteHello(frame, Greeting(vector));
                break;
            case FrameType.Define:
                frame.Append(Encoding.UTF8.GetBytes(vector.Text("method")));
                break;
            case FrameType.Request:
                frame.WriteVarint(vector.Number("method"));
                frame.WriteVarint(vector.Number("flags"));
                if (vector.TryGetProperty("deadline", out JsonElement deadline))
                {
                    frame.WriteVarint(deadline.GetUInt32());
                }

                if (vector.TryGetProperty("metadata", out JsonElement metadata))
                {
                    WriteValue(frame, metadata);
                }

                WriteValue(frame, vector.GetProperty("arguments"));
                break;
            case FrameType.Response:
                WriteValue(frame, vector.GetProperty("result"));
                break;
            case FrameType.Error or FrameType.GoAway:
                WriteError(frame, vector);
                break;
            case FrameType.StreamItem:
                frame.WriteVarint(vector.Number("stream"));
                WriteValue(frame, vector.GetProperty("item"));
                break;
            case FrameType.StreamEnd:
                frame.WriteVarint(vector.Number("stream"));
                if (vector.TryGetProperty("code", out _))
                {
                    WriteError(frame, vector);
                }

                break;
            case FrameType.Credit:
                frame.WriteVarint(vector.Number("stream"));
                frame.WriteVarint(vector.Number("bytes"));
                break;
        }

        return frame.End().ToArray();
    }

    private static void AssertBody(JsonElement vector, FrameType type, ReadOnlyMemory<byte> body)
    {
        ReadOnlySpan<byte> rest = body.Span;
        switch (type)
        {
            case FrameType.Hello or FrameType.HelloAck:
                (Hello expected, Hello said) = (Greeting(vector), FrameBodies.ReadHello(body));
                Assert.Equal(expected.Tokens, said.Tokens);
                Assert.Equal(expected with { Tokens = Hello.NoTokens }, said with { Tokens = Hello.NoTokens });
                break;
            case FrameType.Define:
                Assert.Equal(vector.Text("method"), FrameBodies.ReadName(body));
                break;
            case FrameType.Request:
                Assert.Equal((vector.Number("method"), vector.Number("flags")), (Frame.ReadVarint(ref rest), Frame.ReadVarint(ref rest)));
                if (vector.TryGetProperty("deadline", out JsonElement deadline))
                {
                    Assert.Equal(deadline.GetUInt32(), Frame.ReadVarint(ref rest));
                }

                var reader = new MessagePackReader(body[^rest.Length..]);
                if (vector.TryGetProperty("metadata", out JsonElement metadata))
                {
                    Assert.Equivalent(Vectors.Value(metadata), RpcSerializer.Default.Read<object>(ref reader), strict: true);
                }

                AssertValue(vector.GetProperty("arguments"), ref reader);
                break;
            case FrameType.Response:
                AssertValue(vector.GetProperty("result"), body);
                break;
            case FrameType.Error or FrameType.GoAway:
                AssertError(vector, body);
                break;
            case FrameType.StreamItem:
                Assert.Equal(vector.Number("stream"), Frame.ReadVarint(ref rest));
                AssertValue(vector.GetProperty("item"), body[^rest.Length..]);
                break;
            case FrameType.StreamEnd:
                Assert.Equal(vector.Number("stream"), Frame.ReadVarint(ref rest));
                Assert.Equal(vector.TryGetProperty("code", out _), !rest.IsEmpty);
                if (!rest.IsEmpty)
                {
                    AssertError(vector, body[^rest.Length..]);
                }

                break;
            case FrameType.Credit:
                Assert.Equal((vector.Number("stream"), vector.Number("bytes")), (Frame.ReadVarint(ref rest), Frame.ReadVarint(ref rest)));
                break;
            default:
                Assert.True(body.IsEmpty);
                break;
        }
    }

    private static Hello Greeting(JsonElement vector) => new(
        vector.Number("minVersion"),
        vector.Number("maxVersion"),
        (int)vector.Number("maxFrame"),
        (int)vector.Number("maxInFlight"),
        vector.Text("software"),
        vector.TryGetProperty("window", out JsonElement window) ? window.GetInt32() : Hello.LeastWindow)
    {
        Tokens = vector.TryGetProperty("tokens", out JsonElement tokens) ? tokens.Deserialize<Dictionary<string, string>>()! : Hello.NoTokens,
    };

    private static void WriteError(FrameBuffer frame, JsonElement vector) =>
        FrameBodies.WriteError(frame, (RpcError)vector.Number("code"), vector.Text("message"), vector.Text("remoteType"), vector.Text("stack"), Detail(vector), InnerCode(vector));

    private static RpcError? InnerCode(JsonElement vector) => vector.TryGetProperty("innerCode", out JsonElement code) ? (RpcError)code.GetUInt32() : null;

    private static RpcFaultDetail? Detail(JsonElement vector)
    {
        if (!vector.TryGetProperty("detailType", out JsonElement type))
        {
            return null;
        }

        var bytes = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(bytes);
        RpcSerializer.Default.Write(ref writer, Vectors.Value(vector.GetProperty("detail")));
        writer.Flush();
        return new RpcFaultDetail(type.GetString()!, bytes.WrittenMemory);
    }

    private static void AssertError(JsonElement vector, ReadOnlyMemory<byte> body)
    {
        Assert.Equal(((RpcError)vector.Number("code"), vector.Text("message"), vector.Text("remoteType"), vector.Text("stack")), FrameBodies.ReadError(body)!);
        Assert.Equal(InnerCode(vector), FrameBodies.ReadFailure(body).Inner);
        RpcFaultDetail? read = FrameBodies.ReadFailure(body).Detail;
        RpcFaultDetail? expected = Detail(vector);
        Assert.Equal((expected?.Type, expected is null), (read?.Type, read is null));
        Assert.Equal(expected?.MessagePack.ToArray(), read?.MessagePack.ToArray());
    }

    private static void WriteValue(FrameBuffer frame, JsonElement json)
    {
        var writer = new MessagePackWriter(frame);
        RpcSerializer.Default.Write(ref writer, Vectors.Value(json));
        writer.Flush();
    }

    private static void AssertValue(JsonElement expected, ReadOnlyMemory<byte> bytes)
    {
        var reader = new MessagePackReader(bytes);
        AssertValue(expected, ref reader);
    }

    private static void AssertValue(JsonElement expected, ref MessagePackReader reader)
    {
        Assert.Equivalent(Vectors.Value(expected), RpcSerializer.Default.Read<object>(ref reader), strict: true);
        Assert.True(reader.End);
    }
}
