using GlooX.Channels.Replication;
using GlooX.Channels.Storage;

namespace GlooX.Channels.Tests;

/// <summary>Writes a journal, always the same way: values of all sizes, deletions, and now and then a new file in place of the old.</summary>
internal static class JournalScript
{
    public static readonly Instant Start = new(1_700_000_000_000, 1_000);

    /// <summary>
    /// Returns how often a file took the place of another. <paramref name="begins"/> is told what there will be, before a write;
    /// <paramref name="confirmed"/> is called once it is done; <paramref name="step"/> after each thing that the journal does.
    /// </summary>
    public static int Run(string folder, int operations, int replaceEach, Action<string> begins, Action confirmed, Action<string> step)
    {
        Replicator core = Core(out Replica replica);
        begins(Show(replica));
        using Journal journal = Journal.Create(folder, Content(core, replica), Start, step);
        confirmed();
        var random = new Random(7);
        int replacements = 0;
        for (int i = 1; i <= operations; i++)
        {
            Entry entry = core.Write(replica, $"k{random.Next(20)}", random.Next(4) == 0 ? null : new byte[random.Next(2_000)], EntryFlags.None, 0, false, Start);
            begins(Show(replica));
            if (i % replaceEach == 0)
            {
                journal.Compact(Content(core, replica), Start);
                replacements++;
            }
            else
            {
                var writer = new WireWriter();
                Journal.Encode(writer, replica, entry, Start);
                journal.Append(writer.Written.Span);
            }

            confirmed();
        }

        return replacements;
    }

    public static Replicator Core(out Replica replica)
    {
        var core = new Replicator(1, new ReplicatorOptions(), new Random(1));
        core.Create("c", ChannelSpec.Default with { Durability = 1 }, Start);
        replica = core.Find("c")!;
        core.Write(replica, "first", [0], EntryFlags.None, 0, false, Start);
        return core;
    }

    public static JournalContent Content(Replicator core, Replica replica) =>
        new(replica.Name, core.Directory.Find(replica.Name)!, [.. replica.Entries], replica.SeenToKeep(), replica.Floor);

    public static string Show(Replica replica) =>
        string.Join(";", replica.Entries.OrderBy(e => e.Key, StringComparer.Ordinal).Select(e => $"{e.Key}@{e.Stamp.Time}={e.Value?.Length}"));
}
