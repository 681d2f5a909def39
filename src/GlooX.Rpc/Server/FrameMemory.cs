namespace GlooX.Server;

/// <summary>
/// The memory of partly received frames, over all connections of a server: a connection reserves memory before its buffer grows beyond the size
/// that every connection may have. Thread-safe.
/// </summary>
/// <param name="most">The limit in bytes; a single connection may exceed it.</param>
internal sealed class FrameMemory(long most)
{
    private long _held;

    /// <summary>The bytes reserved now.</summary>
    public long Held => Volatile.Read(ref _held);

    /// <summary>Reserves memory for a connection.</summary>
    /// <param name="bytes">How much more.</param>
    /// <param name="own">How much the connection holds already.</param>
    /// <returns>False: the limit is reached; nothing was reserved.</returns>
    public bool TryTake(long bytes, long own)
    {
        long held = Interlocked.Add(ref _held, bytes);
        if (held <= most || held == own + bytes)
        {
            return true;
        }

        Return(bytes);
        return false;
    }

    public RpcException Refusal() => new(RpcError.Overloaded, $"the limit of {most} bytes for partly received messages is reached (MaxFrameMemory): send smaller messages, or later");

    public void Return(long bytes) => Interlocked.Add(ref _held, -bytes);
}
