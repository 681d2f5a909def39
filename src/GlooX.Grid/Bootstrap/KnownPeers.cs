namespace GlooX.Grid;

/// <summary>
/// The long memory: all agents ever heard of, whether members or not. The engine forgets after a minute; this does not, so that
/// those who were cut off longer find each other again. Configured peers stay for good, learned ones until they have been
/// silent for <c>rememberFor</c>.
/// </summary>
internal sealed class PeerBook(TimeSpan interval, TimeSpan rememberFor, TimeProvider time)
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

        /// <summary>It is known to live, though not from an answer: what came of earlier probes says nothing any more.</summary>
        public void Lives(long now)
        {
            Alive = now;
            Failures = 0;
            RefusedSince = now;
            NotBefore = Math.Min(NotBefore, now);
        }
    }

    /// <summary>Whether there is anybody but this agent.</summary>
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

    /// <summary>Somebody says that this one lives: it is worth a probe at once.</summary>
    public void Learn(string address) => Add(address, configured: false);

    public bool Knows(string address)
    {
        lock (_gate)
        {
            return _peers.ContainsKey(address);
        }
    }

    /// <param name="address">Who was asked.</param>
    /// <param name="result">What came of it.</param>
    /// <param name="isSelf">It is this agent itself.</param>
    /// <param name="isLook">Asked by who looks for other grids. An answer to anybody else does not put the next look off: he may ask each second, for long.</param>
    public void Record(string address, ProbeResult result, bool isSelf, bool isLook = true)
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

            if (isLook || result.Reply is null)
            {
                peer.NotBefore = now + Ticks(Backoff(peer.Failures, interval, peer.Configured, time.GetElapsedTime(peer.RefusedSince, now)));
            }

            peer.Last = result;

            if (result.Reply is { } reply)
            {
                peer.Alive = now;
                peer.KnownAs = reply.Address.Length > 0 ? reply.Address : address;
            }
        }
    }

    /// <summary>A random few of those that are not among <paramref name="present"/> and whose time has come.</summary>
    public IReadOnlyList<string> Due(IReadOnlySet<string> present, int atMost)
    {
        lock (_gate)
        {
            long now = time.GetTimestamp();
            foreach (Peer here in _peers.Values.Where(p => present.Contains(p.KnownAs)))
            {
                here.Lives(now);
            }

            foreach (Peer old in _peers.Values.Where(p => !p.Configured && time.GetElapsedTime(p.Alive, now) > rememberFor).ToList())
            {
                _peers.Remove(old.Address);
            }

            string[] due = [.. _peers.Values.Where(p => !p.IsSelf && p.NotBefore <= now && !present.Contains(p.KnownAs)).Select(p => p.Address)];
            Random.Shared.Shuffle(due);
            return due.Length <= atMost ? due : due[..atMost];
        }
    }

    /// <summary>
    /// The pause after so many probes without an answer. A configured peer is expected to come. Of any other, whose port has refused for some
    /// time, there is no process: it is asked after a quarter of that time again, and once a minute in the end.
    /// </summary>
    public static TimeSpan Backoff(int failures, TimeSpan interval, bool configured, TimeSpan refusedFor)
    {
        TimeSpan pause = interval * (1 << Math.Min(failures, 10)) / 2; // half at first: a look must not slip to the next round by a hair
        TimeSpan longest = configured ? LongestForConfigured : refusedFor > 4 * LongestBackoff ? refusedFor / 4 : LongestBackoff;
        longest = longest < LongestForGone ? longest : LongestForGone;
        return pause < longest ? pause : longest;
    }

    private static PeerState State(Peer peer) => peer switch
    {
        { IsSelf: true } => new PeerState(peer.Address, Answered: true, "this agent itself") { IsSelf = true },
        { Last: null } => new PeerState(peer.Address, Answered: false, "not asked yet"),
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
            peer.Lives(now);
        }
    }

    private long Ticks(TimeSpan span) => (long)(span.TotalSeconds * time.TimestampFrequency);
}
