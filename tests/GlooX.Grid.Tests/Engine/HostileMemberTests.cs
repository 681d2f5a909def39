using System.Collections.Concurrent;
using System.Runtime.Serialization;
using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Cluster;
using Akka.Configuration;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX.Grid.Tests.Engine;

/// <summary>A member whose certificate is good and whose messages are not.</summary>
public sealed class HostileMemberTests
{
    // As Akka has it without our settings.
    private const string Hostile = """
        akka.remote.untrusted-mode = off
        akka.actor.serializers {
          json = "Akka.Serialization.NewtonSoftJsonSerializer, Akka"
          bytes = "Akka.Serialization.ByteArraySerializer, Akka"
          akka-containers = "Akka.Remote.Serialization.MessageContainerSerializer, Akka.Remote"
          akka-misc = "Akka.Remote.Serialization.MiscMessageSerializer, Akka.Remote"
          primitive = "Akka.Remote.Serialization.PrimitiveSerializers, Akka.Remote"
          proto = "Akka.Remote.Serialization.ProtobufSerializer, Akka.Remote"
          daemon-create = "Akka.Remote.Serialization.DaemonMsgCreateSerializer, Akka.Remote"
          akka-system-msg = "Akka.Remote.Serialization.SystemMessageSerializer, Akka.Remote"
          reliable-delivery = "Akka.Cluster.Serialization.ReliableDeliverySerializer, Akka.Cluster"
        }
        """;

    private static int s_made;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task No_type_that_a_message_names_is_made_and_no_actor_is_stopped_or_deployed()
    {
        await using var grid = new TestGrid();
        TestNode victim = (await grid.StartAsync(2))[0];
        int port = TcpWire.FreePort();
        await using var wire = new TcpWire(port);
        var self = new NodeKey($"127.0.0.1:{port}", Incarnation.New(TimeProvider.System));
        var options = new GridOptions { Port = port, AdvertisedAddress = self.Address };
        var setup = new EngineSetup(new EnginePort(self, wire), null!, options, TimeProvider.System, NullLogger.Instance);
        Config config = ConfigurationFactory.ParseString(Hostile).WithFallback(EngineConfig.For(options.NodeId, verbose: false));
        var rogue = (ExtendedActorSystem)ActorSystem.Create(EngineConfig.SystemName, BootstrapSetup.Create().WithConfig(config).And(setup));
        try
        {
            Address address = EngineConfig.ToEngineAddress(new NodeKey(victim.Address, victim.Incarnation(victim)));
            Cluster.Get(rogue).Join(address);
            await grid.Eventually(() => victim.Membership.Members.Any(m => m.Address == self.Address), "the rogue is a member");

            // What is sent would be made where it is read with Akka's own serializers.
            var gadget = new Gadget { Text = "x" };
            int before = s_made;
            var json = rogue.Serialization.FindSerializerFor(gadget);
            Assert.IsType<Gadget>(json.FromBinary<Gadget>(json.ToBinary(gadget)));
            Assert.Equal(before + 1, s_made);
            before = s_made;

            object[] messages = [gadget, PoisonPill.Instance, Kill.Instance, new Status.Failure(new GadgetException("x")), new Status.Success(gadget), "text", new byte[] { 1 }];
            before = s_made;
            foreach (string path in new[] { "/user/members", "/user", "/system/cluster/core/daemon", "/system/cluster/heartbeatReceiver", "/remote" })
            {
                foreach (object message in messages)
                {
                    rogue.ActorSelection($"{address}{path}").Tell(message);
                    rogue.Provider.ResolveActorRef($"{address}{path}").Tell(message);
                }
            }

            _ = rogue.ActorOf(Props.Create<DeployedActor>().WithDeploy(Deploy.None.WithScope(new RemoteScope(address))), "deployed");

            // The victim goes on, and sees who comes and goes.
            TestNode third = grid.Node();
            await third.StartAsync(victim);
            await grid.Eventually(() => victim.Membership.Members.Any(m => m.Address == third.Address && m.Reachable), "the victim sees a third one");
            await third.KillAsync();
            await grid.Eventually(() => victim.Membership.Members.All(m => m.Address != third.Address), "the victim sees that the third one is gone");
            Assert.Equal(before, s_made);
        }
        finally
        {
            await rogue.Terminate();
        }
    }

    [Fact]
    public async Task A_stream_whose_engine_claims_an_address_of_another_certificate_is_refused()
    {
        await using var grid = new TestGrid();
        TestNode victim = (await grid.StartAsync(2))[0];
        TestNode other = grid.Node();
        var claimed = new ConcurrentQueue<string>();
        bool isMade = false;
        victim.Wire.MayBe = host =>
        {
            claimed.Enqueue(host);
            return Volatile.Read(ref isMade);
        };
        await other.StartAsync(victim);
        await grid.Eventually(() => claimed.Count >= 2, "the other has tried twice");
        Assert.All(claimed, static h => Assert.Equal("127.0.0.1", h));
        Assert.Equal(2, victim.Membership.Members.Count);

        Volatile.Write(ref isMade, true);
        await grid.Eventually(() => victim.Membership.Members.Any(m => m.Address == other.Address && m.Reachable), "it is a member");
    }

    public sealed class Gadget
    {
        public Gadget() => Interlocked.Increment(ref s_made);

        public string Text { get; set; } = "";
    }

    public sealed class GadgetException : Exception
    {
        public GadgetException(string message)
            : base(message)
        {
        }

#pragma warning disable SYSLIB0051 // that is how it would be made
        private GadgetException(SerializationInfo info, StreamingContext context)
            : base(info, context) => Interlocked.Increment(ref s_made);
#pragma warning restore SYSLIB0051
    }

    public sealed class DeployedActor : ReceiveActor
    {
        public DeployedActor() => Interlocked.Increment(ref s_made);
    }
}
