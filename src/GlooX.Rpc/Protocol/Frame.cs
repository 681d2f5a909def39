using System.Diagnostics.CodeAnalysis;

namespace GlooX.Protocol;

/// <summary>The kinds of frame. The numbers are part of the protocol; <c>docs/protocol.md</c> has the bodies.</summary>
internal enum FrameType : byte
{
    Hello = 1,
    HelloAck = 2,
    Define = 3,
    Request = 4,
    Response = 5,
    Error = 6,
    Cancel = 7,
    StreamItem = 8,
    StreamEnd = 9,
    Credit = 10,
    Ping = 11,
    Pong = 12,
    GoAway = 13,
}

/// <summary>
/// Frames on the wire: <c>varint length · type · varint id · body</c>, where length counts everything after itself.
/// Pure functions over bytes; no clock, no socket.
/// </summary>
internal static class Frame
{
    /// <summary>The longest varint of 32 bits.</summary>
    public const int MaxVarint = 5;

    /// <summary>
    /// Finds the next frame in <paramref name="buffer"/>.
    /// </summary>
    /// <param name="buffer">Bytes received and not yet consumed.</param>
    /// <param name="maxLength">Longest allowed frame.</param>
    /// <param name="bodyOffset">Where the body begins.</param>
    /// <param name="bodyLength">The length of the body.</param>
    /// <param name="type">The frame's kind (not checked).</param>
    /// <param name="id">The frame's id.</param>
    /// <param name="needed">When the frame is not complete: how many bytes the whole frame needs, or 0 if that is not known yet.</param>
    /// <returns>True: the buffer contains a whole frame.</returns>
    /// <exception cref="RpcException"><see cref="RpcError.TooLarge"/> or <see cref="RpcError.Protocol"/>.</exception>
    public static bool TryRead(
        ReadOnlySpan<byte> buffer, int maxLength, out int bodyOffset, out int bodyLength, out FrameType type, out uint id, out int needed)
    {
        bodyOffset = bodyLength = needed = 0;
        type = default;
        id = 0;
        if (!TryReadVarint(buffer, out uint length, out int head))
        {
            return false;
        }

        if (length > (uint)maxLength)
        {
            ThrowTooLarge(length, maxLength);
        }

        if (buffer.Length - head < (int)length)
        {
            needed = head + (int)length;
            return false;
        }

        ReadOnlySpan<byte> frame = buffer.Slice(head, (int)length);
        if (frame.IsEmpty || !TryReadVarint(frame[1..], out id, out int idLength))
        {
            ThrowMalformed();
            return false;
        }

        type = (FrameType)frame[0];
        bodyOffset = head + 1 + idLength;
        bodyLength = (int)length - 1 - idLength;
        return true;
    }

    /// <summary>Reads a varint (LEB128, at most 32 bits). False: more bytes are needed.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.Protocol"/>: longer than 32 bits.</exception>
    public static bool TryReadVarint(ReadOnlySpan<byte> source, out uint value, out int length)
    {
        value = 0;
        for (int i = 0; i < source.Length; i++)
        {
            byte b = source[i];
            if (i == MaxVarint - 1 && b > 0x0F)
            {
                ThrowMalformed();
            }

            value |= (uint)(b & 0x7F) << (7 * i);
            if (b < 0x80)
            {
                length = i + 1;
                return true;
            }
        }

        length = 0;
        return false;
    }

    /// <summary>Reads a varint and advances.</summary>
    /// <exception cref="RpcException"><see cref="RpcError.Protocol"/>: truncated or too long.</exception>
    public static uint ReadVarint(ref ReadOnlySpan<byte> source)
    {
        if (!TryReadVarint(source, out uint value, out int length))
        {
            ThrowMalformed();
        }

        source = source[length..];
        return value;
    }

    /// <summary>Writes a varint; returns its length.</summary>
    public static int WriteVarint(Span<byte> target, uint value)
    {
        int i = 0;
        while (value >= 0x80)
        {
            target[i++] = (byte)(value | 0x80);
            value >>= 7;
        }

        target[i++] = (byte)value;
        return i;
    }

    public static int VarintLength(uint value) =>
        value < 1u << 7 ? 1 : value < 1u << 14 ? 2 : value < 1u << 21 ? 3 : value < 1u << 28 ? 4 : 5;

    [DoesNotReturn]
    private static void ThrowTooLarge(uint length, int max) =>
        throw new RpcException(RpcError.TooLarge, $"a frame of {length} bytes is larger than the limit of {max} bytes");

    [DoesNotReturn]
    private static void ThrowMalformed() => throw new RpcException(RpcError.Protocol, "malformed frame");
}
