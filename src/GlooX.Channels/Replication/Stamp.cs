namespace GlooX.Channels.Replication;

/// <summary>
/// When, and by whom, an entry was written: the order in which the last writer wins. <see cref="Time"/> is a hybrid logical time: 48 bits of
/// milliseconds since 1970, 15 bits of a counter, and one bit for what follows from the entry by itself.
/// </summary>
/// <param name="Time">The hybrid logical time.</param>
/// <param name="Node">The process that wrote; it decides between equal times.</param>
internal readonly record struct Stamp(ulong Time, ulong Node) : IComparable<Stamp>
{
    // Beyond it there is no room to write later; the year 6429.
    public const ulong Latest = 1UL << 63;

    /// <summary>
    /// The stamp of the tombstone that every node makes of an entry alike, when its time is over or its owner is gone: right after the
    /// entry and before everything that anybody writes.
    /// </summary>
    public Stamp Derived => this with { Time = Time | 1 };

    public bool IsDerived => (Time & 1) != 0;

    public long Milliseconds => (long)(Time >> HybridClock.CounterBits);

    public static bool operator <(Stamp left, Stamp right) => left.CompareTo(right) < 0;

    public static bool operator >(Stamp left, Stamp right) => left.CompareTo(right) > 0;

    public static bool operator <=(Stamp left, Stamp right) => left.CompareTo(right) <= 0;

    public static bool operator >=(Stamp left, Stamp right) => left.CompareTo(right) >= 0;

    public int CompareTo(Stamp other)
    {
        int byTime = (Time & ~1UL).CompareTo(other.Time & ~1UL);
        int byNode = byTime != 0 ? byTime : Node.CompareTo(other.Node);
        return byNode != 0 ? byNode : Time.CompareTo(other.Time);
    }
}

/// <summary>A moment, as the one who drives the state machine sees it.</summary>
/// <param name="Wall">Milliseconds since 1970 by this machine's clock, which may be wrong and may jump.</param>
/// <param name="Mono">Milliseconds since some moment, by a clock that only goes forward.</param>
internal readonly record struct Instant(long Wall, long Mono)
{
    /// <summary>This moment.</summary>
    public static Instant Of(TimeProvider time) => new(time.GetUtcNow().ToUnixTimeMilliseconds(), (long)time.GetElapsedTime(0).TotalMilliseconds);
}
