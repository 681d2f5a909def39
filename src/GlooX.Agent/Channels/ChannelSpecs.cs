using GlooX.Channels.Replication;

namespace GlooX.Channels;

/// <summary>Options and versions of channels, between the forms of users and of replicas.</summary>
internal static class ChannelSpecs
{
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public static ChannelSpec ToSpec(this ChannelOptions options)
    {
        options.Checked();
        return new ChannelSpec(
            1, true, options.MaxEntries, options.MaxBytes, options.MaxKeyBytes, options.MaxValueBytes, (long)(options.TimeToLive?.TotalMilliseconds ?? 0),
            (int)options.Durability, (int)options.Acknowledge, (int)options.Readers, (int)options.Writers);
    }

    public static ChannelOptions ToOptions(this ChannelSpec spec) => new()
    {
        MaxEntries = spec.MaxEntries,
        MaxBytes = spec.MaxBytes,
        MaxKeyBytes = spec.MaxKeyBytes,
        MaxValueBytes = spec.MaxValueBytes,
        TimeToLive = spec.TimeToLive == 0 ? null : TimeSpan.FromMilliseconds(spec.TimeToLive),
        Durability = (ChannelDurability)spec.Durability,
        Acknowledge = (Acknowledgement)spec.Acknowledgement,
        Readers = (RpcRole)spec.Readers,
        Writers = (RpcRole)spec.Writers,
    };

    public static ChannelVersion ToVersion(this Stamp stamp) => new(stamp.Time, stamp.Node);
}
