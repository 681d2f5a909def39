using System.Diagnostics;
using GlooX.Channels.Replication;
using GlooX.Channels.Storage;

namespace GlooX.Channels.Tests;

/// <summary>
/// A process that is killed leaves exactly what it had given to the operating system. So a copy of the folder after each step is what kill -9
/// at that step leaves, and a file cut short anywhere is what a machine's end may leave of the last record.
/// </summary>
public sealed class JournalTests : IDisposable
{
    private static Instant Start => JournalScript.Start;
    private readonly string _home = Directory.CreateTempSubdirectory("gloox-journal-").FullName;
    private int _copies;

    [Fact]
    public void Whenever_it_is_killed_everything_confirmed_is_there_and_nothing_else()
    {
        string folder = Folder();
        List<(string Copy, string Before, string After)> killed = [];
        string confirmed = "", next = "";
        int replacements = JournalScript.Run(folder, 300, 40, shown => next = shown, () => confirmed = next, _ => killed.Add((Copy(folder), confirmed, next)));

        Assert.True(replacements > 5 && killed.Count > 300);
        foreach ((string copy, string before, string after) in killed)
        {
            (string there, _) = Recover(copy);
            Assert.True(there == before || there == after, $"{copy} holds neither what was before the step nor what was after it");
        }

        Assert.Equal(confirmed, Recover(Copy(folder)).Shown);
    }

    /// <summary>The same with processes that really are killed, each at another step.</summary>
    [Fact]
    [Trait("Category", "Slow")]
    public async Task A_process_that_kills_itself_at_any_step_leaves_everything_confirmed_and_nothing_else()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() || OperatingSystem.IsMacOS(), "SIGKILL is what ends it");
        HashSet<string> steps = [];
        for (int at = 1; ; at++)
        {
            string folder = Folder();
            (int code, string[] lines) = await WriterAsync(folder, at);
            string confirmed = lines.LastOrDefault(l => l.StartsWith("confirmed ", StringComparison.Ordinal))?["confirmed ".Length..] ?? "";
            (string there, _) = Recover(folder);
            if (code == 0)
            {
                Assert.Equal(confirmed, there);
                Assert.True(at > 30, $"it has {at - 1} steps only");
                Assert.Equal(["append", "create", "delete", "rename", "write"], steps.Order(StringComparer.Ordinal));
                return;
            }

            Assert.Equal(128 + 9, code);
            string step = lines[^1];
            Assert.StartsWith("step ", step, StringComparison.Ordinal);
            steps.Add(step["step ".Length..]);
            string next = lines.Last(l => l.StartsWith("next ", StringComparison.Ordinal))["next ".Length..];
            Assert.True(there == confirmed || there == next, $"killed at step {at}, {step}, it left neither what was before nor what was after");
        }
    }

    [Fact]
    public void Of_a_torn_last_record_nothing_is_taken_and_writing_goes_on_behind_the_last_whole_one()
    {
        string folder = Folder();
        Replicator core = JournalScript.Core(out Replica replica);
        using (Journal journal = Journal.Create(folder, JournalScript.Content(core, replica), Start))
        {
            Append(journal, replica, core.Write(replica, "whole", [1], EntryFlags.None, 0, false, Start));
        }

        string file = Directory.GetFiles(folder).Single();
        string whole = JournalScript.Show(replica);
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
        Replicator core = JournalScript.Core(out Replica replica);
        using (Journal journal = Journal.Create(folder, JournalScript.Content(core, replica), Start))
        {
            journal.Append(new byte[100]);
        }

        Assert.Equal(JournalScript.Show(replica), Recover(folder).Shown);
    }

    [Fact]
    public void What_is_left_of_an_entrys_time_is_counted_on_while_nobody_runs()
    {
        string folder = Folder();
        Replicator core = JournalScript.Core(out Replica replica);
        using (Journal journal = Journal.Create(folder, JournalScript.Content(core, replica), Start))
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
            shown += JournalScript.Show(replica);
            Assert.True(replica.Entries.All(e => replica.Seen.Contains(e.Stamp.Node, e.Sequence)));
            if (write is not null)
            {
                Append(journal, replica, write(core));
            }

            journal.Dispose();
        }

        return (shown, core);
    }

    private static async Task<(int Code, string[] Lines)> WriterAsync(string folder, int killAt)
    {
        string program = typeof(JournalTests).Assembly.Location.Replace("GlooX.Channels.Tests", "GlooX.Channels.Tests.Writer", StringComparison.Ordinal);
        using Process process = Process.Start(new ProcessStartInfo("dotnet", [program, folder, $"{killAt}"]) { RedirectStandardOutput = true, UseShellExecute = false })!;
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        try
        {
            string output = await process.StandardOutput.ReadToEndAsync(limit.Token);
            await process.WaitForExitAsync(limit.Token);
            return (process.ExitCode, output.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        }
        finally
        {
            process.Kill();
        }
    }

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
