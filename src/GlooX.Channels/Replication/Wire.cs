using System.Buffers.Binary;
using System.Text;
using System.Text.Unicode;

namespace GlooX.Channels.Replication;

/// <summary>Writes what nodes tell each other: varints (LEB128), little-endian words, strings and bytes with their length before them.</summary>
internal sealed class WireWriter(int capacity = 256)
{
    private byte[] _buffer = new byte[capacity];

    public int Length { get; private set; }

    public ReadOnlyMemory<byte> Written => _buffer.AsMemory(0, Length);

    public void Byte(byte value) => Reserve(1)[0] = value;

    public void Varint(ulong value)
    {
        Span<byte> to = Reserve(10);
        int i = 0;
        for (; value >= 0x80; value >>= 7)
        {
            to[i++] = (byte)(value | 0x80);
        }

        to[i++] = (byte)value;
        Length -= 10 - i;
    }

    public void Word(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Reserve(sizeof(ulong)), value);

    public void String(string value)
    {
        int length = Encoding.UTF8.GetByteCount(value);
        Varint((ulong)length);
        Encoding.UTF8.GetBytes(value, Reserve(length));
    }

    public void Bytes(ReadOnlySpan<byte> value)
    {
        Varint((ulong)value.Length);
        value.CopyTo(Reserve(value.Length));
    }

    /// <summary>Replaces a word that was written before.</summary>
    public void Patch(int at, ulong word) => BinaryPrimitives.WriteUInt64LittleEndian(_buffer.AsSpan(at), word);

    public byte[] ToArray() => _buffer.AsSpan(0, Length).ToArray();

    public void Clear() => Length = 0;

    private Span<byte> Reserve(int count)
    {
        if (_buffer.Length - Length < count)
        {
            Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, Length + count));
        }

        Length += count;
        return _buffer.AsSpan(Length - count, count);
    }
}

/// <summary>Reads what <see cref="WireWriter"/> wrote; whatever else comes is an <see cref="InvalidDataException"/>.</summary>
internal ref struct WireReader(ReadOnlySpan<byte> bytes)
{
    private ReadOnlySpan<byte> _rest = bytes;

    public readonly bool IsAtEnd => _rest.IsEmpty;

    public readonly int Rest => _rest.Length;

    public byte Byte() => Take(1)[0];

    public ulong Varint()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            byte next = Byte();
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
            {
                return value;
            }
        }

        throw new InvalidDataException("a number is longer than it may be");
    }

    public int Int() => Varint() is <= int.MaxValue and var value ? (int)value : throw new InvalidDataException("a number is greater than it may be");

    /// <summary>A number of things that are to follow, each of at least one byte.</summary>
    public int Count() => Int() is var count && count <= _rest.Length ? count : throw new InvalidDataException("more is announced than is there");

    public ulong Word() => BinaryPrimitives.ReadUInt64LittleEndian(Take(sizeof(ulong)));

    public string String()
    {
        ReadOnlySpan<byte> utf8 = Bytes();
        return Utf8.IsValid(utf8) ? Encoding.UTF8.GetString(utf8) : throw new InvalidDataException("a name is no UTF-8");
    }

    public ReadOnlySpan<byte> Bytes() => Take(Count());

    private ReadOnlySpan<byte> Take(int count)
    {
        if (count > _rest.Length)
        {
            throw new InvalidDataException("it ends too early");
        }

        ReadOnlySpan<byte> taken = _rest[..count];
        _rest = _rest[count..];
        return taken;
    }
}
