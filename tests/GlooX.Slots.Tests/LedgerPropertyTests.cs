using CsCheck;

namespace GlooX.Slots.Tests;

public sealed class LedgerPropertyTests
{
    private static readonly Dictionary<Reservation, Usage> NothingUsed = [];

    private enum Do
    {
        Reserve,
        Release,
        Grow,
    }

    private sealed record Step(Do What, int Memory, int Disk, int Which);

    /// <summary>A process of the model: what it was promised and what it took.</summary>
    private sealed class Running(Provision need)
    {
        public Provision Need { get; } = need;
        public long Memory { get; set; }
        public long Disk { get; set; }
    }

    private static readonly Gen<Step> Steps =
        Gen.Select(Gen.Enum<Do>(), Gen.Int[0, 8], Gen.Int[0, 8], Gen.Int[0, 1000], (what, memory, disk, which) => new Step(what, memory, disk, which));

    /// <summary>
    /// The model is a machine on which processes grow to what they reserved or a bit beyond. A grant must be given exactly when
    /// the machine could still carry everybody at the full size that was promised to them.
    /// </summary>
    [Fact]
    public void A_grant_is_given_exactly_when_everything_promised_still_fits() =>
        Gen.Select(Gen.Int[0, 40], Gen.Int[0, 40], Gen.Int[0, 40], Steps.Array[0, 60]).Sample((capacity, memoryOfMachine, diskOfMachine, steps) =>
        {
            var ledger = new Ledger(new Capacity(capacity, capacity));
            var running = new Dictionary<Reservation, Running>();
            foreach (var step in steps)
            {
                if (step.What == Do.Reserve)
                {
                    var need = Provision.FromBytes(step.Memory, step.Disk);
                    var machine = new MachineStatus(
                        memoryOfMachine, memoryOfMachine - running.Values.Sum(r => r.Memory), diskOfMachine, diskOfMachine - running.Values.Sum(r => r.Disk), 1);
                    var used = running.ToDictionary(r => r.Key, r => new Usage(r.Value.Memory, r.Value.Disk));
                    var fits = Fits(need.MemoryBytes, capacity, memoryOfMachine, running.Values.Select(r => (r.Need.MemoryBytes, r.Memory)))
                        && Fits(need.DiskBytes, capacity, diskOfMachine, running.Values.Select(r => (r.Need.DiskBytes, r.Disk)));

                    Assert.Equal(fits, ledger.TryReserve(need, machine, used, out var reservation, out var refusal));

                    Assert.Equal(fits, refusal is null);
                    if (reservation is not null)
                        running.Add(reservation, new Running(need));
                    Assert.Equal(running.Count, ledger.Status(machine, used).Reservations);
                    Assert.True(running.Values.Sum(r => r.Need.MemoryBytes) <= capacity && running.Values.Sum(r => r.Need.DiskBytes) <= capacity);
                }
                else if (running.Count > 0)
                {
                    var (reservation, process) = running.ElementAt(step.Which % running.Count);
                    if (step.What == Do.Release)
                    {
                        running.Remove(reservation);
                        Assert.True(ledger.Release(reservation));
                        Assert.False(ledger.Release(reservation));
                    }
                    else
                    {
                        process.Memory = Math.Min(process.Memory + step.Memory, process.Need.MemoryBytes + 1);
                        process.Disk = Math.Min(process.Disk + step.Disk, process.Need.DiskBytes + 1);
                    }
                }
            }
        }, iter: 5_000);

    [Fact]
    public void Threads_together_never_get_more_than_there_is() =>
        Gen.Select(Gen.Int[1, 30], Gen.Int[1, 30], Steps.Array[1, 40].Array[4]).Sample((capacity, onMachine, threads) =>
        {
            var ledger = new Ledger(new Capacity(capacity, capacity));
            var machine = new MachineStatus(onMachine, onMachine, onMachine, onMachine, 1);
            var most = Math.Min(capacity, onMachine);
            long memory = 0, disk = 0, highest = 0;

            // Counted up after a grant and down before a release: what is counted is never more than what is granted.
            Together(threads.Length, thread =>
            {
                var mine = new List<Reservation>();
                foreach (var step in threads[thread])
                {
                    if (step.What == Do.Release && mine.Count > 0)
                        GiveBack(mine, step.Which % mine.Count);
                    else if (ledger.TryReserve(Provision.FromBytes(step.Memory, step.Disk), machine, NothingUsed, out var reservation, out _))
                    {
                        mine.Add(reservation);
                        var seen = Math.Max(Interlocked.Add(ref memory, step.Memory), Interlocked.Add(ref disk, step.Disk));
                        InterlockedMax(ref highest, seen);
                    }
                }

                while (mine.Count > 0)
                    GiveBack(mine, 0);
            });

            Assert.InRange(highest, 0, most);
            Assert.Equal(new LedgerStatus(new(most, 0, capacity), new(most, 0, capacity), 0), ledger.Status(machine, NothingUsed));

            void GiveBack(List<Reservation> mine, int index)
            {
                var reservation = mine[index];
                mine.RemoveAt(index);
                Interlocked.Add(ref memory, -reservation.Provision.MemoryBytes);
                Interlocked.Add(ref disk, -reservation.Provision.DiskBytes);
                Assert.True(ledger.Release(reservation));
            }
        }, iter: 300, threads: 1);

    [Fact]
    public void A_herd_gets_every_slot_and_not_one_more()
    {
        const int slots = 50;
        var ledger = new Ledger(new Capacity(slots, slots));
        var machine = new MachineStatus(100, 100, 100, 100, 1);
        var granted = 0;

        Together(8, _ =>
        {
            for (var i = 0; i < slots; i++)
            {
                if (ledger.TryReserve(Provision.FromBytes(1, 1), machine, NothingUsed, out var _, out var _))
                    Interlocked.Increment(ref granted);
            }
        });

        Assert.Equal(slots, granted);
        Assert.Equal(1, ledger.Status(machine, NothingUsed).Utilization);
    }

    [Fact]
    public void Of_many_who_give_the_same_back_one_does()
    {
        var ledger = new Ledger(new Capacity(1, 1));
        var reservation = ledger.Adopt(Provision.FromBytes(1, 1));
        var released = 0;

        Together(8, _ =>
        {
            if (ledger.Release(reservation))
                Interlocked.Increment(ref released);
        });

        Assert.Equal(1, released);
    }

    private static bool Fits(long need, long capacity, long machine, IEnumerable<(long Reserved, long Used)> running)
    {
        var all = running.ToArray();
        return need == 0 || (all.Sum(r => r.Reserved) + need <= capacity && all.Sum(r => Math.Max(r.Reserved, r.Used)) + need <= machine);
    }

    /// <summary>Runs the body on threads that start at the same moment; what one of them throws fails the test.</summary>
    private static void Together(int count, Action<int> body)
    {
        using var start = new Barrier(count);
        var errors = new Exception?[count];
        var threads = Enumerable.Range(0, count).Select(i => new Thread(() =>
        {
            start.SignalAndWait();
            errors[i] = Record.Exception(() => body(i));
        })).ToArray();
        Array.ForEach(threads, t => t.Start());
        Array.ForEach(threads, t => t.Join());
        Assert.All(errors, Assert.Null);
    }

    private static void InterlockedMax(ref long location, long value)
    {
        long current;
        while (value > (current = Volatile.Read(ref location)) && Interlocked.CompareExchange(ref location, value, current) != current)
        {
            // somebody else was quicker: look again
        }
    }
}
