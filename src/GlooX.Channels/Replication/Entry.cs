using System.Buffers.Binary;
using System.Globalization;

namespace GlooX.Channels.Replication;

[Flags]
internal enum EntryFlags
{
    None = 0,

    /// <summary>The key was deleted.</summary>
    Tombstone = 1,

    /// <summary>It lives as long as the process that wrote it is a member.</summary>
    Ephemeral = 2,

    /// <summary>What one node has added to a counter.</summary>
    Counter = 4,
}

/// <summary>
/// A key's last write, as far as a replica knows. Immutable but for the key, which is replaced by an equal one to save memory. Its origin
/// and <see cref="Sequence"/> name the write; of entries with one key the one with the greater stamp wins.
/// </summary>
internal sealed class Entry(string key, byte[]? value, Stamp stamp, ulong sequence, EntryFlags flags, long expiresAt)
{
    public string Key { get; set; } = key;

    /// <summary>MessagePack; null in a tombstone.</summary>
    public byte[]? Value { get; } = value;

    public Stamp Stamp { get; } = stamp;

    public ulong Sequence { get; } = sequence;

    public EntryFlags Flags { get; } = flags;

    /// <summary>In <see cref="Instant.Mono"/> of this process; 0: never. Others are told how long is left, so clocks need not agree.</summary>
    public long ExpiresAt { get; } = expiresAt;

    /// <summary>Its place in <see cref="EntryOrder"/>, which sets it.</summary>
    public int Slot { get; set; }

    public bool IsLive => (Flags & EntryFlags.Tombstone) == EntryFlags.None;

    public bool IsCounter => (Flags & EntryFlags.Counter) != EntryFlags.None;

    public bool IsEphemeral => (Flags & EntryFlags.Ephemeral) != EntryFlags.None;

    public bool IsOfSameWrite(Entry other) => Stamp.Node == other.Stamp.Node && Sequence == other.Sequence;

    /// <summary>What becomes of it, on every node alike, when its time or its owner is over.</summary>
    public Entry Ended() => new(Key, null, Stamp.Derived, Sequence, (Flags & EntryFlags.Counter) | EntryFlags.Tombstone, 0);
}
