using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Cluster;
using Akka.Configuration;
using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>
/// One incarnation: an Akka cluster node with an address of its own. It holds no state that would be missed: when other members have downed
/// it, or its grid joins another one, it is discarded and a new one starts.
/// </summary>
internal sealed class Engine : IAsyncDisposable
{
    private static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(2);

    private readonly EngineSetup _setup;
    private readonly ActorSystem _system;
    private readonly Cluster _cluster;
    private readonly TaskCompletionSource _joined = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile IReadOnlyList<WatchedMember> _members = [];

    private Engine(EngineSetup setup, ActorSystem system, Action changed)
    {
        _setup = setup;
        _system = system;
        _cluster = Cluster.Get(system);
        Action<IReadOnlyList<WatchedMember>> show = members =>
        {
            _members = members;
            if (Contains(setup.Port.Self))
            {
                _joined.TrySetResult();
            }

            changed();
        };
        Action downed = () => _ended.TrySetResult();
        system.ActorOf(Props.Create(() => new MemberWatch(show, downed)), "members");
    }

    public string Incarnation => _setup.Port.Self.Incarnation;

    /// <summary>Completes when this node is a member of a grid.</summary>
    public Task Joined => _joined.Task;

    /// <summary>Completes when this node is no longer a member, or its actor system has terminated.</summary>
    public Task Ended => Task.WhenAny(_ended.Task, _system.WhenTerminated);

    /// <param name="setup">Address, transport and options.</param>
    /// <param name="changed">Called from any thread when the list of members has changed.</param>
    public static Task<Engine> StartAsync(EngineSetup setup, Action changed) => Task.Run(() =>
    {
        Config config = EngineConfig.For(setup.Options.NodeId, verbose: setup.Logger.IsEnabled(LogLevel.Debug));
        ActorSystem system = ActorSystem.Create(EngineConfig.SystemName, BootstrapSetup.Create().WithConfig(config).And(setup));
        return new Engine(setup, system, changed);
    });

    /// <summary>Forms a grid of this node alone.</summary>
    public void Form() => _cluster.Join(_cluster.SelfAddress);

    public void Join(NodeKey seed) => _cluster.Join(EngineConfig.ToEngineAddress(seed));

    /// <summary>Removes all incarnations at an address.</summary>
    public void Down(string address)
    {
        foreach (WatchedMember member in _members.Where(m => m.Node.Address == address && m.Node != _setup.Port.Self))
        {
            _cluster.Down(member.Id.Address);
        }
    }

    public bool Contains(NodeKey node) => _members.Any(m => m.Node == node);

    public IReadOnlyList<MemberView> Members() => [.. _members.Select(m => new MemberView(
        m.Node.Address,
        m.Node.Incarnation,
        m.NodeId,
        m.Reachable,
        Heard: _cluster.FailureDetector.IsMonitoring(m.Id.Address) ? _cluster.FailureDetector.IsAvailable(m.Id.Address) : null))];

    public Task AcceptAsync(Stream stream, GridCaller caller, CancellationToken ct) => _setup.Port.AcceptAsync(stream, caller, ct);

    /// <summary>
    /// Terminates without leaving gracefully: Akka's graceful leave waits for as long as any member is unreachable. Other members find
    /// this engine gone.
    /// </summary>
    public async ValueTask DisposeAsync()
    {
        _setup.Port.Close();
        try
        {
            await _system.Terminate().WaitAsync(StopTimeout, _setup.Time).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            _setup.Logger.EngineStopsLate(Incarnation, StopTimeout);
        }
    }
}
