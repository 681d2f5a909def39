using System.Buffers.Binary;
using System.Numerics;

namespace GlooX.Channels.Storage;

/// <summary>CRC-32C beside everything on disk: SQLite itself does not notice a flipped bit in a value.</summary>
internal static class Checksum
{
    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }

        foreach (byte b in bytes)
        {
            crc = BitOperations.Crc32C(crc, b);
        }

        return ~crc;
    }

    /// <summary>The bytes behind their checksum.</summary>
    public static byte[] Seal(ReadOnlySpan<byte> bytes)
    {
        byte[] whole = new byte[sizeof(uint) + bytes.Length];
        BinaryPrimitives.WriteUInt32LittleEndian(whole, Of(bytes));
        bytes.CopyTo(whole.AsSpan(sizeof(uint)));
        return whole;
    }

    /// <summary>The reverse of <see cref="Seal"/>.</summary>
    /// <exception cref="DamagedStateException">The checksum differs.</exception>
    public static ReadOnlySpan<byte> Open(ReadOnlySpan<byte> whole, string what) =>
        whole.Length >= sizeof(uint) && BinaryPrimitives.ReadUInt32LittleEndian(whole) == Of(whole[sizeof(uint)..])
            ? whole[sizeof(uint)..]
            : throw new DamagedStateException($"the checksum of {what} is wrong");
}
