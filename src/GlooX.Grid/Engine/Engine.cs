using System.Net;
using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Cluster;
using Akka.Configuration;
using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>
/// One incarnation: an Akka cluster node under an address of its own. It holds nothing that would be missed; when the others have
/// downed it, or its grid gives itself up, it is thrown away and another one starts.
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

    /// <summary>Completes when this node is in a grid.</summary>
    public Task Joined => _joined.Task;

    /// <summary>Completes when it is in none any more, or has crashed.</summary>
    public Task Ended => Task.WhenAny(_ended.Task, _system.WhenTerminated);

    /// <param name="setup">What it needs.</param>
    /// <param name="changed">Called, from any thread, when the list of members is another one.</param>
    public static Task<Engine> StartAsync(EngineSetup setup, Action changed) => Task.Run(() =>
    {
        Config config = EngineConfig.For(setup.Options.NodeId, verbose: setup.Logger.IsEnabled(LogLevel.Debug));
        ActorSystem system = ActorSystem.Create(EngineConfig.SystemName, BootstrapSetup.Create().WithConfig(config).And(setup));
        return new Engine(setup, system, changed);
    });

    /// <summary>Begins a grid.</summary>
    public void Form() => _cluster.Join(_cluster.SelfAddress);

    public void Join(NodeKey seed) => _cluster.Join(EngineConfig.ToEngineAddress(seed));

    /// <summary>Takes whatever incarnations there are at an address off the list.</summary>
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

    public Task AcceptAsync(Stream stream, EndPoint? remote, CancellationToken ct) => _setup.Port.AcceptAsync(stream, remote, ct);

    /// <summary>Hard: nobody is told, and nobody is waited for. A graceful leave can take as long as somebody else is unreachable.</summary>
    public async ValueTask DisposeAsync()
    {
        _setup.Port.Close();
        try
        {
            await _system.Terminate().WaitAsync(StopTimeout, _setup.Time).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            _setup.Logger.EngineStopsLate(Incarnation);
        }
    }
}
