using System.Buffers.Binary;
using System.Diagnostics;

namespace GlooX.Bench.Maps;

/// <summary>
/// A value of 64 bytes that says when it was set. All processes of a machine read the same monotonic clock, so who receives it can tell how
/// long it took.
/// </summary>
/// <param name="SetAt">As <see cref="Stopwatch.GetTimestamp"/> gives it.</param>
/// <param name="Round">The round that it belongs to.</param>
/// <param name="IsLast">Whether its key gets no more in this round.</param>
internal readonly record struct Stamped(long SetAt, int Round, bool IsLast)
{
    public const int Length = 64;

    public static byte[] Now(int round = -1, bool isLast = false)
    {
        byte[] bytes = new byte[Length];
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(8), round);
        bytes[12] = isLast ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteInt64LittleEndian(bytes, Stopwatch.GetTimestamp());
        return bytes;
    }

    public static Stamped Read(ReadOnlySpan<byte> bytes) =>
        new(BinaryPrimitives.ReadInt64LittleEndian(bytes), BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]), bytes[12] == 1);
}
