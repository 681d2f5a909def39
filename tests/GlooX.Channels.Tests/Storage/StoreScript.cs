using GlooX.Channels.Replication;
using GlooX.Channels.Storage;

namespace GlooX.Channels.Tests;

/// <summary>Writes a durable channel into a state file, always the same way: values of all sizes, and deletions.</summary>
internal static class StoreScript
{
    public static readonly Instant Start = new(1_700_000_000_000, 1_000);

    /// <summary><paramref name="begins"/> is told what there will be, before a transaction; <paramref name="confirmed"/> is called once it is made.</summary>
    public static void Run(string path, int operations, Action<string> begins, Action confirmed)
    {
        Replicator core = Core(out Replica replica);
        using StateFile file = StateFile.Open(path, out _);
        Write(file, core, replica, begins);
        confirmed();
        var random = new Random(7);
        for (int i = 1; i <= operations; i++)
        {
            core.Write(replica, $"k{random.Next(20)}", random.Next(4) == 0 ? null : new byte[random.Next(6_000)], EntryFlags.None, 0, false, Start);
            Write(file, core, replica, begins);
            confirmed();
        }
    }

    public static Replicator Core(out Replica replica)
    {
        var core = new Replicator(1, new ReplicatorOptions(), new Random(1));
        core.Create("c", ChannelSpec.Default with { Durability = 1 }, Start);
        replica = core.Find("c")!;
        core.Write(replica, "first", [0], EntryFlags.None, 0, false, Start);
        return core;
    }

    /// <summary>One transaction of all that has changed.</summary>
    public static void Write(StateFile file, Replicator core, Replica replica, Action<string>? begins = null)
    {
        var table = new ChannelTable(file);
        begins?.Invoke(Show(replica));
        file.Transact(flush: false, () =>
        {
            table.Put(1, ChannelTable.Encode(replica, core.Directory.Find(replica.Name)!, core.AbsentSince, Start));
            foreach ((Replica kept, string? key) in core.Kept.Where(k => k.Replica == replica))
            {
                if (key is not null)
                {
                    table.Put(1, ChannelTable.Encode(kept, key, Start));
                }
            }
        });
        core.Kept.Clear();
    }

    public static string Show(Replica replica) => Show(replica.Entries);

    public static string Show(IEnumerable<Entry> entries) =>
        string.Join(";", entries.OrderBy(e => e.Key, StringComparer.Ordinal).Select(e => $"{e.Key}@{e.Stamp.Time}={e.Value?.Length}"));
}
