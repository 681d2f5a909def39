using System.Text;
using GlooX.Channels.Replication;

namespace GlooX.Channels;

/// <summary>What a channel takes. Only the node that writes asks: what another node took is taken here too, or nodes would differ.</summary>
internal static class ChannelLimits
{
    /// <summary>So many deleted keys, and so many bytes of them, are not yet forgotten in a channel that takes fewer entries: it may change often.</summary>
    private const int MinTombstones = 65_536;
    private const long MinTombstoneBytes = 16L << 20;

    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Whether a value may be set, as far as this node knows what there is.</summary>
    /// <exception cref="ChannelException">It may not.</exception>
    public static void Check(Replica replica, string key, byte[] value)
    {
        CheckAlone(replica, key, value);
        CheckRoom(replica, key, value.Length, OldLength(replica, key), replica.Count, replica.Bytes);
    }

    /// <summary>Whether a counter may be added to: the part that this node writes takes up room, and the counter if it is new.</summary>
    /// <exception cref="ChannelException">It may not. Nothing was added.</exception>
    public static void CheckCounter(Replica replica, string key, ulong self)
    {
        CheckKey(key, replica.Spec, "a key", replica.Name);
        Entry? old = replica.Find(key);
        if (old is { IsLive: true })
        {
            throw new ChannelException(ChannelError.WrongKind, replica.Name, $"the key '{key}' holds a value and is no counter: delete it first");
        }

        Counter? counter = replica.Counters.GetValueOrDefault(key);
        if (counter?.Parts.ContainsKey(self) == true)
        {
            return; // what it has may change
        }

        string part = CounterKey.Of(key, self);
        CheckTombstones(replica, part);
        CheckLimits(replica, key, isNew: counter is null, (2L * part.Length) + CounterKey.Value(0).Length, replica.Count, replica.Bytes);
    }

    /// <summary>Whether values may be set one after the other: what the first take up is not there for the last.</summary>
    /// <exception cref="ChannelException">One of them may not.</exception>
    public static void Check(Replica replica, IReadOnlyList<KeyValuePair<string, byte[]>> entries)
    {
        long most = 0;
        foreach ((string key, byte[] value) in entries)
        {
            CheckAlone(replica, key, value);
            most += (2L * key.Length) + value.Length;
        }

        if (replica.Count + entries.Count <= replica.Spec.MaxEntries && replica.Bytes + most <= replica.Spec.MaxBytes && HasRoomForTombstones(replica))
        {
            return;
        }

        Dictionary<string, int> set = new(StringComparer.Ordinal);
        (long count, long bytes) = (replica.Count, replica.Bytes);
        foreach ((string key, byte[] value) in entries)
        {
            int? old = set.TryGetValue(key, out int length) ? length : OldLength(replica, key);
            bytes += CheckRoom(replica, key, value.Length, old, count, bytes);
            count += old is null ? 1 : 0;
            set[key] = value.Length;
        }
    }

    /// <exception cref="ChannelException">It is no key.</exception>
    public static void CheckKey(string key, ChannelSpec spec, string what, string channel)
    {
        ArgumentNullException.ThrowIfNull(key);
        int length = 0;
        try
        {
            length = Ascii.IsValid(key) ? key.Length : s_strict.GetByteCount(key);
        }
        catch (EncoderFallbackException)
        {
            throw new ChannelException(ChannelError.BadKey, channel, $"{what} must be text; half a surrogate pair is none");
        }

        if (length == 0 || length > spec.MaxKeyBytes || key[0] == CounterKey.Mark)
        {
            throw new ChannelException(ChannelError.BadKey, channel, $"{what} must have 1 to {spec.MaxKeyBytes} bytes and not begin with U+0001; this one has {length}");
        }
    }

    private static void CheckAlone(Replica replica, string key, byte[] value)
    {
        ChannelSpec spec = replica.Spec;
        CheckKey(key, spec, "a key", replica.Name);
        if (value.Length > spec.MaxValueBytes)
        {
            throw new ChannelException(ChannelError.ValueTooLarge, replica.Name, $"the value of '{key}' has {value.Length} bytes, more than {spec.MaxValueBytes}");
        }

        if (replica.Counters.ContainsKey(key))
        {
            throw new ChannelException(ChannelError.WrongKind, replica.Name, $"the key '{key}' is a counter: delete it first");
        }
    }

    private static int? OldLength(Replica replica, string key) => replica.Find(key) is { IsLive: true } old ? old.Value!.Length : null;

    /// <summary>Returns how many bytes it takes up more than what is there.</summary>
    private static long CheckRoom(Replica replica, string key, int length, int? old, long count, long bytes)
    {
        if (old is null)
        {
            CheckTombstones(replica, key);
        }

        long more = length - (old ?? (-2L * key.Length));
        CheckLimits(replica, key, isNew: old is null, more, count, bytes);
        return more;
    }

    private static void CheckLimits(Replica replica, string key, bool isNew, long more, long count, long bytes)
    {
        ChannelSpec spec = replica.Spec;
        if ((isNew && count >= spec.MaxEntries) || (more > 0 && bytes + more > spec.MaxBytes))
        {
            throw new ChannelException(ChannelError.Full, replica.Name, $"'{key}' does not fit: it has {count} of {spec.MaxEntries} entries and {bytes} of {spec.MaxBytes} bytes");
        }
    }

    // Deleting is always possible, so what can be refused is the next new key.
    private static void CheckTombstones(Replica replica, string key)
    {
        if (!HasRoomForTombstones(replica) && replica.Find(key) is null)
        {
            throw new ChannelException(
                ChannelError.Full,
                replica.Name,
                $"'{key}' does not fit: {replica.Tombstones} keys of {replica.TombstoneBytes} bytes were deleted lately, and are remembered until all nodes have heard of it. Try again later");
        }
    }

    private static bool HasRoomForTombstones(Replica replica) =>
        replica.Tombstones < Math.Max(replica.Spec.MaxEntries, MinTombstones) && replica.TombstoneBytes < Math.Max(replica.Spec.MaxBytes, MinTombstoneBytes);
}
