using System.Diagnostics;
using CsCheck;

namespace GlooX.Slots.Tests;

/// <summary>Against a file system that stops at a chosen step, as it does for a process that is killed there; and a real one.</summary>
public sealed class ReservationStoreTests : IDisposable
{
    private static readonly Dictionary<Reservation, Usage> NothingUsed = [];
    private static readonly string[] Ids = ["a", "b", "c"];

    private static readonly Gen<Change> Changes =
        Gen.Select(Gen.Int[0, 2], Gen.Int[0, 2], Gen.Int[0, 1_000_000], (what, id, value) => new Change(what > 0, Ids[id], value));

    private readonly TempFolder _folder = new();

    private sealed record Change(bool Put, string Id, int Value);

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Records_come_back_as_they_were_put()
    {
        var store = ReservationStore.Open(Path.Join(_folder.Path, "new"));
        var record = Record("a", 1) with { Provision = new Provision("1GB", "5MB") { Cores = 0.5m, Resources = [new("gpu", 2)], MaxPerNode = 3, Kind = "Child" }, LogFile = "/tmp/a.log", Folder = "/tmp/a" };
        store.Put(record with { Url = "" });
        store.Put(record);
        store.Put(Record("b", 2));
        store.Remove("b");
        store.Remove("b");

        var loaded = ReservationStore.Open(Path.Join(_folder.Path, "new")).Load();

        Assert.Equal(record, Assert.Single(loaded.Records));
        Assert.Empty(loaded.Damaged);
    }

    [Theory]
    [InlineData("a.json", "")]
    [InlineData("a.json", "{}")]
    [InlineData("a.json", "null")]
    [InlineData("a.json", "not json")]
    [InlineData("readme.txt", "somebody's")]
    public void What_is_no_record_is_named_and_left_alone(string name, string content)
    {
        _folder.Write(name, content);
        var store = ReservationStore.Open(_folder.Path);
        store.Put(Record("b", 2));

        var loaded = store.Load();

        Assert.Equal([name], loaded.Damaged);
        Assert.Equal("b", Assert.Single(loaded.Records).Id);
        Assert.True(File.Exists(Path.Join(_folder.Path, name)));
    }

    [Fact]
    public void A_record_under_the_name_of_another_is_no_record()
    {
        var store = ReservationStore.Open(_folder.Path);
        store.Put(Record("a", 1));
        File.Copy(Path.Join(_folder.Path, "a.json"), Path.Join(_folder.Path, "b.json"));

        Assert.Equal(["b.json"], store.Load().Damaged);
    }

    [Theory]
    [InlineData("")]
    [InlineData("../a")]
    [InlineData("a.json")]
    public void An_id_that_could_lead_elsewhere_is_refused(string id)
    {
        var store = ReservationStore.Open(_folder.Path);
        Assert.Throws<ArgumentException>(() => store.Put(Record(id, 1)));
        Assert.Throws<ArgumentException>(() => store.Remove(id));
    }

    [Fact]
    public void Killed_at_any_step_leaves_each_record_as_it_was_or_as_it_was_to_be() =>
        Gen.Select(Changes.Array[1, 8], Gen.Int[0, 20], Gen.Int[0, 300], Gen.Bool, Changes).Sample((changes, step, cut, after, next) =>
        {
            var disk = new Dictionary<string, byte[]>(StringComparer.Ordinal);
            var (store, before) = (new ReservationStore(new MortalFolder(disk, step, cut, after)), new Dictionary<string, ReservationRecord>(StringComparer.Ordinal));
            var then = before;
            try
            {
                foreach (var change in changes)
                {
                    then = Changed(before, change);
                    Apply(store, change);
                    before = then;
                }
            }
            catch (KilledException)
            {
                // the agent is gone here
            }

            var heir = new ReservationStore(new MortalFolder(disk));
            var loaded = heir.Load();

            Assert.Empty(loaded.Damaged);
            Assert.True(Same(loaded.Records, before) || Same(loaded.Records, then));
            Assert.DoesNotContain(disk.Keys, name => !name.EndsWith(".json", StringComparison.Ordinal));

            // Whoever comes after goes on from there.
            var expected = Changed(loaded.Records.ToDictionary(r => r.Id, StringComparer.Ordinal), next);
            Apply(heir, next);
            Assert.True(Same(new ReservationStore(new MortalFolder(disk)).Load().Records, expected));
        }, iter: 20_000);

    [Fact]
    public void A_disk_that_fails_leaves_what_was_there() =>
        Gen.Select(Changes.Array[1, 8], Gen.Int[0, 20], Gen.Int[0, 300]).Sample((changes, step, cut) =>
        {
            var disk = new Dictionary<string, byte[]>(StringComparer.Ordinal);
            var store = new ReservationStore(new MortalFolder(disk, step, cut, failsOnly: true));
            var expected = new Dictionary<string, ReservationRecord>(StringComparer.Ordinal);
            foreach (var change in changes)
            {
                try
                {
                    Apply(store, change);
                    expected = Changed(expected, change);
                }
                catch (IOException)
                {
                    // the disk was full for a moment
                }
            }

            Assert.True(Same(store.Load().Records, expected));
        }, iter: 20_000);

    /// <summary>A process that does nothing but write is killed at some moment, again and again, over the same folder.</summary>
    [Fact]
    [Trait("Category", "Slow")]
    public async Task A_real_process_that_is_killed_leaves_whole_records()
    {
        var store = ReservationStore.Open(_folder.Path);
        var seen = -1;
        for (var round = 0; round < 5; round++)
        {
            await RecordWriter.RunUntilItHasWrittenAsync(_folder.Path, seen + 1 + (round * 37), TestContext.Current.CancellationToken);

            var loaded = store.Load();

            // It puts one of two records before it removes the other.
            Assert.Empty(loaded.Damaged);
            Assert.InRange(loaded.Records.Count, 1, 2);
            Assert.All(loaded.Records, record => Assert.Equal(Record(record.Id, record.Pid), record));
            Assert.All(loaded.Records, record => Assert.False(record.Runs(Machine.Local(_folder.Path))));
            var last = loaded.Records.Max(record => record.Pid);
            Assert.True(last > seen);
            seen = last;
        }
    }

    [Fact]
    public void A_process_that_runs_is_found_by_its_record_and_not_mistaken_for_another()
    {
        var machine = Machine.Local(_folder.Path);
        var own = Record("a", Environment.ProcessId) with { Stamp = machine.FindProcess(Environment.ProcessId)!.Value };

        Assert.True(own.Runs(machine));
        Assert.False((own with { Stamp = own.Stamp with { Started = own.Stamp.Started - 1 } }).Runs(machine));
        Assert.False((own with { Stamp = own.Stamp with { Boot = "another" } }).Runs(machine));
        Assert.False((own with { Pid = int.MaxValue }).Runs(machine));
    }

    [Fact]
    public void Who_comes_after_takes_over_what_runs_and_forgets_what_has_ended()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "there is no sleep on Windows");
        var (machine, store) = (Machine.Local(_folder.Path), ReservationStore.Open(_folder.Path));
        Process[] running = [Process.Start("sleep", "600"), Process.Start("sleep", "600")];
        try
        {
            foreach (var process in running)
                store.Put(Record($"p{process.Id}", process.Id) with { Stamp = machine.FindProcess(process.Id)!.Value, Provision = Provision.FromBytes(7, 0) });
            running[0].Kill();
            running[0].WaitForExit();

            var (heir, ledger) = (ReservationStore.Open(_folder.Path), new Ledger(new Capacity(10, 10)));
            foreach (var record in heir.Load().Records)
            {
                if (record.Runs(machine))
                    ledger.Adopt(record.Provision);
                else
                    heir.Remove(record.Id);
            }

            Assert.Equal(running[1].Id, Assert.Single(heir.Load().Records).Pid);
            Assert.Equal(new ResourceLevel(3, 7, 10), ledger.Status(machine.Read(), NothingUsed).Memory);
        }
        finally
        {
            Array.ForEach(running, process =>
            {
                process.Kill();
                process.Dispose();
            });
        }
    }

    /// <summary>Large enough, and telling its value often enough, that a torn one shows.</summary>
    internal static ReservationRecord Record(string id, int value) => new()
    {
        Id = id,
        Pid = value,
        Stamp = new ProcessStamp(value, value, $"boot-{value}"),
        Class = $"My.Class{value}",
        Provision = Provision.FromBytes(value, value),
        Url = $"127.0.0.1:{value}",
        LogFile = new string('x', 2000) + value,
        Started = DateTimeOffset.UnixEpoch.AddSeconds(value),
    };

    private static void Apply(ReservationStore store, Change change)
    {
        if (change.Put)
            store.Put(Record(change.Id, change.Value));
        else
            store.Remove(change.Id);
    }

    private static Dictionary<string, ReservationRecord> Changed(Dictionary<string, ReservationRecord> records, Change change)
    {
        var changed = new Dictionary<string, ReservationRecord>(records, StringComparer.Ordinal);
        if (change.Put)
            changed[change.Id] = Record(change.Id, change.Value);
        else
            changed.Remove(change.Id);
        return changed;
    }

    private static bool Same(IReadOnlyList<ReservationRecord> records, Dictionary<string, ReservationRecord> expected) =>
        records.Count == expected.Count && records.All(record => expected.GetValueOrDefault(record.Id) == record);
}
