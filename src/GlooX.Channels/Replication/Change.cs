namespace GlooX.Channels.Replication;

internal enum ChangeKind
{
    Set,
    Delete,
}

/// <summary>A change of what users see in a channel, told once by each replica that makes it, in the order of each key.</summary>
/// <param name="Replica">Where.</param>
/// <param name="Kind">What.</param>
/// <param name="Key">The key.</param>
/// <param name="Value">The value set; with a deletion the value that was there. MessagePack.</param>
/// <param name="Previous">The value that was there before; null: none.</param>
/// <param name="Version">Which write it was.</param>
internal readonly record struct Change(Replica Replica, ChangeKind Kind, string Key, byte[] Value, byte[]? Previous, Stamp Version);
