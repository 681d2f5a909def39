namespace GlooX.Server;

/// <summary>
/// What frames that have not come completely hold in a server, over all its connections: a connection asks before its buffer grows beyond
/// the size that each may have. Thread-safe.
/// </summary>
/// <param name="most">Most bytes; one connection alone may have more.</param>
internal sealed class FrameMemory(long most)
{
    private long _held;

    /// <summary>Bytes that are held now.</summary>
    public long Held => Volatile.Read(ref _held);

    /// <summary>Takes more for a connection.</summary>
    /// <param name="bytes">How much more.</param>
    /// <param name="own">What it holds already.</param>
    /// <returns>False: there is no room beside what others hold; nothing was taken.</returns>
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

    public RpcException Refusal() => new(RpcError.Overloaded, $"the messages that are on their way to this process take up the {most} bytes that it keeps for them (MaxFrameMemory): send smaller ones, or later");

    public void Return(long bytes) => Interlocked.Add(ref _held, -bytes);
}
