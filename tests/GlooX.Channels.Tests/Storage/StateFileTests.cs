using System.Diagnostics;
using GlooX.Channels.Replication;
using GlooX.Channels.Storage;

namespace GlooX.Channels.Tests;

public sealed class StateFileTests : IDisposable
{
    private readonly string _home = Directory.CreateTempSubdirectory("gloox-state-").FullName;
    private int _files;

    private static Instant Start => StoreScript.Start;

    [Fact]
    public async Task A_process_that_is_killed_leaves_everything_confirmed_and_nothing_else()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() || OperatingSystem.IsMacOS(), "SIGKILL is what ends it");
        foreach (int line in new[] { 1, 2, 3, 20, 55, 150, 401, 700 })
        {
            string path = NewPath();
            string[] lines = await KillWriterAsync(path, line);
            string confirmed = lines.LastOrDefault(l => l.StartsWith("confirmed ", StringComparison.Ordinal))?["confirmed ".Length..] ?? "";
            string next = lines.Last(l => l.StartsWith("next ", StringComparison.Ordinal))["next ".Length..];
            (string there, string? damage) = Recover(path);
            Assert.Null(damage);
            Assert.True(there == confirmed || there == next, $"killed at line {line}, it left neither what was before nor what was after");
        }
    }

    [Fact]
    public void Of_a_file_with_a_flipped_bit_or_a_cut_end_everything_is_taken_or_nothing()
    {
        string path = NewPath();
        string whole = Fill(path);
        byte[] bytes = File.ReadAllBytes(path);
        var random = new Random(3);
        int damaged = 0;
        for (int i = 0; i < 300; i++)
        {
            byte[] spoiled = [.. bytes];
            if (i % 10 == 0)
            {
                spoiled = spoiled[..random.Next(spoiled.Length)];
            }
            else
            {
                spoiled[random.Next(spoiled.Length)] ^= (byte)(1 << random.Next(8));
            }

            string copy = NewPath();
            File.WriteAllBytes(copy, spoiled);
            (string there, string? damage) = Recover(copy);
            Assert.True(damage is not null ? there.Length == 0 : there == whole || spoiled.Length == 0, $"attempt {i}: it took a part, {damage}");
            damaged += damage is null ? 0 : 1;
        }

        Assert.True(damaged > 100, $"only {damaged} were noticed");
    }

    [Fact]
    public void What_the_log_of_a_killed_process_lacks_is_not_claimed_as_seen()
    {
        string path = NewPath();
        Replicator core = StoreScript.Core(out Replica replica);
        using StateFile file = StateFile.Open(path, out _);
        for (int i = 0; i < 50; i++)
        {
            core.Write(replica, $"k{i}", new byte[100], EntryFlags.None, 0, false, Start);
            StoreScript.Write(file, core, replica);
        }

        byte[] database = File.ReadAllBytes(path), log = File.ReadAllBytes(path + "-wal");
        var random = new Random(5);
        for (int i = 0; i < 40; i++)
        {
            string copy = NewPath();
            byte[] spoiled = [.. log];
            spoiled[random.Next(spoiled.Length)] ^= 0x10;
            File.WriteAllBytes(copy, database);
            File.WriteAllBytes(copy + "-wal", spoiled);
            using StateFile again = StateFile.Open(copy, out string? damage);
            foreach (StoredChannel channel in damage is null ? new ChannelTable(again).Load(Start) : [])
            {
                HashSet<ulong> there = [.. channel.Entries.Select(e => e.Sequence)];
                Assert.All(Enumerable.Range(1, 51), n => Assert.True(!channel.Seen.Contains(1, (ulong)n) || there.Contains((ulong)n)));
            }
        }
    }

    [Fact]
    public void A_file_of_more_than_2_GiB_is_read()
    {
        string path = NewPath();
        string whole = Fill(path);
        using (FileStream file = File.OpenWrite(path))
        {
            file.SetLength(3L << 30); // a hole: it takes no room
        }

        Assert.Equal((whole, null), Recover(path));
    }

    [Fact]
    public void What_is_left_of_an_entrys_time_is_counted_on_while_nobody_runs()
    {
        string path = NewPath();
        Replicator core = StoreScript.Core(out Replica replica);
        using (StateFile file = StateFile.Open(path, out _))
        {
            core.Write(replica, "brief", [1], EntryFlags.None, 10_000, false, Start);
            StoreScript.Write(file, core, replica);
        }

        // Another process: the wall clock has gone on 4 s, the other one has begun anew.
        using StateFile opened = StateFile.Open(path, out _);
        StoredChannel channel = new ChannelTable(opened).Load(new Instant(Start.Wall + 4_000, 5)).Single();
        Assert.Equal(6_005, channel.Entries.Single(e => e.Key == "brief").ExpiresAt);
    }

    [Fact]
    public void An_ephemeral_entry_is_not_kept_nor_is_the_one_before_it()
    {
        string path = NewPath();
        Replicator core = StoreScript.Core(out Replica replica);
        using StateFile file = StateFile.Open(path, out _);
        core.Write(replica, "k", [1], EntryFlags.None, 0, false, Start);
        StoreScript.Write(file, core, replica);
        core.Write(replica, "k", [2], EntryFlags.Ephemeral, 0, false, Start);
        StoreScript.Write(file, core, replica);
        StoredChannel channel = new ChannelTable(file).Load(Start).Single();
        Assert.DoesNotContain(channel.Entries, e => e.Key == "k");
        Assert.True(channel.Seen.Contains(1, 2) && !channel.Seen.Contains(1, 3));
    }

    [Fact]
    public void Records_are_kept_by_kind_and_id_also_when_the_file_is_set_aside()
    {
        string path = NewPath();
        using (StateFile file = StateFile.Open(path, out _))
        {
            file.Put("process", "b", "second"u8);
            file.Put("process", "a", "old"u8);
            file.Put("process", "a", "first"u8);
            file.Put("peer", "a", []);
            Assert.True(file.Delete("peer", "a"));
            Assert.False(file.Delete("peer", "a"));
        }

        using StateFile again = StateFile.Open(path, out string? damage);
        Assert.Null(damage);
        Assert.Empty(again.List("peer"));
        string aside = again.SetAside();
        Assert.True(File.Exists(aside));
        Assert.Equal(["a", "b"], again.List("process").Select(r => r.Id));
        Assert.True(again.List("process")[0].Value.AsSpan().SequenceEqual("first"u8));
    }

    [Fact]
    public void A_file_that_is_in_use_is_refused()
    {
        string path = NewPath();
        using StateFile file = StateFile.Open(path, out _);
        var refusal = Assert.Throws<IOException>(() => StateFile.Open(path, out _));
        Assert.Contains(path, refusal.Message, StringComparison.Ordinal);
        Assert.Contains("in use by another process", refusal.Message, StringComparison.Ordinal);
    }

    public void Dispose() => Directory.Delete(_home, recursive: true);

    /// <summary>A channel of many entries, deletions among them; the process ends well.</summary>
    private static string Fill(string path)
    {
        Replicator core = StoreScript.Core(out Replica replica);
        using StateFile file = StateFile.Open(path, out _);
        for (int i = 0; i < 500; i++)
        {
            core.Write(replica, $"k{i}", new byte[100], EntryFlags.None, 0, false, Start);
        }

        core.Write(replica, "k9", null, EntryFlags.None, 0, false, Start);
        StoreScript.Write(file, core, replica);
        return StoreScript.Show(replica);
    }

    /// <summary>What another process finds.</summary>
    private static (string Shown, string? Damage) Recover(string path)
    {
        using StateFile file = StateFile.Open(path, out string? damage);
        try
        {
            IReadOnlyList<StoredChannel> channels = new ChannelTable(file).Load(Start);
            Assert.All(channels, c => Assert.True(c.Seen.Contains(1, 1)));
            return (StoreScript.Show(channels.SelectMany(c => c.Entries)), damage);
        }
        catch (DamagedStateException e)
        {
            return ("", e.Message);
        }
    }

    /// <summary>Kills it as soon as it has said so many lines.</summary>
    private static async Task<string[]> KillWriterAsync(string path, int line)
    {
        string program = typeof(StateFileTests).Assembly.Location.Replace("GlooX.Channels.Tests", "GlooX.Channels.Tests.Writer", StringComparison.Ordinal);
        using Process process = Process.Start(new ProcessStartInfo("dotnet", [program, path]) { RedirectStandardOutput = true, UseShellExecute = false })!;
        using var limit = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        List<string> lines = [];
        try
        {
            while (lines.Count < line && await process.StandardOutput.ReadLineAsync(limit.Token) is { } said)
            {
                lines.Add(said);
            }
        }
        finally
        {
            process.Kill();
        }

        while (await process.StandardOutput.ReadLineAsync(limit.Token) is { } said)
        {
            lines.Add(said); // what it had said before it was killed
        }

        await process.WaitForExitAsync(limit.Token);
        return [.. lines];
    }

    private string NewPath() => Path.Combine(_home, $"{_files++}", "agent.db") is var path && Directory.CreateDirectory(Path.GetDirectoryName(path)!).Exists ? path : "";
}
