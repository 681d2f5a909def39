using System.Globalization;

namespace GlooX.Channels.Replication;

/// <summary>
/// Which channels there are: a replica of its own, from names to <see cref="ChannelSpec"/>. A removed name stays for a while, with a
/// generation that counts before the stamp, so that a node that was away does not bring the channel back.
/// </summary>
internal sealed class ChannelDirectory(Replicator owner, ReplicatorOptions options)
{
    /// <summary>The name of the directory's replica; no channel has it.</summary>
    public const string Name = "";

    private readonly SortedDictionary<string, Replica> _channels = new(StringComparer.Ordinal)
    {
        [Replicator.BuiltIn] = new Replica(Replicator.BuiltIn, ChannelSpec.Default),
    };

    // A removal concerns the generation that it names, not a later one that its maker had not heard of.
    public Replica Replica { get; } = new(Name, ChannelSpec.Default, static e => e.Value is { } spec ? ChannelSpec.Read(spec).Generation : 0);

    public IReadOnlyDictionary<string, Replica> Channels => _channels;

    public Replica? Find(string name) => name.Length == 0 ? Replica : _channels.GetValueOrDefault(name);

    /// <summary>Creates a channel that does not exist.</summary>
    /// <returns>The write in the directory.</returns>
    public Entry Create(string name, ChannelSpec spec, Instant now)
    {
        ulong generation = (Generation(name) ?? Generation(GenerationKey(name)) ?? 0) + 1;
        byte[] created = (spec with { Generation = generation, Exists = true }).ToBytes();
        Entry entry = owner.Write(Replica, name, created, EntryFlags.None, 0, wantsAcknowledgement: true, now);
        Follow(name);
        _channels[name].IsSynced = true;
        return entry;
    }

    /// <summary>Removes a channel that exists, with all that is in it.</summary>
    /// <returns>The write in the directory.</returns>
    public Entry Remove(string name, Instant now)
    {
        ChannelSpec spec = _channels[name].Spec;
        byte[] removed = (spec with { Exists = false }).ToBytes();
        if (Generation(GenerationKey(name)) is not { } latest || latest < spec.Generation)
        {
            owner.Write(Replica, GenerationKey(name), removed, EntryFlags.None, 0, wantsAcknowledgement: false, now);
        }

        Entry entry = owner.Write(Replica, name, removed, EntryFlags.None, options.RemovedNameAge, wantsAcknowledgement: true, now);
        Follow(name);
        return entry;
    }

    /// <summary>The directory may have changed at a name: the channel is created or removed accordingly.</summary>
    public void Follow(string name)
    {
        ChannelSpec? spec = Replica.Find(name)?.Value is { } bytes ? ChannelSpec.Read(bytes) : null;
        bool exists = spec is { Exists: true };
        if (_channels.TryGetValue(name, out Replica? there) && name != Replicator.BuiltIn && (!exists || there.Spec.Generation != spec!.Generation))
        {
            _channels.Remove(name);
            owner.Forget(there);
        }

        if (exists && !_channels.ContainsKey(name))
        {
            owner.Store(_channels[name] = new Replica(name, spec!), null);
        }
    }

    // The names of removed channels are forgotten in the end; what is created later must still win over what comes back then. So the
    // greatest generation that was removed stays, of all names with one hash of 256.
    private static string GenerationKey(string name) => string.Create(CultureInfo.InvariantCulture, $"gloox.generation.{Hash.OfKey(name) % 256}");

    private ulong? Generation(string key) => Replica.Find(key)?.Value is { } bytes ? ChannelSpec.Read(bytes).Generation : null;
}
