using System.Diagnostics.CodeAnalysis;

namespace GlooX.Slots;

/// <summary>
/// What an agent has promised to whom: the only authority on whether one more process fits. Nothing but arithmetic under one lock:
/// no clock, no I/O; the caller brings the measurements. Thread-safe.
/// </summary>
/// <remarks>
/// <para>
/// For memory and for disk alike, a provision is granted when it is not more than
/// <c>free = min(capacity − Σ reserved, machine.free − Σ max(0, reserved − used))</c>.
/// The first term holds the agent to its own limit. The second holds it to the machine: a process that has just started does not
/// show in what the machine has free, so what was promised but is not used yet is taken off. A resource of which a provision
/// needs 0 does not limit it. Cores and other named resources are counted against the capacity alone, and
/// <see cref="Capacity.MaxSlots"/> counts reservations.
/// </para>
/// <para>
/// Measure what is used <em>before</em> the machine: what a process takes in between is then counted twice, which refuses rather
/// than over-commits. A reservation missing from what is used counts as not used at all, for the same reason; old measurements
/// are therefore safe too. Whatever the order in which threads come, Σ reserved stays within the capacity and each grant within
/// <c>free</c>.
/// </para>
/// <para>
/// A reservation may be a lease: it ends by itself, at the next <see cref="Expire"/>, unless it is confirmed before. So a spawn that
/// never comes back does not hold room for ever.
/// </para>
/// </remarks>
/// <param name="capacity">What the agent may hand out at all.</param>
public sealed class Ledger(Capacity capacity)
{
    private readonly Lock _lock = new();
    private readonly HashSet<Reservation> _reservations = [];
    private readonly Dictionary<Reservation, DateTimeOffset> _leases = [];

    /// <summary>What the agent may hand out at all.</summary>
    public Capacity Capacity { get; } = capacity ?? throw new ArgumentNullException(nameof(capacity));

    /// <summary>Reserves a provision if it fits; see the remarks of the class for the rule.</summary>
    /// <param name="need">What is asked for.</param>
    /// <param name="machine">What the machine has free, measured after <paramref name="used"/>.</param>
    /// <param name="used">What each reservation uses already; a snapshot that nobody changes meanwhile. May be empty.</param>
    /// <param name="reservation">The grant, to be given back with <see cref="Release"/>; null if it does not fit.</param>
    /// <param name="refusal">Why it does not fit; null if it does.</param>
    /// <returns>Whether it fits.</returns>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    public bool TryReserve(
        Provision need,
        MachineStatus machine,
        IReadOnlyDictionary<Reservation, Usage> used,
        [NotNullWhen(true)] out Reservation? reservation,
        [NotNullWhen(false)] out Refusal? refusal) => TryReserve(need, machine, used, null, out reservation, out refusal);

    /// <summary>As the other, for a while: the reservation is given back by <see cref="Expire"/> unless it is confirmed.</summary>
    /// <param name="need">What is asked for.</param>
    /// <param name="machine">What the machine has free, measured after <paramref name="used"/>.</param>
    /// <param name="used">What each reservation uses already.</param>
    /// <param name="leaseUntil">When it ends unless <see cref="Confirm"/> was called; null: it is confirmed at once.</param>
    /// <param name="reservation">The grant; null if it does not fit.</param>
    /// <param name="refusal">Why it does not fit; null if it does.</param>
    /// <returns>Whether it fits.</returns>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    public bool TryReserve(
        Provision need,
        MachineStatus machine,
        IReadOnlyDictionary<Reservation, Usage> used,
        DateTimeOffset? leaseUntil,
        [NotNullWhen(true)] out Reservation? reservation,
        [NotNullWhen(false)] out Refusal? refusal)
    {
        ArgumentNullException.ThrowIfNull(need);
        ArgumentNullException.ThrowIfNull(machine);
        ArgumentNullException.ThrowIfNull(used);
        lock (_lock)
        {
            var status = Measure(machine, used);
            (reservation, refusal) = status.AvailableSlots(need) > 0
                ? (new Reservation(need), default(Refusal))
                : (null, new Refusal(need, status));
            if (reservation is not null && leaseUntil is { } until)
                _leases.Add(reservation, until);
            return reservation is not null && _reservations.Add(reservation);
        }
    }

    /// <summary>The process of a leased reservation runs: the reservation lasts until it is given back.</summary>
    /// <param name="reservation">What this ledger granted.</param>
    /// <returns>False if it ended before: its room may be somebody else's by now, and the process must not go on.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="reservation"/> is null.</exception>
    public bool Confirm(Reservation reservation)
    {
        ArgumentNullException.ThrowIfNull(reservation);
        lock (_lock)
        {
            _leases.Remove(reservation);
            return _reservations.Contains(reservation);
        }
    }

    /// <summary>Gives all leased reservations back whose time is over.</summary>
    /// <param name="now">The time by the clock that the leases were given by.</param>
    /// <returns>Those that ended: nobody may use their room any more.</returns>
    public IReadOnlyList<Reservation> Expire(DateTimeOffset now)
    {
        lock (_lock)
        {
            if (_leases.Count == 0)
                return [];
            List<Reservation> ended = [.. _leases.Where(lease => lease.Value <= now).Select(lease => lease.Key)];
            foreach (var reservation in ended)
            {
                _leases.Remove(reservation);
                _reservations.Remove(reservation);
            }

            return ended;
        }
    }

    /// <summary>
    /// Records a process that runs already, found again after the agent was restarted. It is not asked whether it fits: it is
    /// there. This alone may bring the sum above the capacity, if that was lowered meanwhile; nothing is granted until it is
    /// below again.
    /// </summary>
    /// <param name="provision">What it was granted.</param>
    /// <returns>The reservation, to be given back with <see cref="Release"/>.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="provision"/> is null.</exception>
    public Reservation Adopt(Provision provision)
    {
        ArgumentNullException.ThrowIfNull(provision);
        var reservation = new Reservation(provision);
        lock (_lock)
            _reservations.Add(reservation);
        return reservation;
    }

    /// <summary>Gives a reservation back, once.</summary>
    /// <param name="reservation">What this ledger granted.</param>
    /// <returns>False if it was given back before, or is another ledger's; nothing happens then.</returns>
    /// <exception cref="ArgumentNullException"><paramref name="reservation"/> is null.</exception>
    public bool Release(Reservation reservation)
    {
        ArgumentNullException.ThrowIfNull(reservation);
        lock (_lock)
        {
            _leases.Remove(reservation);
            return _reservations.Remove(reservation);
        }
    }

    /// <summary>What is reserved and what is free now.</summary>
    /// <param name="machine">As for a reservation.</param>
    /// <param name="used">As for a reservation.</param>
    /// <returns>A snapshot.</returns>
    /// <exception cref="ArgumentNullException">An argument is null.</exception>
    public LedgerStatus Status(MachineStatus machine, IReadOnlyDictionary<Reservation, Usage> used)
    {
        ArgumentNullException.ThrowIfNull(machine);
        ArgumentNullException.ThrowIfNull(used);
        lock (_lock)
            return Measure(machine, used);
    }

    private LedgerStatus Measure(MachineStatus machine, IReadOnlyDictionary<Reservation, Usage> used)
    {
        // 128 bits: adopted reservations are not bounded by the capacity, and a sum that wrapped around would grant anything.
        Int128 memory = 0, memoryToCome = 0, disk = 0, diskToCome = 0;
        Dictionary<string, decimal>? amounts = null;
        Dictionary<string, int>? kinds = null;
        foreach (var reservation in _reservations)
        {
            var need = reservation.Provision;
            var usage = used.GetValueOrDefault(reservation);
            memory += need.MemoryBytes;
            memoryToCome += ToCome(need.MemoryBytes, usage.MemoryBytes);
            disk += need.DiskBytes;
            diskToCome += ToCome(need.DiskBytes, usage.DiskBytes);
            if (need.Kind.Length > 0)
            {
                kinds ??= new Dictionary<string, int>(StringComparer.Ordinal);
                kinds[need.Kind] = kinds.GetValueOrDefault(need.Kind) + 1;
            }

            foreach (var (name, amount) in reservation.Amounts)
            {
                amounts ??= new Dictionary<string, decimal>(StringComparer.Ordinal);
                amounts[name] = amounts.GetValueOrDefault(name) + amount;
            }
        }

        return new LedgerStatus(
            Level(Capacity.MemoryBytes, memory, machine.FreeMemoryBytes - memoryToCome),
            Level(Capacity.DiskBytes, disk, machine.FreeDiskBytes - diskToCome),
            _reservations.Count)
        {
            Resources = new AmountLevels(Capacity.Resources, amounts is null ? ResourceAmounts.None : ResourceAmounts.Unchecked(amounts)),
            SlotLimit = Capacity.MaxSlots,
            Kinds = kinds ?? LedgerStatus.NoKinds,
        };
    }

    private static long ToCome(long reserved, long used) => Math.Max(0, reserved - Math.Max(0, used));

    private static ResourceLevel Level(long capacity, Int128 reserved, Int128 onMachine)
    {
        var free = Int128.Max(0, Int128.Min(capacity - reserved, onMachine));
        return new ResourceLevel((long)free, (long)Int128.Min(reserved, long.MaxValue), capacity);
    }
}
