using CsCheck;

namespace GlooX.Slots.Tests;

/// <summary>
/// The ledger against a list: whatever the order in which processes are reserved, confirmed and given back, leases run out, and the agent
/// crashes and takes over what outlived it, both grant the same and no more than there is.
/// </summary>
public sealed class LedgerModelTests
{
    private static readonly Dictionary<Reservation, Usage> NothingUsed = [];
    private static readonly DateTimeOffset Start = new(2030, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private static readonly Gen<Step> Steps = Gen.Select(
        Gen.Enum<Do>(), Gen.Int[0, 4], Gen.Int[0, 4], Gen.Int[1, 6], Gen.Int[0, 1000], (what, memory, gpu, time, which) => new Step(what, memory, gpu, time, which));

    private enum Do
    {
        Reserve,
        ReserveForGood,
        Confirm,
        Release,
        LetTimePass,
        CrashAndRestart,
    }

    private sealed record Step(Do What, int Memory, int Gpu, int Time, int Which);

    /// <summary>A process of the model; those with an odd need of memory outlive the agent.</summary>
    private sealed record Entry(Reservation Reservation, int Memory, int Gpu, DateTimeOffset? LeaseUntil)
    {
        public bool OutlivesAgent => LeaseUntil is null && Memory % 2 == 1;
    }

    [Fact]
    public void Nothing_that_happens_in_any_order_over_commits_or_loses_room() =>
        Gen.Select(Gen.Int[0, 12], Gen.Int[0, 12], Gen.Int[0, 6], Gen.Int[1, 8], Steps.Array[0, 24]).Sample(
            (capacity, onMachine, gpus, maxSlots, steps) => Run(capacity, onMachine, gpus, maxSlots, steps), iter: 100_000);

    private static void Run(int capacity, int onMachine, int gpus, int maxSlots, Step[] steps)
    {
        var limits = new Capacity(capacity, 0) { Resources = [new("gpu", gpus)], MaxSlots = maxSlots };
        var machine = new MachineStatus(onMachine, onMachine, 0, 0, 1);
        var ledger = new Ledger(limits);
        var (model, ended, now) = (new List<Entry>(), new List<Reservation>(), Start);
        foreach (var step in steps)
        {
            switch (step.What)
            {
                case Do.Reserve or Do.ReserveForGood:
                    DateTimeOffset? lease = step.What == Do.Reserve ? now.AddSeconds(step.Time) : null;
                    var fits = model.Count < maxSlots
                        && (step.Memory == 0 || model.Sum(e => e.Memory) + step.Memory <= Math.Min(capacity, onMachine))
                        && (step.Gpu == 0 || model.Sum(e => e.Gpu) + step.Gpu <= gpus);
                    var need = Provision.FromBytes(step.Memory, 0) with { Resources = [new("gpu", step.Gpu)] };
                    Require(fits == ledger.TryReserve(need, machine, NothingUsed, lease, out var reservation, out var refusal), "a grant is given exactly when it fits");
                    Require(fits == (refusal is null), "a refusal comes exactly without a grant");
                    if (reservation is not null)
                        model.Add(new Entry(reservation, step.Memory, step.Gpu, lease));
                    break;

                case Do.Confirm when model.Count > 0:
                    var started = step.Which % model.Count;
                    Require(ledger.Confirm(model[started].Reservation), "what is held can be confirmed");
                    model[started] = model[started] with { LeaseUntil = null };
                    break;

                case Do.Release when model.Count > 0:
                    var gone = model[step.Which % model.Count];
                    model.Remove(gone);
                    ended.Add(gone.Reservation);
                    Require(ledger.Release(gone.Reservation), "what is held can be given back");
                    break;

                case Do.LetTimePass:
                    now = now.AddSeconds(step.Time);
                    var over = model.FindAll(e => e.LeaseUntil <= now).ConvertAll(e => e.Reservation);
                    model.RemoveAll(e => over.Contains(e.Reservation));
                    ended.AddRange(over);
                    Require(over.ToHashSet().SetEquals(ledger.Expire(now)), "exactly those end whose time is over");
                    break;

                case Do.CrashAndRestart:
                    ended.AddRange(model.Select(e => e.Reservation));
                    ledger = new Ledger(limits);
                    model = [.. model.Where(e => e.OutlivesAgent).Select(e => e with { Reservation = ledger.Adopt(e.Reservation.Provision) })];
                    break;

                default:
                    break;
            }

            if (ended.Count > 0)
            {
                var old = ended[step.Which % ended.Count];
                Require(!ledger.Confirm(old) && !ledger.Release(old), "what has ended is not there any more");
            }

            var status = ledger.Status(machine, NothingUsed);
            Require(status.Reservations == model.Count && status.Reservations <= maxSlots, "the number is right");
            Require(status.Memory.ReservedBytes == model.Sum(e => e.Memory) && status.Memory.ReservedBytes <= Math.Min(capacity, onMachine), "memory is right");
            Require(status.Resources.Reserved["gpu"] == model.Sum(e => e.Gpu) && status.Resources.Reserved["gpu"] <= gpus, "gpus are right");
        }
    }

    private static void Require(bool holds, string what) => Assert.True(holds, what);
}
