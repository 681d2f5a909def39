using System.Text;
using GlooX.Grid.Channels;

namespace GlooX.Channels;

/// <summary>What a channel takes. Only the node that writes asks: what another node took is taken here too, or nodes would differ.</summary>
internal static class ChannelLimits
{
    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>Whether a value may be set, as far as this node knows what there is.</summary>
    /// <exception cref="ChannelException">It may not.</exception>
    public static void Check(Replica replica, string key, byte[] value)
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

        Entry? old = replica.Find(key);
        bool isNew = old is not { IsLive: true };
        long more = value.Length - (isNew ? -2L * key.Length : old!.Value!.Length);
        if ((isNew && replica.Count >= spec.MaxEntries) || (more > 0 && replica.Bytes + more > spec.MaxBytes))
        {
            throw new ChannelException(ChannelError.Full, replica.Name, $"'{key}' does not fit: it has {replica.Count} of {spec.MaxEntries} entries and {replica.Bytes} of {spec.MaxBytes} bytes");
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
}
