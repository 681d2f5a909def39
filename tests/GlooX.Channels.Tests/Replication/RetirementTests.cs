using GlooX.Channels.Replication;

namespace GlooX.Channels.Tests;

/// <summary>What processes leave behind in channels goes in the end. Time is virtual; nothing is lost on the way.</summary>
public sealed class RetirementTests
{
    private const long Hour = 3_600_000;
    private readonly List<Replicator> _nodes = [];
    private long _now = 1;
    private ulong _ids;

    private Instant Now => new(1_700_000_000_000 + _now, _now);

    [Fact]
    public void Contexts_and_counters_do_not_grow_with_the_processes_that_were_there()
    {
        Replicator first = Start();
        long sum = 0;
        for (int generation = 0; generation < 60; generation++)
        {
            Replicator brief = Start();
            Replica channel = brief.Channels[Replicator.BuiltIn];
            brief.Write(channel, $"k{generation % 3}", [1], EntryFlags.None, 0, false, Now);
            brief.Add(channel, "n", generation, false, Now);
            sum += generation;
            Settle(TimeSpan.FromMinutes(5));
            _nodes.Remove(brief);
            Settle(TimeSpan.FromHours(12));
            Assert.All(_nodes, n => Assert.Equal(sum, n.Channels[Replicator.BuiltIn].Counters["n"].Sum));
        }

        Replica replica = first.Channels[Replicator.BuiltIn];
        Assert.InRange(replica.Counters["n"].Parts.Count, 1, 18); // those of a week, and one
        Settle(TimeSpan.FromDays(16));
        Assert.Equal(sum, replica.Counters["n"].Sum);
        Assert.Equal([first.Self], replica.Counters["n"].Parts.Keys);
        Assert.Empty(CounterKey.Carried(replica.Counters["n"].Parts[first.Self]));
        Assert.InRange(replica.Seen.Origins.Count, 1, 4); // itself, and the writers of the three keys
        Assert.InRange(first.AbsentSince.Count, 0, 3);
    }

    [Fact]
    public void Names_of_removed_channels_are_forgotten_and_a_new_one_of_the_name_still_wins_over_what_comes_back()
    {
        Replicator first = Start(), second = Start(), away = Start();
        first.Create("c", ChannelSpec.Default, Now);
        first.Create("d", ChannelSpec.Default, Now);
        Settle(TimeSpan.FromMinutes(1));
        _nodes.Remove(away);
        Settle(TimeSpan.FromMinutes(1));
        for (int i = 0; i < 100; i++)
        {
            first.Create($"c{i}", ChannelSpec.Default, Now);
            first.Remove($"c{i}", Now);
        }

        second.Remove("c", Now);
        second.Remove("d", Now);
        Settle(TimeSpan.FromDays(8));
        Assert.DoesNotContain(first.Directory.Entries, e => e.Key.StartsWith('c') || e.Key.StartsWith('d'));

        second.Create("c", ChannelSpec.Default, Now);
        second.Write(second.Channels["c"], "k", [1], EntryFlags.None, 0, false, Now);
        _nodes.Add(away);
        Settle(TimeSpan.FromMinutes(5));
        Assert.All(_nodes, n => Assert.Equal(2UL, n.Channels["c"].Spec.Generation));
        Assert.All(_nodes, n => Assert.NotNull(n.Channels["c"].Find("k")));
        Assert.All(_nodes, n => Assert.Null(n.Find("d")));
    }

    [Fact]
    public void A_share_that_both_sides_of_a_cut_carry_counts_once()
    {
        Replicator gone = Start(), left = Start(), right = Start();
        gone.Add(gone.Channels[Replicator.BuiltIn], "n", 10, false, Now);
        Settle(TimeSpan.FromMinutes(5));
        _nodes.Remove(gone);
        Settle(TimeSpan.FromDays(6));

        // Cut off from each other for two days, both come to carry it, and go on counting.
        foreach (Replicator side in new[] { left, right })
        {
            long since = _now;
            _nodes.Clear();
            _nodes.Add(side);
            Settle(TimeSpan.FromDays(2));
            side.Add(side.Channels[Replicator.BuiltIn], "n", 1, false, Now);
            Settle(TimeSpan.FromHours(1));
            Assert.Equal(11, side.Channels[Replicator.BuiltIn].Counters["n"].Sum);
            _now = side == left ? since : _now;
        }

        _nodes.Add(left);
        Settle(TimeSpan.FromHours(3));
        Assert.All(_nodes, n => Assert.Equal(12, n.Channels[Replicator.BuiltIn].Counters["n"].Sum));
        Settle(TimeSpan.FromDays(20));
        Assert.All(_nodes, n => Assert.Equal(12, n.Channels[Replicator.BuiltIn].Counters["n"].Sum));
    }

    private Replicator Start()
    {
        var node = new Replicator(++_ids, new ReplicatorOptions(), new Random((int)_ids));
        _nodes.Add(node);
        Settle(TimeSpan.FromMinutes(1));
        return node;
    }

    /// <summary>Lets the nodes talk for so long: closely at first, then now and then.</summary>
    private void Settle(TimeSpan time)
    {
        long end = _now + (long)time.TotalMilliseconds;
        for (int i = 0; _now < end; i++)
        {
            _now = Math.Min(end, _now + (i < 60 ? 500 : Hour / 4));
            foreach (Replicator node in _nodes)
            {
                node.SetMembers([.. _nodes.Select(n => (n.Self, true))], Now);
                node.Tick(Now);
            }

            Talk();
        }
    }

    private void Talk()
    {
        for (bool isQuiet = false; !isQuiet;)
        {
            isQuiet = true;
            foreach (Replicator node in _nodes)
            {
                List<(ulong To, byte[] Message)> messages = [.. node.Outbox];
                node.Outbox.Clear();
                node.Changes.Clear();
                node.Removed.Clear();
                foreach (byte[] message in Messages.Encode(node.Self, node.TakePending(), Now.Mono))
                {
                    messages.AddRange(_nodes.Where(n => n != node).Select(n => (n.Self, message)));
                }

                foreach ((ulong to, byte[] message) in messages)
                {
                    _nodes.Find(n => n.Self == to)?.Receive(message, Now);
                    isQuiet = false;
                }
            }
        }
    }
}
