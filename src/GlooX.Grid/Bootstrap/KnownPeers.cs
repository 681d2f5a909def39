namespace GlooX.Grid;

/// <summary>
/// The addresses of all other agents that are known, members or not. The engine forgets a member within a minute; this does not, so that
/// agents that were cut off longer find each other again. Configured peers stay for good, learned ones until they have not answered for
/// <c>rememberFor</c>; at most 1000 are kept. Thread-safe.
/// </summary>
internal sealed class KnownPeers(TimeSpan interval, TimeSpan rememberFor, TimeProvider time)
{
    private const int MaxLearned = 1000;
    private static readonly TimeSpan LongestBackoff = TimeSpan.FromSeconds(6);
    private static readonly TimeSpan LongestForConfigured = TimeSpan.FromSeconds(3);
    private static readonly TimeSpan LongestForGone = TimeSpan.FromMinutes(1);

    private readonly Lock _gate = new();
    private readonly Dictionary<string, Peer> _peers = new(StringComparer.Ordinal);

    private sealed class Peer(string address)
    {
        public string Address { get; } = address;
        public bool Configured { get; set; }
        public bool IsSelf { get; set; }
        public string KnownAs { get; set; } = address;
        public ProbeResult? Last { get; set; }
        public int Failures { get; set; }
        public long RefusedSince { get; set; }
        public long Alive { get; set; }
        public long NotBefore { get; set; }

        /// <summary>The peer is known to live, though not from an answer: earlier failed probes no longer count.</summary>
        public void MarkAlive(long now)
        {
            Alive = now;
            Failures = 0;
            RefusedSince = now;
            NotBefore = Math.Min(NotBefore, now);
        }
    }

    /// <summary>Whether no agent but this one is known.</summary>
    public bool IsEmpty
    {
        get
        {
            lock (_gate)
            {
                return _peers.Values.All(p => p.IsSelf);
            }
        }
    }

    /// <summary>All addresses, configured ones first.</summary>
    public IReadOnlyList<string> Known
    {
        get
        {
            lock (_gate)
            {
                return [.. _peers.Values.Where(p => !p.IsSelf).OrderByDescending(p => p.Configured).Select(p => p.Address)];
            }
        }
    }

    public IReadOnlyList<PeerState> Configured
    {
        get
        {
            lock (_gate)
            {
                return [.. _peers.Values.Where(p => p.Configured).Select(State)];
            }
        }
    }

    public void Configure(string address) => Add(address, configured: true);

    /// <summary>Adds a peer that is said to live, or makes a known one due for a probe at once.</summary>
    public void Learn(string address) => Add(address, configured: false);

    public bool Knows(string address)
    {
        lock (_gate)
        {
            return _peers.ContainsKey(address);
        }
    }

    /// <summary>Records the result of a probe and determines when the next one is due.</summary>
    /// <param name="address">The address that was probed.</param>
    /// <param name="result">The result.</param>
    /// <param name="isSelf">Whether this agent itself answered.</param>
    /// <param name="isDiscovery">
    /// Whether the probe was one that looks for other grids. The answer to any other probe does not postpone the next discovery: such
    /// probes may come each second for a long time.
    /// </param>
    public void Record(string address, ProbeResult result, bool isSelf, bool isDiscovery = true)
    {
        lock (_gate)
        {
            if (!_peers.TryGetValue(address, out Peer? peer))
            {
                return;
            }

            long now = time.GetTimestamp();
            peer.IsSelf |= isSelf;
            peer.Failures = result.Reply is null ? peer.Failures + 1 : 0;
            if (!result.IsRefused || !(peer.Last is { IsRefused: true }))
            {
                peer.RefusedSince = now;
            }

            if (isDiscovery || result.Reply is null)
            {
                TimeSpan refusedFor = time.GetElapsedTime(peer.RefusedSince, now);
                peer.NotBefore = now + Ticks(Backoff(peer.Failures, interval, peer.Configured, refusedFor));
            }

            peer.Last = result;

            if (result.Reply is { } reply)
            {
                peer.Alive = now;
                peer.KnownAs = reply.Address.Length > 0 ? reply.Address : address;
            }
        }
    }

    /// <summary>Peers to probe now: a random choice of those that are due and not <paramref name="present"/>.</summary>
    public IReadOnlyList<string> Due(IReadOnlySet<string> present, int atMost)
    {
        lock (_gate)
        {
            long now = time.GetTimestamp();
            foreach (Peer here in _peers.Values.Where(p => present.Contains(p.KnownAs)))
            {
                here.MarkAlive(now);
            }

            foreach (Peer old in _peers.Values.Where(p => !p.Configured && time.GetElapsedTime(p.Alive, now) > rememberFor).ToList())
            {
                _peers.Remove(old.Address);
            }

            string[] due =
            [
                .. _peers.Values
                    .Where(p => !p.IsSelf && p.NotBefore <= now && !present.Contains(p.KnownAs))
                    .Select(p => p.Address)
            ];
            Random.Shared.Shuffle(due);
            return due.Length <= atMost ? due : due[..atMost];
        }
    }

    /// <summary>
    /// Pause before the next probe after a number of failures. A configured peer is expected to come. A learned peer whose port has refused
    /// for some time has no process: the pause is a quarter of that time, and at most a minute.
    /// </summary>
    public static TimeSpan Backoff(int failures, TimeSpan interval, bool configured, TimeSpan refusedFor)
    {
        // Half at first, so that rounding never moves a probe to the next round.
        TimeSpan pause = interval * (1 << Math.Min(failures, 10)) / 2;
        TimeSpan longest = configured ? LongestForConfigured : refusedFor > 4 * LongestBackoff ? refusedFor / 4 : LongestBackoff;
        longest = longest < LongestForGone ? longest : LongestForGone;
        return pause < longest ? pause : longest;
    }

    private static PeerState State(Peer peer) => peer switch
    {
        { IsSelf: true } => new PeerState(peer.Address, Answered: true, "this agent itself") { IsSelf = true },
        { Last: null } => new PeerState(peer.Address, Answered: false, "not probed yet"),
        { Last: var last } => new PeerState(peer.Address, last.Reply is not null, last.Why) { Refused = last.IsRefused },
    };

    private void Add(string address, bool configured)
    {
        lock (_gate)
        {
            long now = time.GetTimestamp();
            if (!_peers.TryGetValue(address, out Peer? peer))
            {
                if (!configured && _peers.Count >= MaxLearned)
                {
                    Peer? oldest = _peers.Values.Where(p => !p.Configured).MinBy(p => p.Alive);
                    if (oldest is null)
                    {
                        return;
                    }

                    _peers.Remove(oldest.Address);
                }

                _peers[address] = peer = new Peer(address);
            }

            peer.Configured |= configured;
            peer.MarkAlive(now);
        }
    }

    private long Ticks(TimeSpan span) => (long)(span.TotalSeconds * time.TimestampFrequency);
}
