using System.Buffers;

namespace GlooX.Protocol;

/// <summary>A growing byte array: a buffer for one frame, or a batch of frames to be sent. Not thread-safe.</summary>
internal sealed class FrameBuffer(int capacity) : IBufferWriter<byte>
{
    // Space for the length, which is known only when the frame is complete.
    private const int Reserved = Frame.MaxVarint;

    [ThreadStatic]
    private static FrameBuffer? t_scratch;

    private byte[] _bytes = new byte[capacity];

    public int Length { get; private set; }

    public int Capacity => _bytes.Length;

    public ReadOnlyMemory<byte> Written => _bytes.AsMemory(0, Length);

    /// <summary>This thread's buffer, with the header of a frame in it.</summary>
    public static FrameBuffer Begin(FrameType type, uint id)
    {
        FrameBuffer scratch = t_scratch ?? new FrameBuffer(4096);
        t_scratch = null; // a converter may make a call of its own before this frame is complete
        scratch.Length = Reserved;
        Span<byte> span = scratch.GetSpan(1 + Frame.MaxVarint);
        span[0] = (byte)type;
        scratch.Length += 1 + Frame.WriteVarint(span[1..], id);
        return scratch;
    }

    /// <summary>Completes the frame started by <see cref="Begin"/>. The bytes are valid until this thread begins another frame.</summary>
    public ReadOnlySpan<byte> End()
    {
        uint length = (uint)(Length - Reserved);
        int start = Reserved - Frame.VarintLength(length);
        Frame.WriteVarint(_bytes.AsSpan(start), length);
        t_scratch = _bytes.Length > 1 << 20 ? null : this; // a large message must not keep its buffer alive on every thread that wrote one

        return _bytes.AsSpan(start, Length - start);
    }

    public void WriteVarint(uint value) => Length += Frame.WriteVarint(GetSpan(Frame.MaxVarint), value);

    public void WriteByte(byte value)
    {
        GetSpan(1)[0] = value;
        Length++;
    }

    public void Append(ReadOnlySpan<byte> bytes)
    {
        Ensure(bytes.Length);
        bytes.CopyTo(_bytes.AsSpan(Length));
        Length += bytes.Length;
    }

    public void Clear(int keepCapacity)
    {
        Length = 0;
        if (_bytes.Length > keepCapacity)
        {
            _bytes = new byte[keepCapacity];
        }
    }

    public void Advance(int count) => Length += count;

    public Memory<byte> GetMemory(int sizeHint = 0)
    {
        Ensure(Math.Max(sizeHint, 256));
        return _bytes.AsMemory(Length);
    }

    public Span<byte> GetSpan(int sizeHint = 0)
    {
        Ensure(Math.Max(sizeHint, 256));
        return _bytes.AsSpan(Length);
    }

    private void Ensure(int more)
    {
        if (_bytes.Length - Length < more)
        {
            Array.Resize(ref _bytes, (int)Math.Min(Array.MaxLength, Math.Max(_bytes.Length * 2L, (long)Length + more)));
        }
    }
}
