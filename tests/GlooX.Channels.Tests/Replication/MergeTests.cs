using CsCheck;
using GlooX.Channels.Replication;
using Hash = GlooX.Channels.Replication.Hash;

namespace GlooX.Channels.Tests;

/// <summary>Applying entries, in every order, as often as one likes.</summary>
public sealed class MergeTests
{
    private const int Origins = 3;

    private sealed record Write(int Key, int Origin, int Time, int Kind);

    private static readonly Gen<Write[]> Histories =
        Gen.Select(Gen.Int[0, 3], Gen.Int[0, Origins - 1], Gen.Int[1, 6], Gen.Int[0, 5], (k, o, t, kind) => new Write(k, o, t, kind)).Array[0, 12];

    [Fact]
    public void The_order_of_delivery_and_its_repetition_make_no_difference() =>
        Gen.Select(Histories, Gen.Int[0, int.MaxValue], Gen.Int[0, int.MaxValue]).Sample((history, one, other) =>
        {
            Entry[] entries = Entries(history);
            Replica a = New(), b = New();
            foreach (Entry entry in Shuffled(entries, one))
                Take(a, entry);
            foreach (Entry entry in Shuffled([.. entries, .. entries], other))
                Take(b, entry);
            Assert.Equal(Show(a), Show(b));
            Assert.Equal(Model(entries), Show(a));
        }, iter: 100_000);

    [Fact]
    public void Merging_is_commutative_associative_and_idempotent() =>
        Gen.Select(Histories, Gen.Int[0, Origins], Gen.Int[0, int.MaxValue]).Sample((history, _, seed) =>
        {
            // Each of three replicas has got some of it; a merge is all of one applied to the other.
            Entry[] entries = Entries(history);
            var random = new Random(seed);
            int[] mask = [.. entries.Select(_ => random.Next(8))];
            Replica Part(int which) => Of(entries.Where((_, i) => (mask[i] & (1 << which)) != 0));
            string left = Show(Merge(Merge(Part(0), Part(1)), Part(2)));
            string right = Show(Merge(Part(0), Merge(Part(1), Part(2))));
            string turned = Show(Merge(Part(2), Merge(Part(1), Part(0))));
            Assert.Equal(left, right);
            Assert.Equal(left, turned);
            Assert.Equal(left, Show(Merge(Merge(Merge(Part(0), Part(1)), Part(2)), Part(1))));
        }, iter: 100_000);

    [Fact]
    public void What_is_told_of_changes_adds_up_to_what_is_there() =>
        Gen.Select(Histories, Gen.Int[0, int.MaxValue]).Sample((history, seed) =>
        {
            Replica replica = New();
            var told = new Dictionary<string, string>();
            List<Change> changes = [];
            Entry[] entries = Entries(history);
            foreach (Entry entry in Shuffled([.. entries, .. entries], seed))
                Take(replica, entry, changes);
            foreach (Change change in changes)
            {
                Assert.Equal(told.GetValueOrDefault(change.Key), change.Previous is null ? null : Convert.ToHexString(change.Previous));
                if (change.Kind == ChangeKind.Set)
                    told[change.Key] = Convert.ToHexString(change.Value);
                else
                    Assert.True(told.Remove(change.Key));
            }

            Assert.Equal(replica.Count, told.Count);
            foreach ((string key, string value) in told)
            {
                Assert.True(replica.TryGet(key, out byte[] there, out _));
                Assert.Equal(value, Convert.ToHexString(there));
            }
        }, iter: 100_000);

    [Fact]
    public void Ranges_of_numbers_are_what_a_set_of_them_would_be() =>
        Gen.Select(Gen.Int[1, 30], Gen.Int[0, 6]).Array[0, 12].Sample(ranges =>
        {
            var set = new SequenceSet();
            var model = new HashSet<ulong>();
            var half = new SequenceSet();
            foreach ((int from, int length) in ranges)
            {
                Assert.Equal(Enumerable.Range(from, length + 1).All(n => model.Contains((ulong)n)), set.Covers(One(from, from + length)));
                set.Add((ulong)from, (ulong)(from + length));
                half.Union(set);
                for (int i = from; i <= from + length; i++)
                    model.Add((ulong)i);
                Assert.True(set.Covers(half) && half.Covers(set));
            }

            for (ulong n = 1; n < 40; n++)
                Assert.Equal(model.Contains(n), set.Contains(n));
            ulong upTo = 0;
            while (model.Contains(upTo + 1))
                upTo++;
            Assert.Equal(upTo, set.UpTo);
            Assert.Equal(model.Any(n => n > upTo), set.HasGap);
            foreach ((int from, int length) in ranges)
            {
                set.Remove((ulong)(from + (length / 2)));
                model.Remove((ulong)(from + (length / 2)));
                for (ulong n = 1; n < 40; n++)
                    Assert.Equal(model.Contains(n), set.Contains(n));
            }

            static SequenceSet One(int from, int to)
            {
                var one = new SequenceSet();
                one.Add((ulong)from, (ulong)to);
                return one;
            }
        }, iter: 100_000);

    private static Replica New() => new("c", ChannelSpec.Default);

    private static Replica Of(IEnumerable<Entry> entries)
    {
        Replica replica = New();
        foreach (Entry entry in entries)
            Take(replica, entry);
        return replica;
    }

    private static Replica Merge(Replica into, Replica from)
    {
        foreach (Entry entry in from.Entries)
            Take(into, entry);
        into.Seen.Union(from.Seen);
        return into;
    }

    private static void Take(Replica replica, Entry entry, List<Change>? changes = null)
    {
        replica.Apply(new Entry(entry.Key, entry.Value, entry.Stamp, entry.Sequence, entry.Flags, 0), 0, changes ?? []);
        replica.Seen.Add(entry.Stamp.Node, entry.Sequence, entry.Sequence);
    }

    /// <summary>As origins would make them: a stamp is never used twice for one key.</summary>
    private static Entry[] Entries(Write[] history)
    {
        var sequences = new ulong[Origins];
        var used = new HashSet<(string, Stamp)>();
        List<Entry> entries = [];
        foreach (Write write in history)
        {
            bool isCounter = write.Key == 3;
            ulong node = (ulong)write.Origin + 1;
            string key = isCounter ? CounterKey.Of("n", node) : $"k{write.Key}";
            var stamp = new Stamp((ulong)write.Time * 2, node);
            while (!used.Add((key, stamp)))
                stamp = stamp with { Time = stamp.Time + 2 };
            ulong sequence = ++sequences[write.Origin];
            EntryFlags flags = (write.Kind == 0 ? EntryFlags.Tombstone : EntryFlags.None) | (isCounter ? EntryFlags.Counter : EntryFlags.None);
            var entry = new Entry(key, write.Kind == 0 ? null : CounterKey.Value(entries.Count), stamp, sequence, flags, 0);
            entries.Add(entry);
            if (write.Kind == 1 && !isCounter)
                entries.Add(entry.Ended());
        }

        return [.. entries];
    }

    private static string Model(Entry[] entries) => string.Join(";", entries.GroupBy(e => e.Key, StringComparer.Ordinal)
        .Select(g => g.MaxBy(e => e.Stamp)!).OrderBy(e => e.Key, StringComparer.Ordinal).Select(Show));

    private static string Show(Replica replica)
    {
        ulong[] buckets = new ulong[Replica.BucketCount];
        foreach (Entry entry in replica.Entries.Where(e => e.IsLive))
            buckets[Replica.BucketOf(Hash.OfKey(entry.Key))] += Hash.OfEntry(Hash.OfKey(entry.Key), entry.Stamp);
        Assert.Equal(buckets, replica.Buckets.ToArray());
        Assert.Equal(buckets.Aggregate(0UL, (sum, b) => sum + b), replica.Digest);
        return string.Join(";", replica.Entries.OrderBy(e => e.Key, StringComparer.Ordinal).Select(Show));
    }

    private static string Show(Entry e) => $"{e.Key}={(e.Value is { } v ? Convert.ToHexString(v) : "-")}@{e.Stamp.Time},{e.Stamp.Node}";

    private static Entry[] Shuffled(Entry[] entries, int seed)
    {
        Entry[] copy = [.. entries];
        new Random(seed).Shuffle(copy);
        return copy;
    }
}
