namespace GlooX.Slots.Tests;

/// <summary>Sizes in GB, so that the tables stay readable.</summary>
public sealed class LedgerTests
{
    private const long GB = 1_000_000_000;
    private static readonly Dictionary<Reservation, Usage> NothingUsed = [];

    [Theory]
    // capacity, machine free, reserved, of which used, free
    [InlineData(16, 100, 0, 0, 16)] // the agent's own limit
    [InlineData(16, 10, 0, 0, 10)]  // the machine has less
    [InlineData(16, 100, 12, 0, 4)]
    [InlineData(16, 10, 6, 0, 4)]   // promised but not used yet: the machine does not show it
    [InlineData(16, 10, 6, 6, 10)]  // used: the machine shows it, it is not taken off twice
    [InlineData(16, 10, 6, 2, 6)]
    [InlineData(20, 10, 6, 9, 10)]  // uses more than it reserved: nothing more to come
    [InlineData(16, 3, 6, 0, 0)]    // never negative
    [InlineData(16, 10, 6, -5, 4)]  // a nonsense measurement does no harm
    public void Free_is_what_neither_the_capacity_nor_the_machine_has_promised(int capacity, int machineFree, int reserved, int used, int free)
    {
        var ledger = new Ledger(new Capacity(capacity * GB, capacity * GB));
        var reservation = ledger.Adopt(Need(reserved, reserved));
        var usage = new Dictionary<Reservation, Usage> { [reservation] = new(used * GB, used * GB) };

        var status = ledger.Status(MachineWith(machineFree, machineFree), usage);

        var expected = new ResourceLevel(free * GB, reserved * GB, capacity * GB);
        Assert.Equal(new LedgerStatus(expected, expected, 1), status);
    }

    [Fact]
    public void What_fits_exactly_is_granted_and_then_nothing_more()
    {
        var ledger = new Ledger(new Capacity(4 * GB, 8 * GB));
        var machine = MachineWith(100, 100);

        Assert.True(ledger.TryReserve(Need(4, 1), machine, NothingUsed, out var reservation, out var none));
        Assert.Equal(Need(4, 1), reservation.Provision);
        Assert.Null(none);

        Assert.False(ledger.TryReserve(Provision.FromBytes(1, 0), machine, NothingUsed, out var nothing, out var refusal));
        Assert.Null(nothing);
        Assert.Equal(new ResourceLevel(0, 4 * GB, 4 * GB), refusal.Status.Memory);
        Assert.Equal(1, ledger.Status(machine, NothingUsed).Reservations);
    }

    [Fact]
    public void A_kind_gets_no_more_than_it_says_and_others_are_not_counted()
    {
        var ledger = new Ledger(new Capacity(16 * GB, 16 * GB));
        var machine = MachineWith(100, 100);
        Provision most = Need(1, 1) with { MaxPerNode = 2, Kind = "Render" };
        ledger.Adopt(Need(1, 1) with { Kind = "Render" }); // it says nothing itself, and is one all the same
        ledger.Adopt(Need(1, 1) with { MaxPerNode = 1, Kind = "Other" });
        Assert.True(ledger.TryReserve(most, machine, NothingUsed, out var second, out _));

        Assert.Equal(new SlotCount(3, 0, 13, 13, 2), ledger.Status(machine, NothingUsed).Count(most));
        Assert.False(ledger.TryReserve(most, machine, NothingUsed, out _, out var refusal));
        Assert.Equal("runs 2 of Render, of which a node runs 2 at most", refusal.Reason);
        Assert.True(ledger.TryReserve(Need(1, 1) with { Kind = "Render" }, machine, NothingUsed, out var third, out _));

        ledger.Release(third);
        ledger.Release(second);
        Assert.True(ledger.TryReserve(most, machine, NothingUsed, out _, out _));
    }

    [Theory]
    [InlineData(20, 1, "needs 20 GB memory, 4 GB free of 16 GB (12 GB reserved)")]
    [InlineData(1, 20, "needs 20 GB disk, 9 GB free of 10 GB (1 GB reserved)")]
    [InlineData(5, 10, "needs 5 GB memory, 4 GB free of 16 GB (12 GB reserved); needs 10 GB disk, 9 GB free of 10 GB (1 GB reserved)")]
    public void A_refusal_says_what_is_short(int memory, int disk, string reason)
    {
        var ledger = new Ledger(new Capacity(16 * GB, 10 * GB));
        ledger.Adopt(Need(12, 1));

        Assert.False(ledger.TryReserve(Need(memory, disk), MachineWith(100, 100), NothingUsed, out _, out var refusal));

        Assert.Equal(reason, refusal.Reason);
        Assert.Equal(Need(memory, disk), refusal.Asked);
        Assert.Equal(memory <= 4, refusal.MemoryFits);
        Assert.Equal(disk <= 9, refusal.DiskFits);
    }

    [Fact]
    public void A_refusal_by_a_hair_is_told_in_bytes()
    {
        var ledger = new Ledger(new Capacity(GB, 0));

        Assert.False(ledger.TryReserve(Provision.FromBytes(GB + 1, 0), MachineWith(100, 0), NothingUsed, out _, out var refusal));

        Assert.Equal("needs 1000000001 B memory, 1000000000 B free of 1 GB (0 B reserved)", refusal.Reason);
    }

    [Fact]
    public void Named_resources_are_granted_to_the_last_fraction_and_not_beyond()
    {
        var ledger = new Ledger(new Capacity(GB, GB) { Resources = [new("cores", 1), new("gpu", 2)] });
        var machine = MachineWith(100, 100);
        var tenth = Provision.None with { Cores = 0.1m };
        for (var i = 0; i < 10; i++)
            Assert.True(ledger.TryReserve(tenth, machine, NothingUsed, out _, out _));

        Assert.False(ledger.TryReserve(tenth with { Resources = [new("gpu", 3), new("licence", 1)] }, machine, NothingUsed, out _, out var refusal));

        Assert.Equal("needs 0.1 cores, 0 free of 1 (1 reserved); needs 3 gpu, 2 free of 2 (0 reserved); needs 1 licence, of which this node has none", refusal.Reason);
        Assert.Equal("cores=0, gpu=2", refusal.Status.Resources.Free.ToString());
        Assert.Equal(1, refusal.Status.Utilization);
    }

    [Fact]
    public void A_limit_on_slots_counts_processes_whatever_they_need()
    {
        var ledger = new Ledger(new Capacity(16 * GB, 16 * GB) { MaxSlots = 2 });
        var machine = MachineWith(100, 100);
        Assert.Equal(2, ledger.Status(machine, NothingUsed).AvailableSlots(Provision.None));
        Assert.True(ledger.TryReserve(Provision.None, machine, NothingUsed, out var first, out _));
        Assert.Equal(new SlotCount(1, 1, 16, 16, 2), ledger.Status(machine, NothingUsed).Count(Need(1, 1)));
        Assert.Equal(0.5, ledger.Status(machine, NothingUsed).Utilization);
        Assert.True(ledger.TryReserve(Need(1, 1), machine, NothingUsed, out _, out _));

        Assert.False(ledger.TryReserve(Provision.None, machine, NothingUsed, out _, out var refusal));

        Assert.Equal("all of its 2 slots are used", refusal.Reason);
        Assert.True(ledger.Release(first));
        Assert.True(ledger.TryReserve(Provision.None, machine, NothingUsed, out _, out _));
        Assert.Throws<ArgumentOutOfRangeException>(() => new Capacity(1, 1) { MaxSlots = -1 });
    }

    [Theory]
    [InlineData(0, 4, 0)]
    [InlineData(1, 3, 0.25)]
    [InlineData(3, 0, 1)]
    [InlineData(0, 0, 1)]
    [InlineData(5, int.MaxValue, 5 / (5.0 + int.MaxValue))]
    public void Utilization_of_a_kind_is_its_used_slots_of_all_slots(int used, int available, double expected) =>
        Assert.Equal(expected, new SlotCount(used, available, 0, 0, 0).Utilization);

    [Fact]
    public void A_lease_ends_by_itself_unless_it_is_confirmed()
    {
        var ledger = new Ledger(new Capacity(2 * GB, 2 * GB));
        var machine = MachineWith(100, 100);
        var noon = new DateTimeOffset(2030, 1, 1, 12, 0, 0, TimeSpan.Zero);
        Assert.True(ledger.TryReserve(Need(1, 0), machine, NothingUsed, noon, out var started, out _));
        Assert.True(ledger.TryReserve(Need(1, 0), machine, NothingUsed, noon, out var lost, out _));
        Assert.True(ledger.Confirm(started));

        Assert.Empty(ledger.Expire(noon.AddTicks(-1)));
        Assert.Equal([lost], ledger.Expire(noon));
        Assert.Empty(ledger.Expire(noon));

        Assert.False(ledger.Confirm(lost));
        Assert.False(ledger.Release(lost));
        Assert.True(ledger.Release(started));
        Assert.False(ledger.Confirm(started));
    }

    [Fact]
    public void A_resource_that_is_not_needed_does_not_limit()
    {
        var ledger = new Ledger(new Capacity(0, 1 * GB));
        var machine = MachineWith(0, 1);

        Assert.True(ledger.TryReserve(Need(0, 1), machine, NothingUsed, out _, out _));
        Assert.True(ledger.TryReserve(Provision.None, machine, NothingUsed, out _, out _));
    }

    [Fact]
    public void A_reservation_is_given_back_once()
    {
        var ledger = new Ledger(new Capacity(1 * GB, 1 * GB));
        var machine = MachineWith(1, 1);
        Assert.True(ledger.TryReserve(Need(1, 1), machine, NothingUsed, out var reservation, out _));

        Assert.True(ledger.Release(reservation));
        Assert.False(ledger.Release(reservation));
        Assert.False(new Ledger(ledger.Capacity).Release(reservation));

        Assert.Equal(new LedgerStatus(new(GB, 0, GB), new(GB, 0, GB), 0), ledger.Status(machine, NothingUsed));
    }

    [Fact]
    public void Equal_provisions_are_reservations_of_their_own()
    {
        var ledger = new Ledger(new Capacity(2 * GB, 2 * GB));
        var first = ledger.Adopt(Need(1, 1));
        var second = ledger.Adopt(Need(1, 1));

        Assert.True(ledger.Release(first));
        Assert.Equal(1, ledger.Status(MachineWith(2, 2), NothingUsed).Reservations);
        Assert.True(ledger.Release(second));
    }

    [Fact]
    public void Adopted_processes_may_exceed_the_capacity_and_then_nothing_is_granted()
    {
        var ledger = new Ledger(new Capacity(4 * GB, 4 * GB));
        ledger.Adopt(Provision.FromBytes(long.MaxValue, 1));
        var greedy = ledger.Adopt(Provision.FromBytes(long.MaxValue, 1));
        var machine = MachineWith(100, 100);

        var memory = ledger.Status(machine, NothingUsed).Memory;

        Assert.Equal(new ResourceLevel(0, long.MaxValue, 4 * GB), memory);
        Assert.Equal(1, memory.Utilization);
        Assert.True(ledger.Release(greedy));
        Assert.False(ledger.TryReserve(Provision.FromBytes(1, 0), machine, NothingUsed, out _, out _));
    }

    [Theory]
    // memory, disk of one; slots free in memory, on disk, in both; on an empty agent
    [InlineData(1, 1, 4, 9, 4, 10)]
    [InlineData(3, 1, 1, 9, 1, 5)]
    [InlineData(1, 5, 4, 1, 1, 2)]
    [InlineData(5, 1, 0, 9, 0, 3)]
    [InlineData(17, 1, 0, 9, 0, 0)]
    [InlineData(0, 2, int.MaxValue, 4, 4, 5)]
    [InlineData(2, 0, 2, int.MaxValue, 2, 8)]
    [InlineData(0, 0, int.MaxValue, int.MaxValue, int.MaxValue, int.MaxValue)]
    public void Slots_are_counted_for_each_resource(int memory, int disk, int inMemory, int onDisk, int available, int most)
    {
        var status = new LedgerStatus(new(4 * GB, 12 * GB, 16 * GB), new(9 * GB, 1 * GB, 10 * GB), 1);
        var provision = Need(memory, disk);

        Assert.Equal(inMemory, status.AvailableSlotsInMemory(provision));
        Assert.Equal(onDisk, status.AvailableSlotsOnDisk(provision));
        Assert.Equal(available, status.AvailableSlots(provision));
        Assert.Equal(most, status.MaxSlots(provision));
    }

    [Fact]
    public void More_slots_than_an_int_can_count_are_as_many_as_it_can() =>
        Assert.Equal(int.MaxValue, new LedgerStatus(new(16 * GB, 0, 16 * GB), new(0, 0, 0), 0).AvailableSlots(Provision.FromBytes(1, 0)));

    [Theory]
    [InlineData(12, 16, 1, 10, 0.75)]
    [InlineData(4, 16, 9, 10, 0.9)]
    [InlineData(0, 16, 0, 0, 0)]
    [InlineData(16, 16, 0, 10, 1)]
    [InlineData(20, 16, 0, 10, 1)]
    [InlineData(1, 0, 0, 10, 1)]
    public void Utilization_is_that_of_the_scarcer_resource(int memory, int memoryCapacity, int disk, int diskCapacity, double expected) =>
        Assert.Equal(expected, new LedgerStatus(new(0, memory * GB, memoryCapacity * GB), new(0, disk * GB, diskCapacity * GB), 0).Utilization);

    private static Provision Need(int memory, int disk) => Provision.FromBytes(memory * GB, disk * GB);

    private static MachineStatus MachineWith(int freeMemory, int freeDisk) => new(1000 * GB, freeMemory * GB, 1000 * GB, freeDisk * GB, 4);
}
