namespace GlooX.Channels.Replication;

/// <summary>Hashes that are the same in every process. Not for use against malice: who writes to a channel is trusted.</summary>
internal static class Hash
{
    /// <summary>FNV-1a (Fowler, Noll, Vo) over the characters, then mixed.</summary>
    public static ulong OfKey(string key)
    {
        ulong hash = 0xCBF29CE484222325;
        foreach (char c in key)
        {
            hash = (hash ^ c) * 0x100000001B3;
        }

        return Mix(hash);
    }

    /// <summary>As <see cref="OfKey"/>, over bytes.</summary>
    public static ulong OfBytes(ReadOnlySpan<byte> bytes)
    {
        ulong hash = 0xCBF29CE484222325;
        foreach (byte b in bytes)
        {
            hash = (hash ^ b) * 0x100000001B3;
        }

        return Mix(hash);
    }

    /// <summary>Of a key and the stamp of what it holds; a stamp stands for its value.</summary>
    public static ulong OfEntry(ulong keyHash, Stamp stamp) => Mix(keyHash ^ Mix(stamp.Time ^ Mix(stamp.Node)));

    // The finalizer of MurmurHash3 (Appleby).
    private static ulong Mix(ulong x)
    {
        x = (x ^ (x >> 33)) * 0xFF51AFD7ED558CCD;
        x = (x ^ (x >> 33)) * 0xC4CEB9FE1A85EC53;
        return x ^ (x >> 33);
    }
}
