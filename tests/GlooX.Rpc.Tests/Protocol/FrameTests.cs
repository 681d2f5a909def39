using CsCheck;
using GlooX.Protocol;

namespace GlooX.Rpc.Tests.Protocol;

/// <summary>The frame reader over bytes: whole, cut, hostile.</summary>
public sealed class FrameTests
{
    private const int Limit = 1 << 20;

    [Theory]
    [InlineData(0u, new byte[] { 0 })]
    [InlineData(127u, new byte[] { 0x7F })]
    [InlineData(128u, new byte[] { 0x80, 1 })]
    [InlineData(300u, new byte[] { 0xAC, 2 })]
    [InlineData(uint.MaxValue, new byte[] { 0xFF, 0xFF, 0xFF, 0xFF, 0x0F })]
    public void A_varint_has_one_form(uint value, byte[] bytes)
    {
        byte[] written = new byte[Frame.MaxVarint];
        int length = Frame.WriteVarint(written, value);
        Assert.Equal(bytes, written[..length]);
        Assert.Equal(length, Frame.VarintLength(value));
        Assert.True(Frame.TryReadVarint(bytes, out uint read, out int used));
        Assert.Equal((value, length), (read, used));
    }

    [Theory]
    [InlineData(new byte[] { 0xFF, 0xFF, 0xFF, 0xFF, 0x1F })]
    [InlineData(new byte[] { 0x80, 0x80, 0x80, 0x80, 0x80, 0x01 })]
    public void A_varint_of_more_than_32_bits_is_refused(byte[] bytes) =>
        Assert.Equal(RpcError.Protocol, Assert.Throws<RpcException>(() => Frame.TryReadVarint(bytes, out _, out _)).Code);

    [Fact]
    public void A_frame_that_is_too_long_is_refused_before_it_has_arrived()
    {
        byte[] head = new byte[Frame.MaxVarint];
        int length = Frame.WriteVarint(head, Limit + 1);
        Assert.Equal(RpcError.TooLarge, Assert.Throws<RpcException>(() => Frame.TryRead(head.AsSpan(0, length), Limit, out _, out _, out _, out _, out _)).Code);
    }

    [Fact]
    public void An_empty_frame_is_refused() =>
        Assert.Equal(RpcError.Protocol, Assert.Throws<RpcException>(() => Frame.TryRead([0], Limit, out _, out _, out _, out _, out _)).Code);

    [Fact]
    public void What_was_written_is_read_wherever_it_is_cut() =>
        Gen.Select(Gen.Byte[0, 13], Gen.UInt, Gen.Byte.Array[0, 300], Gen.Int[0, 400]).Sample(
            (type, id, body, cut) =>
            {
                FrameBuffer buffer = FrameBuffer.Begin((FrameType)type, id);
                buffer.Append(body);
                byte[] bytes = buffer.End().ToArray();
                if (cut < bytes.Length)
                {
                    Assert.False(Frame.TryRead(bytes.AsSpan(0, cut), Limit, out _, out _, out _, out _, out int needed));
                    Assert.True(needed == 0 || needed == bytes.Length);
                }

                Assert.True(Frame.TryRead(bytes, Limit, out int offset, out int length, out FrameType readType, out uint readId, out _));
                Assert.Equal(((FrameType)type, id, bytes.Length), (readType, readId, offset + length));
                Assert.Equal(body, bytes[offset..]);
            },
            iter: 20_000);

    [Fact]
    public void Hostile_bytes_give_a_frame_within_them_or_a_typed_error() =>
        Gen.Byte.Array[0, 64].Sample(
            bytes =>
            {
                try
                {
                    if (Frame.TryRead(bytes, Limit, out int offset, out int length, out _, out _, out _))
                    {
                        Assert.InRange(offset, 2, bytes.Length);
                        Assert.InRange(length, 0, bytes.Length - offset);
                    }
                }
                catch (RpcException e)
                {
                    Assert.Contains(e.Code, new[] { RpcError.Protocol, RpcError.TooLarge });
                }
            },
            iter: 100_000);
}
