using GlooX.Grid.Channels;

namespace GlooX.Grid.Tests.Channels;

/// <summary>
/// A process that is killed leaves exactly what it had given to the operating system. So a copy of the folder after each step is what kill -9
/// at that step leaves, and a file cut short anywhere is what a machine's end may leave of the last record.
/// </summary>
public sealed class JournalTests : IDisposable
{
    private static readonly Instant Start = new(1_700_000_000_000, 1_000);
    private readonly string _home = Directory.CreateTempSubdirectory("gloox-journal-").FullName;
    private int _copies;

    [Fact]
    public void Whenever_it_is_killed_everything_confirmed_is_there_and_nothing_else()
    {
        string folder = Folder();
        Replicator core = Core(out Replica replica);
        List<(string Copy, string Before, string After)> killed = [];
        string confirmed = "", next = "";
        void Step(string _) => killed.Add((Copy(folder), confirmed, next));

        next = Show(replica);
        using Journal journal = Journal.Create(folder, Content(core, replica), Start, Step);
        confirmed = next;
        var random = new Random(7);
        int replacements = 0;
        for (int i = 0; i < 300; i++)
        {
            Entry entry = core.Write(replica, $"k{random.Next(20)}", random.Next(4) == 0 ? null : new byte[random.Next(2_000)], EntryFlags.None, 0, false, Start);
            next = Show(replica);
            if (i % 40 == 39)
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

            confirmed = next;
        }

        Assert.True(replacements > 5 && killed.Count > 300);
        foreach ((string copy, string before, string after) in killed)
        {
            (string there, _) = Recover(copy);
            Assert.True(there == before || there == after, $"{copy} holds neither what was before the step nor what was after it");
        }

        Assert.Equal(confirmed, Recover(Copy(folder)).Shown);
    }

    [Fact]
    public void Of_a_torn_last_record_nothing_is_taken_and_writing_goes_on_behind_the_last_whole_one()
    {
        string folder = Folder();
        Replicator core = Core(out Replica replica);
        using (Journal journal = Journal.Create(folder, Content(core, replica), Start))
        {
            Append(journal, replica, core.Write(replica, "whole", [1], EntryFlags.None, 0, false, Start));
        }

        string file = Directory.GetFiles(folder).Single();
        string whole = Show(replica);
        int length = (int)new FileInfo(file).Length;
        using (Journal journal = Journal.OpenAll(folder, Start).Single().Journal)
        {
            Append(journal, replica, core.Write(replica, "last", new byte[40], EntryFlags.None, 0, false, Start));
        }

        byte[] all = File.ReadAllBytes(file);
        for (int cut = length; cut < all.Length; cut++)
        {
            foreach (bool spoiled in new[] { false, true })
            {
                byte[] torn = spoiled ? [.. all] : all[..cut];
                if (spoiled)
                {
                    torn[cut] ^= 0x40;
                }

                File.WriteAllBytes(file, torn);
                (string there, Replicator again) = Recover(folder, r => r.Write(r.Find("c")!, "later", [2], EntryFlags.None, 0, false, Start));
                Assert.Equal(whole, there);
                Assert.Equal(3, Recover(folder).Core.Find("c")!.Count);
                Assert.NotNull(again.Find("c")!.Find("later"));
            }
        }
    }

    [Fact]
    public void Zeros_at_the_end_are_no_records()
    {
        string folder = Folder();
        Replicator core = Core(out Replica replica);
        using (Journal journal = Journal.Create(folder, Content(core, replica), Start))
        {
            journal.Append(new byte[100]);
        }

        Assert.Equal(Show(replica), Recover(folder).Shown);
    }

    [Fact]
    public void What_is_left_of_an_entrys_time_is_counted_on_while_nobody_runs()
    {
        string folder = Folder();
        Replicator core = Core(out Replica replica);
        using (Journal journal = Journal.Create(folder, Content(core, replica), Start))
        {
            Append(journal, replica, core.Write(replica, "brief", [1], EntryFlags.None, 10_000, false, Start));
        }

        // Another process: the wall clock has gone on 4 s, the other one has begun anew.
        var later = new Instant(Start.Wall + 4_000, 5);
        (Journal opened, JournalContent content) = Journal.OpenAll(folder, later).Single();
        opened.Dispose();
        Assert.Equal(6_005, content.Entries.Single(e => e.Key == "brief").ExpiresAt);
    }

    public void Dispose() => Directory.Delete(_home, recursive: true);

    private static Replicator Core(out Replica replica)
    {
        var core = new Replicator(1, new ReplicatorOptions(), new Random(1));
        core.Create("c", ChannelSpec.Default with { Durability = 1 }, Start);
        replica = core.Find("c")!;
        core.Write(replica, "first", [0], EntryFlags.None, 0, false, Start);
        return core;
    }

    private static JournalContent Content(Replicator core, Replica replica) =>
        new(replica.Name, core.Directory.Find(replica.Name)!, [.. replica.Entries], replica.SeenToKeep(), replica.Floor);

    private static void Append(Journal journal, Replica replica, Entry entry)
    {
        var writer = new WireWriter();
        Journal.Encode(writer, replica, entry, Start);
        journal.Append(writer.Written.Span);
    }

    /// <summary>What another process finds; it may then write something.</summary>
    private static (string Shown, Replicator Core) Recover(string folder, Func<Replicator, Entry>? write = null)
    {
        var core = new Replicator(2, new ReplicatorOptions(), new Random(2));
        string shown = "";
        foreach ((Journal journal, JournalContent content) in Journal.OpenAll(folder, Start))
        {
            core.Load(core.Directory, [content.InDirectory], new Context(), Start);
            Replica replica = core.Find(content.Name)!;
            core.Load(replica, content.Entries, content.Seen, Start);
            shown += Show(replica);
            Assert.True(replica.Entries.All(e => replica.Seen.Contains(e.Stamp.Node, e.Sequence)));
            if (write is not null)
            {
                Append(journal, replica, write(core));
            }

            journal.Dispose();
        }

        return (shown, core);
    }

    private static string Show(Replica replica) => string.Join(";", replica.Entries.OrderBy(e => e.Key, StringComparer.Ordinal).Select(e => $"{e.Key}@{e.Stamp.Time}={e.Value?.Length}"));

    private string Folder() => Directory.CreateDirectory(Path.Combine(_home, $"live{_copies++}")).FullName;

    private string Copy(string folder)
    {
        string copy = Directory.CreateDirectory(Path.Combine(_home, $"copy{_copies++}")).FullName;
        foreach (string file in Directory.GetFiles(folder))
        {
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        }

        return copy;
    }
}
