using System.Diagnostics.CodeAnalysis;

namespace GlooX.Slots;

/// <summary>
/// The reservations of an agent: the only authority on whether one more process fits. Arithmetic under one lock, without clock and I/O;
/// the caller measures. Thread-safe.
/// </summary>
/// <remarks>
/// <para>
/// For memory and for disk alike, a provision is granted when it does not exceed
/// <c>free = min(capacity − Σ reserved, machine.free − Σ max(0, reserved − used))</c>.
/// The first term keeps the agent within its own limit. The second keeps it within the machine: a process that has just started does
/// not show in the free memory of the machine, so what is reserved and not yet used is subtracted. A resource of which a provision
/// needs 0 does not limit it. Cores and other named resources are counted against the capacity alone, and
/// <see cref="Capacity.MaxSlots"/> counts reservations.
/// </para>
/// <para>
/// Measure the use <em>before</em> the machine: what a process takes in between is then counted twice, which refuses rather than
/// over-commits. A reservation missing from the measured use counts as unused, for the same reason; old measurements are therefore
/// safe too. In whatever order threads call, Σ reserved stays within the capacity and each grant within <c>free</c>.
/// </para>
/// <para>
/// A reservation may be a lease: it ends at the first <see cref="Expire"/> after its time, unless it is confirmed before. So a spawn that
/// never returns does not hold room for ever.
/// </para>
/// </remarks>
/// <param name="capacity">The most that the agent hands out.</param>
internal sealed class Ledger(Capacity capacity)
{
    private readonly Lock _lock = new();
    private readonly HashSet<Reservation> _reservations = [];
    private readonly Dictionary<Reservation, DateTimeOffset> _leases = [];

    /// <summary>The most that the agent hands out.</summary>
    public Capacity Capacity { get; } = capacity;

    /// <summary>Reserves a provision if it fits, without a lease.</summary>
    public bool TryReserve(
        Provision need,
        MachineStatus machine,
        IReadOnlyDictionary<Reservation, Usage> used,
        [NotNullWhen(true)] out Reservation? reservation,
        [NotNullWhen(false)] out Refusal? refusal) => TryReserve(need, machine, used, null, out reservation, out refusal);

    /// <summary>Reserves a provision if it fits, by the rule in the remarks of the class.</summary>
    /// <param name="need">The provision.</param>
    /// <param name="machine">The free resources of the machine, measured after <paramref name="used"/>.</param>
    /// <param name="used">What each reservation uses already: a snapshot, which may be empty.</param>
    /// <param name="leaseUntil">When the lease ends; null for a reservation without a lease. See <see cref="Confirm"/>.</param>
    /// <param name="reservation">The reservation, ended by <see cref="Release"/>; null when the provision does not fit.</param>
    /// <param name="refusal">Why the provision does not fit; null when it does.</param>
    /// <returns>Whether the provision fits.</returns>
    public bool TryReserve(
        Provision need,
        MachineStatus machine,
        IReadOnlyDictionary<Reservation, Usage> used,
        DateTimeOffset? leaseUntil,
        [NotNullWhen(true)] out Reservation? reservation,
        [NotNullWhen(false)] out Refusal? refusal)
    {
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

    /// <summary>Ends the lease of a reservation: its process runs, and the reservation lasts until it is released.</summary>
    /// <param name="reservation">A reservation of this ledger.</param>
    /// <returns>False when the lease has expired: the room may be granted to another process by now, so this one must end.</returns>
    public bool Confirm(Reservation reservation)
    {
        lock (_lock)
        {
            _leases.Remove(reservation);
            return _reservations.Contains(reservation);
        }
    }

    /// <summary>Releases all reservations whose lease has expired.</summary>
    /// <param name="now">The time by the clock of the leases.</param>
    /// <returns>The released reservations.</returns>
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
    /// Reserves for a process that is already running, found after a restart of the agent, whether it fits or not. Only this can bring
    /// the sum above the capacity, when that was lowered in between; nothing is granted until the sum is below it again.
    /// </summary>
    /// <param name="provision">What the process was granted.</param>
    /// <returns>The reservation, to be given back with <see cref="Release"/>.</returns>
    public Reservation Adopt(Provision provision)
    {
        var reservation = new Reservation(provision);
        lock (_lock)
            _reservations.Add(reservation);
        return reservation;
    }

    /// <summary>Releases a reservation.</summary>
    /// <param name="reservation">A reservation of this ledger.</param>
    /// <returns>False when it was released before or belongs to another ledger.</returns>
    public bool Release(Reservation reservation)
    {
        lock (_lock)
        {
            _leases.Remove(reservation);
            return _reservations.Remove(reservation);
        }
    }

    /// <summary>What is reserved and what is free now; arguments as for <c>TryReserve</c>.</summary>
    public LedgerStatus Status(MachineStatus machine, IReadOnlyDictionary<Reservation, Usage> used)
    {
        lock (_lock)
            return Measure(machine, used);
    }

    private LedgerStatus Measure(MachineStatus machine, IReadOnlyDictionary<Reservation, Usage> used)
    {
        // 128 bits: the capacity does not bound adopted reservations, and a sum that overflows would grant anything.
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
