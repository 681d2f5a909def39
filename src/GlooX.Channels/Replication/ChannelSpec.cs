namespace GlooX.Channels.Replication;

/// <summary>What was fixed when a channel was created, as it travels in the directory.</summary>
/// <param name="Generation">Counts how often the name was removed before: who comes back with what was removed does not bring it back.</param>
/// <param name="Exists">False: removed.</param>
/// <param name="MaxEntries">Most keys that a write may lead to.</param>
/// <param name="MaxBytes">Most bytes of keys and values that a write may lead to.</param>
/// <param name="MaxKeyBytes">Longest key, as UTF-8.</param>
/// <param name="MaxValueBytes">Largest value.</param>
/// <param name="TimeToLive">Of entries that are written without one, in milliseconds; 0: for ever.</param>
/// <param name="Durability">0: in memory; 1, 2, 3: on disk, see the public options.</param>
/// <param name="Acknowledgement">What writes wait for unless they say otherwise; as the public enum.</param>
/// <param name="Readers">The roles that may read, as bits of the public enum; agents may in any case.</param>
/// <param name="Writers">The roles that may write.</param>
internal sealed record ChannelSpec(
    ulong Generation,
    bool Exists,
    int MaxEntries,
    long MaxBytes,
    int MaxKeyBytes,
    int MaxValueBytes,
    long TimeToLive,
    int Durability,
    int Acknowledgement,
    int Readers = ChannelSpec.AllRoles,
    int Writers = ChannelSpec.WritingRoles)
{
    /// <summary>Observer, child, client, agent.</summary>
    public const int AllRoles = 15;

    /// <summary>The same without observers.</summary>
    public const int WritingRoles = 14;

    public static ChannelSpec Default { get; } = new(1, true, 1_000_000, 1L << 30, 1024, 1 << 20, 0, 0, 0);

    public bool IsDurable => Durability > 0;

    public byte[] ToBytes()
    {
        var writer = new WireWriter();
        writer.Varint(Generation);
        writer.Byte(Exists ? (byte)1 : (byte)0);
        writer.Varint((ulong)MaxEntries);
        writer.Varint((ulong)MaxBytes);
        writer.Varint((ulong)MaxKeyBytes);
        writer.Varint((ulong)MaxValueBytes);
        writer.Varint((ulong)TimeToLive);
        writer.Varint((ulong)Durability);
        writer.Varint((ulong)Acknowledgement);
        writer.Varint((ulong)Readers);
        writer.Varint((ulong)Writers);
        return writer.ToArray();
    }

    /// <exception cref="InvalidDataException">It is none.</exception>
    public static ChannelSpec Read(ReadOnlySpan<byte> bytes)
    {
        var reader = new WireReader(bytes);
        var spec = new ChannelSpec(
            reader.Varint(), reader.Byte() != 0, reader.Int(), (long)reader.Varint(), reader.Int(), reader.Int(), (long)reader.Varint(), reader.Int(), reader.Int());
        return reader.IsAtEnd ? spec : spec with { Readers = reader.Int(), Writers = reader.Int() }; // without them: written by an earlier version
    }
}
