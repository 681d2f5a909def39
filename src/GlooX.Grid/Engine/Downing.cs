using Akka.Actor;
using Akka.Cluster;
using Akka.Remote;
using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>Makes Akka use <see cref="DowningActor"/> as its downing strategy; created by Akka.</summary>
internal sealed class Downing(ActorSystem system, Cluster cluster) : IDowningProvider
{
    public TimeSpan DownRemovalMargin => TimeSpan.Zero;

    public Props DowningActorProps { get; } = Props.Create(() => new DowningActor(cluster, EngineSetup.Of(system)));
}

/// <summary>
/// Removes members. Proof of death (connection refused twice, or another incarnation answers) removes at once; silence after
/// <see cref="GridOptions.ForgetAfter"/>, unless another member hears the silent one. See <see cref="DowningRule"/>.
/// </summary>
#pragma warning disable CA1001 // A source without a timer holds nothing; PostStop cancels it.
internal sealed class DowningActor : ReceiveActor, IWithTimers
#pragma warning restore CA1001
{
    private const int ProbeEachTicks = 3;
    private const int AskAgainTicks = 10;
    private const int MaxWitnesses = 32;
    private static readonly TimeSpan SecondLook = TimeSpan.FromMilliseconds(150);

    private readonly Cluster _cluster;
    private readonly EngineSetup _setup;
    private readonly NodeKey _self;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stopped = new();
    private readonly Dictionary<Address, int> _silent = [];
    private readonly HashSet<Address> _checking = [];
    private long _lastTick;

    private sealed record Tick;

    private sealed record Checked(Address Address, ProbeResult Result, bool Again);

    private sealed record Heard(Address Address, bool IsSeen, int Witnesses, string Why);

    private sealed record DownNow(Address Address, string Why);

    public DowningActor(Cluster cluster, EngineSetup setup)
    {
        _cluster = cluster;
        _setup = setup;
        _self = setup.Port.Self;
        _logger = setup.Logger;

        Receive<ClusterEvent.UnreachableMember>(e =>
        {
            _silent.TryAdd(e.Member.Address, 0);
            Check(e.Member.Address);
        });
        Receive<ClusterEvent.ReachableMember>(e => _silent.Remove(e.Member.Address));
        Receive<ClusterEvent.MemberRemoved>(e => _silent.Remove(e.Member.Address));
        Receive<AssociationEvent>(e => Check(e.RemoteAddress));
        Receive<Checked>(OnChecked);
        Receive<Heard>(OnHeard);
        Receive<DownNow>(OnDownNow);
        Receive<Tick>(_ => OnTick());
    }

    public ITimerScheduler Timers { get; set; } = null!;

    protected override void PreStart()
    {
        _lastTick = _setup.Time.GetTimestamp();
        _cluster.Subscribe(
            Self,
            ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents,
            typeof(ClusterEvent.IReachabilityEvent),
            typeof(ClusterEvent.MemberRemoved));

        // A broken stream is a hint that comes seconds before the failure detector reacts.
        Context.System.EventStream.Subscribe(Self, typeof(DisassociatedEvent));
        Context.System.EventStream.Subscribe(Self, typeof(AssociationErrorEvent));
        Timers.StartPeriodicTimer("tick", new Tick(), TimeSpan.FromSeconds(1));
    }

    protected override void PostStop()
    {
        _stopped.Cancel();
        _cluster.Unsubscribe(Self);
        Context.System.EventStream.Unsubscribe(Self);
    }

    private void OnChecked(Checked check)
    {
        _checking.Remove(check.Address);
        if (check.Result.Outcome != ProbeOutcome.Dead || !IsLive(check.Address))
        {
            return;
        }

        if (!check.Result.IsRefused)
        {
            DownByRank(check.Address, check.Result.Why);
        }
        else if (!check.Again)
        {
            Check(check.Address, again: true);
        }
        else if (_setup.Options.ConfirmRefusals)
        {
            AskOthers(check.Address, check.Result.Why);
        }
        else
        {
            DownByRank(check.Address, check.Result.Why);
        }
    }

    private void OnHeard(Heard heard)
    {
        bool forgotten = heard.Why.Length == 0;
        if (heard.IsSeen)
        {
            _logger.Kept(EngineConfig.ToNode(heard.Address).Address);
        }
        else if (forgotten && _silent.ContainsKey(heard.Address))
        {
            Self.Tell(new DownNow(heard.Address, $"silent for {_setup.Options.ForgetAfter.TotalSeconds} s"));
        }
        else if (!forgotten && heard.Witnesses > 0)
        {
            DownByRank(heard.Address, heard.Why);
        }
    }

    private void OnDownNow(DownNow down)
    {
        if (IsLive(down.Address))
        {
            _logger.Downing(EngineConfig.ToNode(down.Address).Address, down.Why);
            _cluster.Down(down.Address);
        }
    }

    private void OnTick()
    {
        long now = _setup.Time.GetTimestamp();
        if (!DowningRule.IsTick(_setup.Time.GetElapsedTime(_lastTick, now)))
        {
            return;
        }

        _lastTick = now;
        int rank = Rank();
        foreach (Address address in _silent.Keys.ToArray())
        {
            int ticks = ++_silent[address];
            if (DowningRule.IsForgotten(ticks, _setup.Options.ForgetAfter, rank))
            {
                _silent[address] = ticks - AskAgainTicks;
                AskOthers(address, why: "");
            }
            else if (ticks % ProbeEachTicks == 0)
            {
                Check(address);
            }
        }
    }

    /// <summary>Downs a member after a delay by rank: the lowest reachable member acts first, the next ones only if it does not.</summary>
    private void DownByRank(Address address, string why) =>
        Timers.StartSingleTimer("down " + address, new DownNow(address, why), DowningRule.Delay(Rank()));

    private void Check(Address address, bool again = false)
    {
        if (!IsLive(address) || !_checking.Add(address))
        {
            return;
        }

        _ = ProbeAsync().PipeTo(Self, failure: _ => new Checked(address, new ProbeResult(ProbeOutcome.Silent, "stopped", null), again));

        async Task<Checked> ProbeAsync()
        {
            if (again)
            {
                await Task.Delay(SecondLook, _setup.Time, _stopped.Token).ConfigureAwait(false);
            }

            NodeKey node = EngineConfig.ToNode(address);
            ProbeResult result = await _setup.Prober.ProbeAsync(node.Address, node.Incarnation, _stopped.Token).ConfigureAwait(false);
            return new Checked(address, result, again);
        }
    }

    /// <summary>Asks other members first: in a partial partition, a member that one of them hears is kept.</summary>
    private void AskOthers(Address address, string why)
    {
        NodeKey silent = EngineConfig.ToNode(address);
        string[] witnesses = [.. Reachable().Select(m => EngineConfig.ToNode(m.Address).Address).Where(a => a != _self.Address)];
        Random.Shared.Shuffle(witnesses); // in a large grid only nine members monitor it, and they may be any
        _ = AskAsync().PipeTo(Self, failure: _ => new Heard(address, IsSeen: true, 0, why));

        async Task<Heard> AskAsync()
        {
            ProbeResult[] results = await Task.WhenAll(witnesses
                .Take(MaxWitnesses)
                .Append(silent.Address)
                .Select(a => _setup.Prober.ProbeAsync(a, null, _stopped.Token))).ConfigureAwait(false);
            ProbeReply[] answers = [.. results.Select(r => r.Reply).OfType<ProbeReply>()];
            return new Heard(address, DowningRule.IsSeen(_self, silent, answers), DowningRule.Witnesses(silent, answers), why);
        }
    }

    private int Rank() => DowningRule.Rank(_self.Address, Reachable().Select(m => EngineConfig.ToNode(m.Address).Address));

    private IEnumerable<Member> Reachable() => _cluster.State.Members
        .Where(m => m.Status is MemberStatus.Up or MemberStatus.WeaklyUp && !_cluster.State.Unreachable.Contains(m));

    private bool IsLive(Address address) =>
        address != _cluster.SelfAddress && _cluster.State.Members.Any(m => m.Address == address && MemberWatch.IsLive(m));
}
