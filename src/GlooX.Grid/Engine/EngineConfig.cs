using System.Text.Json;
using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Configuration;
using Microsoft.Extensions.Logging;

namespace GlooX.Grid;

/// <summary>
/// What the engine's parts need from the rest of the process. Akka creates the parts by type name, so this travels in its settings.
/// </summary>
internal sealed class EngineSetup(EnginePort port, Prober prober, GridOptions options, TimeProvider time, ILogger logger) : Setup
{
    public EnginePort Port => port;

    public Prober Prober => prober;

    public GridOptions Options => options;

    public TimeProvider Time => time;

    public ILogger Logger => logger;

    public EngineDispatcher Dispatcher { get; } = new(logger.EngineWorkFailed);

    public static EngineSetup Of(ActorSystem system) => system.Settings.Setup.Get<EngineSetup>().Value;
}

/// <summary>The engine's settings. An idle member costs about 1 % of a core; with Akka's defaults it would cost 10 %.</summary>
internal static class EngineConfig
{
    public const string SystemName = "grid";
    public const string Scheme = "gloox";
    public const string Protocol = "akka.gloox";

    private const string RolePrefix = "node-";

    /// <remarks>
    /// The saving comes from one work queue for all dispatchers, one timer set for the next deadline instead of a timer wheel, and gossip
    /// once a second; grids form, fail and merge no later than with gossip every 300 ms.
    /// Acknowledgements are sent with heartbeats; Akka's default checks seven times a second, for each peer, whether one is due.
    /// Of serializers, those of gossip and of selections of its actors are there; all others refuse, so that no type named on the wire is made
    /// (docs/decisions/0022). In untrusted mode no message from elsewhere reaches an actor by a selection but the two that gossip and send
    /// heartbeats, and none stops, watches or deploys an actor.
    /// Weakly-up after two seconds lets members join while another is cut off. Akka's shutdown hooks are off: the process is not Akka's.
    /// </remarks>
    private const string Settings = """
        akka {
          actor {
            provider = cluster
            default-dispatcher.executor = "GlooX.Grid.EngineExecutor, GlooX.Grid"
            internal-dispatcher.executor = "GlooX.Grid.EngineExecutor, GlooX.Grid"
            serializers {
              json = "GlooX.Grid.RefusedJson, GlooX.Grid"
              bytes = "GlooX.Grid.RefusedBytes, GlooX.Grid"
              akka-containers = "GlooX.Grid.SelectionSerializer, GlooX.Grid"
              akka-misc = "GlooX.Grid.RefusedMisc, GlooX.Grid"
              primitive = "GlooX.Grid.RefusedPrimitives, GlooX.Grid"
              proto = "GlooX.Grid.RefusedProtobuf, GlooX.Grid"
              daemon-create = "GlooX.Grid.RefusedDeployment, GlooX.Grid"
              akka-system-msg = "GlooX.Grid.RefusedSystemMessages, GlooX.Grid"
              reliable-delivery = "GlooX.Grid.RefusedDelivery, GlooX.Grid"
            }
            serialization-identifiers {
              "GlooX.Grid.SelectionSerializer, GlooX.Grid" = 6
            }
          }
          scheduler.implementation = "GlooX.Grid.EngineScheduler, GlooX.Grid"
          loggers = ["GlooX.Grid.EngineLog, GlooX.Grid"]
          stdout-loglevel = OFF
          stdout-logger-class = "GlooX.Grid.NullConsoleLogger, GlooX.Grid"
          log-dead-letters = off
          log-dead-letters-during-shutdown = off
          coordinated-shutdown {
            run-by-actor-system-terminate = off
            run-by-clr-shutdown-hook = off
          }
          remote {
            untrusted-mode = on
            trusted-selection-paths = ["/system/cluster/core/daemon", "/system/cluster/heartbeatReceiver"]
            enabled-transports = ["akka.remote.gloox"]
            gloox {
              transport-class = "GlooX.Grid.StreamTransport, GlooX.Grid"
              applied-adapters = []
            }
            default-remote-dispatcher.executor = "GlooX.Grid.EngineExecutor, GlooX.Grid"
            backoff-remote-dispatcher.executor = "GlooX.Grid.EngineExecutor, GlooX.Grid"
            log-remote-lifecycle-events = off
            retry-gate-closed-for = 500ms
            system-message-ack-piggyback-timeout = 2s
            use-passive-connections = on
            flush-wait-on-shutdown = 100ms
            shutdown-timeout = 1s
          }
          cluster {
            downing-provider-class = "GlooX.Grid.Downing, GlooX.Grid"
            app-version = "0.0.0"
            log-info = off
            allow-weakly-up-members = 2s
            retry-unsuccessful-join-after = 1s
            run-coordinated-shutdown-when-down = off
            periodic-tasks-initial-delay = 100ms
            gossip-interval = 1s
            leader-actions-interval = 1s
            unreachable-nodes-reaper-interval = 1s
            failure-detector {
              heartbeat-interval = 1s
              acceptable-heartbeat-pause = 3s
            }
          }
        }
        """;

    /// <summary>The settings of one engine; the node id travels as a role of the member.</summary>
    public static Config For(string nodeId, bool verbose) => ConfigurationFactory.ParseString($"""
        akka.loglevel = {(verbose ? "INFO" : "WARNING")}
        akka.cluster.roles = [{JsonSerializer.Serialize(RolePrefix + nodeId)}]
        """).WithFallback(ConfigurationFactory.ParseString(Settings));

    public static string NodeIdOf(IEnumerable<string> roles) =>
        roles.FirstOrDefault(role => role.StartsWith(RolePrefix, StringComparison.Ordinal))?[RolePrefix.Length..] ?? "";

    public static Address ToEngineAddress(NodeKey node)
    {
        HostPort place = HostPort.Parse(node.Address);
        return new Address(Protocol, SystemName, Incarnation.ToEngineHost(place.Host, node.Incarnation), place.Port);
    }

    public static NodeKey ToNode(Address address)
    {
        (string host, string incarnation) = Incarnation.FromEngineHost(address.Host ?? "");
        return new NodeKey(HostPort.Of(host, address.Port ?? 0).ToString(), incarnation);
    }
}
