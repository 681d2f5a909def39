using System.Text;
using GlooX.Channels.Replication;

namespace GlooX.Channels;

/// <summary>What a channel takes. Only the node that writes asks: what another node took is taken here too, or nodes would differ.</summary>
internal static class ChannelLimits
{
    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Whether a value may be set, as far as this node knows what there is.</summary>
    /// <exception cref="ChannelException">It may not.</exception>
    public static void Check(Replica replica, string key, byte[] value)
    {
        CheckAlone(replica, key, value);
        CheckRoom(replica, key, value, OldLength(replica, key), replica.Count, replica.Bytes);
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

        if (replica.Count + entries.Count <= replica.Spec.MaxEntries && replica.Bytes + most <= replica.Spec.MaxBytes)
        {
            return;
        }

        Dictionary<string, int> set = new(StringComparer.Ordinal);
        (long count, long bytes) = (replica.Count, replica.Bytes);
        foreach ((string key, byte[] value) in entries)
        {
            int? old = set.TryGetValue(key, out int length) ? length : OldLength(replica, key);
            bytes += CheckRoom(replica, key, value, old, count, bytes);
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
    private static long CheckRoom(Replica replica, string key, byte[] value, int? old, long count, long bytes)
    {
        ChannelSpec spec = replica.Spec;
        long more = value.Length - (old ?? (-2L * key.Length));
        return (old is not null || count < spec.MaxEntries) && (more <= 0 || bytes + more <= spec.MaxBytes)
            ? more
            : throw new ChannelException(ChannelError.Full, replica.Name, $"'{key}' does not fit: it has {count} of {spec.MaxEntries} entries and {bytes} of {spec.MaxBytes} bytes");
    }
}
