using GlooX.Channels.Replication;

namespace GlooX.Channels.Tests.Replication;

/// <summary>Reading in pages while keys come, change and go.</summary>
public sealed class EntryOrderTests
{
    [Fact]
    public void Every_key_that_stays_is_read_once_and_none_twice_while_gaps_are_closed()
    {
        var order = new EntryOrder();
        Dictionary<string, Entry> present = new(StringComparer.Ordinal);
        for (int i = 0; i < 10_000; i++)
        {
            Put($"k{i}");
        }

        var random = new Random(3);
        (EntryOrder.Cursor Cursor, HashSet<string> Read)[] readers = [.. Enumerable.Range(0, 3).Select(_ => (order.Open(), new HashSet<string>(StringComparer.Ordinal)))];
        string[] stay = [.. present.Keys.Where(static k => k.EndsWith('7'))];
        int next = 10_000;
        for (bool goesOn = true; goesOn;)
        {
            goesOn = false;
            foreach ((EntryOrder.Cursor cursor, HashSet<string> read) in readers)
            {
                for (int n = random.Next(200); n > 0 && order.TryNext(cursor, out Entry? entry); n--)
                {
                    goesOn = true;
                    if (entry is not null)
                    {
                        Assert.Same(present[entry.Key], entry);
                        Assert.True(cursor.HasPassed(entry));
                        Assert.True(read.Add(entry.Key), $"{entry.Key} was read twice");
                    }
                }

                goesOn |= read.Count == 0;
            }

            for (int n = 0; n < 100 && present.Count > stay.Length; n++)
            {
                string gone = present.Keys.ElementAt(random.Next(Math.Min(present.Count, 300)));
                if (!stay.Contains(gone, StringComparer.Ordinal))
                {
                    order.Remove(present[gone]);
                    present.Remove(gone);
                }
            }

            Put(stay[random.Next(stay.Length)]);
            if (next < 10_500)
            {
                Put($"k{next++}");
            }
        }

        foreach ((EntryOrder.Cursor cursor, HashSet<string> read) in readers)
        {
            while (order.TryNext(cursor, out Entry? entry))
            {
                Assert.True(entry is null || read.Add(entry.Key));
            }

            Assert.Empty(stay.Except(read, StringComparer.Ordinal));
            order.Close(cursor);
        }

        void Put(string key)
        {
            Entry? old = present.GetValueOrDefault(key);
            present[key] = new Entry(key, [], default, 1, EntryFlags.None, 0);
            order.Put(present[key], old);
        }
    }
}
