using GlooX.Channels.Replication;

namespace GlooX.Channels.Tests;

/// <summary>
/// Replicators on a network that exists in one thread and in virtual time: it delays, doubles, reorders and loses messages, cuts links one
/// way or both, kills nodes and starts others; clocks are minutes apart and jump. The same seed gives the same run.
/// </summary>
internal sealed class Simulation
{
    private const long ForgetAfter = 6_000;

    // Longer than nodes are cut off, or what was deleted could come back.
    private const long OriginAge = 45_000;
    private const long NoticeDeathAfter = 1_000;
    private static readonly ReplicatorOptions Options = new() { TombstoneAge = 4_000, StrangerAge = 5_000, PullTimeout = 1_500, Patience = 300, OriginAge = OriginAge, RemovedNameAge = 60_000, CounterAge = 76_000 };
    private readonly Random _random;
    private readonly PriorityQueue<Action, (long At, long Number)> _events = new();
    private readonly List<Node> _nodes = [];
    private readonly HashSet<(ulong From, ulong To)> _cut = [];
    private readonly List<Done> _writes = [];
    private readonly HashSet<(string, ulong)> _removed = [];
    private readonly double _loss;
    private readonly double _doubling;
    private readonly long _delay;

    // Seeds that were kept mean what they meant when they were found.
    private readonly bool _restarts;
    private long _numbers;
    private bool _calm;

    public Simulation(int seed)
    {
        _random = new Random(seed);
        _restarts = seed >= 10_000;
        _loss = _random.Next(3) == 0 ? 0 : _random.NextDouble() * 0.3;
        _doubling = _random.NextDouble() * 0.2;
        _delay = _random.Next(5, 1_000);
    }

    public long Now { get; private set; } = 1;

    public int Changes => _nodes.Sum(n => n.Told.Count);

    public int Crashes { get; private set; }

    public int Cuts { get; private set; }

    public int Restarts { get; private set; }

    private sealed record Done(Entry Entry, Node By, string Channel, ulong Generation);

    /// <summary>A node: its replicator, its wrong clock, and the map that its callbacks would have built.</summary>
    internal sealed class Node(ulong id, long skew, Random random)
    {
        public ulong Id { get; } = id;
        public long Skew { get; set; } = skew;
        public bool IsAlive { get; set; } = true;
        public long DiedAt { get; set; }
        public Replicator Core { get; } = new(id, Options, random);
        public Dictionary<ulong, long> LastHeard { get; } = [];
        public Dictionary<(Replica, string), (byte[] Value, Stamp Version)> Mirror { get; } = [];
        public HashSet<(Replica, string, Stamp, ChangeKind)> Told { get; } = [];
        public HashSet<(Replica, string, Stamp)> Gone { get; } = [];
    }

    public void Run()
    {
        for (int i = _random.Next(2, 6); i > 0; i--)
            Start();
        long until = _random.Next(5_000, 40_000);
        for (int i = _random.Next(5, 120); i > 0; i--)
            At(_random.NextInt64(1, until), Act);
        for (int i = _random.Next(0, 12); i > 0; i--)
            At(_random.NextInt64(1, until), Disturb);
        RunUntil(until);

        // From here on nothing is lost and nobody is cut off: all must agree, and stay so.
        _calm = true;
        _cut.Clear();
        long enough = Now + 110_000;
        RunUntil(enough);
        CheckEnd();
    }

    private void RunUntil(long end)
    {
        while (_events.TryPeek(out _, out (long At, long Number) next) && next.At <= end)
        {
            Now = Math.Max(Now, next.At);
            _events.Dequeue()();
        }

        Now = end;
    }

    private void At(long at, Action what) => _events.Enqueue(what, (at, ++_numbers));

    private Instant InstantOf(Node node) => new(1_700_000_000_000 + Now + node.Skew, Now + (long)node.Id);

    private void Start(Node? kept = null)
    {
        var node = new Node((ulong)_nodes.Count + 1, _random.NextInt64(-300_000, 300_000), new Random(_random.Next()));
        if (kept is not null)
            Restore(node, kept);
        foreach (Node other in _nodes.Where(n => n.IsAlive))
        {
            other.LastHeard[node.Id] = long.MinValue / 2;
        }

        _nodes.Add(node);
        At(Now + _random.Next(1, 50), () => Tick(node));
    }

    /// <summary>What a journal would have kept of another node, which ran before.</summary>
    private void Restore(Node node, Node before)
    {
        Restarts++;
        node.Core.Load(node.Core.Directory, before.Core.Directory.Entries, new Context(), Absences(node, before), InstantOf(node));
        foreach (Replica old in before.Core.Channels.Values)
        {
            Replica replica = node.Core.Find(old.Name)!;
            IEnumerable<Entry> entries = old.Entries.Where(e => !e.IsEphemeral)
                .Select(e => new Entry(e.Key, e.Value, e.Stamp, e.Sequence, e.Flags, e.ExpiresAt == 0 ? 0 : e.ExpiresAt - (long)before.Id + (long)node.Id));
            node.Core.Load(replica, entries, old.SeenToKeep(), Absences(node, before), InstantOf(node));
            replica.RaiseFloor(old.Floor);
        }

        foreach (Replica replica in node.Core.Channels.Values.Append(node.Core.Directory))
        {
            foreach (Entry entry in replica.Entries.Where(e => e.IsLive && !e.IsCounter))
                node.Mirror[(replica, entry.Key)] = (entry.Value!, entry.Stamp);
            foreach (string counter in replica.Counters.Keys)
                node.Mirror[(replica, counter)] = (CounterKey.AsValue(replica.Counters[counter].Sum), default);
        }
    }

    private Dictionary<ulong, long> Absences(Node node, Node before) =>
        before.Core.AbsentSince.ToDictionary(a => a.Key, a => InstantOf(node).Mono - (a.Value - (long)before.Id + (long)node.Id));

    private void Tick(Node node)
    {
        if (!node.IsAlive)
            return;
        foreach (Node other in _nodes)
        {
            if (other != node && other.IsAlive && !_cut.Contains((other.Id, node.Id)) && !_cut.Contains((node.Id, other.Id)))
                node.LastHeard[other.Id] = Now;
        }

        // A node that is gone is noticed soon; one that is silent is shown as unreachable first, and forgotten later.
        List<(ulong, bool)> members = [];
        foreach ((ulong id, long heard) in node.LastHeard)
        {
            Node other = _nodes[(int)id - 1];
            long silent = Now - heard;
            if (silent <= (other.IsAlive || _cut.Contains((id, node.Id)) ? ForgetAfter : NoticeDeathAfter))
                members.Add((id, silent < 1_000));
        }

        node.Core.SetMembers(members, InstantOf(node));
        node.Core.Tick(InstantOf(node));
        Settle(node);
        At(Now + 200, () => Tick(node));
    }

    private void Disturb()
    {
        Node[] alive = [.. _nodes.Where(n => n.IsAlive)];
        switch (_random.Next(_restarts ? 8 : 7))
        {
            case 0 when alive.Length > 1:
                Node dying = alive[_random.Next(alive.Length)];
                (dying.IsAlive, dying.DiedAt) = (false, Now);
                Crashes++;
                break;
            case 1 when _nodes.Count < 9:
                Start();
                break;
            case 7 when _nodes.Count < 9 && _nodes.Find(n => !n.IsAlive) is { } dead:
                Start(dead);
                break;
            case 2:
                _cut.Clear();
                break;
            case 3:
                alive[_random.Next(alive.Length)].Skew += _random.NextInt64(-200_000, 200_000);
                break;
            case 4:
                Cuts++;
                _cut.Add((alive[_random.Next(alive.Length)].Id, alive[_random.Next(alive.Length)].Id));
                break;
            default:
                Cuts++;
                HashSet<ulong> side = [.. _nodes.Where(_ => _random.Next(2) == 0).Select(n => n.Id)];
                foreach (Node a in _nodes)
                {
                    foreach (Node b in _nodes.Where(b => side.Contains(a.Id) != side.Contains(b.Id)))
                        _cut.Add((a.Id, b.Id));
                }

                At(Now + _random.Next(100, 15_000), _cut.Clear);
                break;
        }
    }

    private void Act()
    {
        Node[] alive = [.. _nodes.Where(n => n.IsAlive)];
        if (alive.Length == 0)
            return;
        Node node = alive[_random.Next(alive.Length)];
        Instant now = InstantOf(node);
        if (_random.Next(12) == 0)
        {
            string name = $"c{_random.Next(2)}";
            if (node.Core.Find(name) is null)
                node.Core.Create(name, ChannelSpec.Default, now);
            else if (_random.Next(3) == 0)
            {
                _removed.Add((name, node.Core.Channels[name].Spec.Generation));
                node.Core.Remove(name, now);
            }

            Settle(node);
            return;
        }

        Replica[] channels = [.. node.Core.Channels.Values];
        Replica replica = channels[_random.Next(channels.Length)];
        for (int burst = _random.Next(4) == 0 ? _random.Next(2, 200) : 1; burst > 0; burst--)
        {
            string key = $"k{_random.Next(burst > 1 ? 40 : 6)}";
            byte[] value = new byte[_random.Next(0, 12) == 0 ? _random.Next(20_000) : 8];
            _random.NextBytes(value);
            Entry? written = _random.Next(10) switch
            {
                0 or 1 or 2 => node.Core.Write(replica, key, null, EntryFlags.None, 0, false, now),
                3 => node.Core.Write(replica, $"e{node.Id}{key}", value, EntryFlags.Ephemeral, 0, false, now),
                4 => node.Core.Write(replica, key, value, EntryFlags.None, _random.Next(1, 8_000), false, now),
                5 => node.Core.Add(replica, "counter", _random.Next(-5, 10), _random.Next(2) == 0, now),
                _ => node.Core.Write(replica, key, value, EntryFlags.None, 0, _random.Next(2) == 0, now),
            };
            if (written is not null)
                _writes.Add(new Done(written, node, replica.Name, replica.Spec.Generation));
        }

        Settle(node);
    }

    /// <summary>Takes from a node what it wants sent and what it tells.</summary>
    private void Settle(Node node)
    {
        List<(ulong To, byte[] Message)> messages = [.. node.Core.Outbox];
        node.Core.Outbox.Clear();
        IReadOnlyList<PendingBatch> batches = node.Core.TakePending();
        foreach (byte[] message in Messages.Encode(node.Id, batches, InstantOf(node).Mono))
            messages.AddRange(node.Core.Members.Select(m => (m, message)));
        foreach ((ulong to, byte[] message) in messages)
            Send(node.Id, to, message);
        foreach (Change change in node.Core.Changes)
            Tell(node, change);
        node.Core.Changes.Clear();
        node.Core.Removed.Clear();
        node.Core.AcknowledgementsChanged = false;
    }

    private void Send(ulong from, ulong to, byte[] message)
    {
        int copies = _calm ? 1 : (_random.NextDouble() < _loss ? 0 : 1) + (_random.NextDouble() < _doubling ? 1 : 0);
        for (; copies > 0; copies--)
        {
            long delay = 1 + (_random.Next(3) == 0 ? _random.NextInt64(_delay) : _delay / 10);
            At(Now + delay, () =>
            {
                Node node = _nodes[(int)to - 1];
                if (!node.IsAlive || _cut.Contains((from, to)))
                    return;
                node.Core.Receive(message, InstantOf(node));
                Settle(node);
            });
        }
    }

    /// <summary>A change is told once, follows from what was told before, and nothing comes back that was replaced or deleted.</summary>
    private static void Tell(Node node, Change change)
    {
        (Replica Replica, string Key) at = (change.Replica, change.Key);
        string where = $"node {node.Id}, {change.Replica.Name}/{change.Key}";
        Assert.True(node.Told.Add((at.Replica, at.Key, change.Version, change.Kind)), $"{where}: {change.Kind} was told twice");
        Assert.Equal(node.Mirror.TryGetValue(at, out (byte[] Value, Stamp Version) before) ? before.Value : null, change.Previous);
        if (change.Kind == ChangeKind.Set)
        {
            Assert.False(node.Gone.Contains((at.Replica, at.Key, change.Version)), $"{where} came back");
            node.Gone.Add((at.Replica, at.Key, before.Version));
            node.Mirror[at] = (change.Value, change.Version);
        }
        else
        {
            node.Gone.Add((at.Replica, at.Key, before.Version));
            Assert.True(node.Mirror.Remove(at));
        }
    }

    private void CheckEnd()
    {
        Node[] alive = [.. _nodes.Where(n => n.IsAlive)];
        Node first = alive[0];
        foreach (Node node in alive)
        {
            Assert.Equal(first.Core.Channels.Keys, node.Core.Channels.Keys);
            foreach (Replica replica in node.Core.Channels.Values.Append(node.Core.Directory))
            {
                Replica same = first.Core.Find(replica.Name)!;
                string where = $"{replica.Name} on node {node.Id} and {first.Id}";
                Assert.True(same.Spec == replica.Spec, where);
                Assert.True(Live(same).SetEquals(Live(replica)), $"{where}: {string.Join("; ", Live(replica).Except(Live(same)).Take(5))} <> {string.Join("; ", Live(same).Except(Live(replica)).Take(5))}");
                Assert.Equal(same.Digest, replica.Digest);
                Assert.True(replica.Seen.Covers(same.Seen) && same.Seen.Covers(replica.Seen), $"{where} have not seen the same");
                HashSet<ulong> kept = [.. alive.Select(n => n.Id), .. replica.Entries.Select(e => e.Stamp.Node)];
                Assert.True(replica.Seen.Origins.Keys.All(kept.Contains), $"{where}: origins are remembered of which nothing is left");
                Assert.All(replica == node.Core.Directory ? replica.Entries : [], e => Assert.True(
                    ChannelSpec.Read(e.Value).Exists || e.Key.StartsWith("gloox.generation.", StringComparison.Ordinal), $"the removed name '{e.Key}' is remembered"));
                Assert.True(replica.Tombstones == 0, $"{where}: {replica.Tombstones} tombstones are left");
                Assert.Equal(replica.Count, node.Mirror.Count(m => m.Key.Item1 == replica));
                foreach (((Replica Replica, string Key) at, (byte[] Value, Stamp Version) told) in node.Mirror.Where(m => m.Key.Item1 == replica))
                {
                    Assert.True(replica.TryGet(at.Key, out byte[] value, out _));
                    Assert.Equal(value, told.Value);
                }
            }
        }

        // Nothing is lost that a living node wrote last; counters have everything that living nodes added.
        foreach (var key in _writes.GroupBy(w => (w.Channel, w.Generation, w.Entry.Key)))
        {
            if (first.Core.Find(key.Key.Channel) is not { } replica || replica.Spec.Generation != key.Key.Generation || _removed.Contains((key.Key.Channel, key.Key.Generation)))
                continue; // who had not heard of a channel's removal may have created it again
            Done last = key.MaxBy(w => w.Entry.Stamp)!;
            Entry? there = replica.Find(key.Key.Key);
            if (last.By.IsAlive && last.Entry is { IsLive: true, ExpiresAt: 0 })
                Assert.True(there is { IsLive: true } && IsSame(there, last.Entry), $"{key.Key}: the last write is lost");
            if (there is { IsLive: true })
                Assert.True(there.IsEphemeral ? _nodes[(int)there.Stamp.Node - 1].IsAlive : there.ExpiresAt == 0, $"{key.Key} should have ended");
        }
    }

    // What a part carries of others is not what its node wrote.
    private static bool IsSame(Entry there, Entry written) =>
        there.IsCounter ? CounterKey.Total(there) == CounterKey.Total(written) : there.Value.AsSpan().SequenceEqual(written.Value);

    private static HashSet<string> Live(Replica replica) =>
        [.. replica.Entries.Where(e => e.IsLive).Select(e => $"{e.Key}@{e.Stamp.Time},{e.Stamp.Node}#{e.Sequence}")];
}
