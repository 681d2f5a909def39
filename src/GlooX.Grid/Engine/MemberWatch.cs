using Akka.Actor;
using Akka.Cluster;

namespace GlooX.Grid;

/// <summary>A live member, and whether all other members find it reachable.</summary>
internal sealed record WatchedMember(UniqueAddress Id, NodeKey Node, string NodeId, bool Reachable);

/// <summary>
/// Keeps the list of live members. A member that is down is not live: its removal by Akka takes seconds, and much longer while another
/// member is unreachable.
/// </summary>
internal sealed class MemberWatch : ReceiveActor
{
    private readonly Cluster _cluster = Cluster.Get(Context.System);
    private readonly Dictionary<UniqueAddress, Member> _live = [];
    private readonly HashSet<UniqueAddress> _unreachable = [];

    /// <param name="show">Receives each new list.</param>
    /// <param name="downed">Called when other members have removed this node.</param>
    public MemberWatch(Action<IReadOnlyList<WatchedMember>> show, Action downed)
    {
        Receive<ClusterEvent.UnreachableMember>(e => Show(() => _unreachable.Add(e.Member.UniqueAddress)));
        Receive<ClusterEvent.ReachableMember>(e => Show(() => _unreachable.Remove(e.Member.UniqueAddress)));
        Receive<ClusterEvent.IMemberEvent>(e => Show(() => Take(e.Member)));

        void Show(Action change)
        {
            change();
            show([.. _live.Values.Select(m => new WatchedMember(
                m.UniqueAddress,
                EngineConfig.ToNode(m.Address),
                EngineConfig.NodeIdOf(m.Roles),
                !_unreachable.Contains(m.UniqueAddress)))]);
        }

        void Take(Member member)
        {
            if (IsLive(member))
            {
                _live[member.UniqueAddress] = member;
                return;
            }

            _live.Remove(member.UniqueAddress);
            _unreachable.Remove(member.UniqueAddress);
            if (member.UniqueAddress.Equals(_cluster.SelfUniqueAddress))
            {
                downed();
            }
        }
    }

    public static bool IsLive(Member member) =>
        member.Status is MemberStatus.Joining or MemberStatus.WeaklyUp or MemberStatus.Up or MemberStatus.Leaving;

    protected override void PreStart() => _cluster.Subscribe(
        Self,
        ClusterEvent.SubscriptionInitialStateMode.InitialStateAsEvents,
        typeof(ClusterEvent.IMemberEvent),
        typeof(ClusterEvent.IReachabilityEvent));

    protected override void PostStop() => _cluster.Unsubscribe(Self);
}
