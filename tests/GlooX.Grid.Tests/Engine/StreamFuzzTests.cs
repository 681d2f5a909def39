using System.Text;
using Akka.Actor;
using Akka.Actor.Setup;
using Akka.Cluster;
using Google.Protobuf;
using GlooX.Rpc.Tests.Protocol.Fuzzing;
using Microsoft.Extensions.Logging.Abstractions;

namespace GlooX.Grid.Tests.Engine;

/// <summary>Spoiled bytes of grid streams; <c>tests/fuzz.sh</c> runs many more of them.</summary>
public sealed class StreamFuzzTests
{
    [Fact]
    public void Spoiled_beginnings_of_grid_streams_are_refused()
    {
        byte[] origin = Field(2, Encoding.UTF8.GetBytes("10.0.0.3.i1a2b"));
        byte[] handshake = Field(2, Field(2, Field(1, origin)));
        Assert.Equal("10.0.0.3", Handshake.HostOf(ByteString.CopyFrom(handshake)));
        ByteFuzzer.Run([handshake], static bytes => Handshake.HostOf(ByteString.CopyFrom(bytes)), static e => e is InvalidDataException);
        ByteFuzzer.Run([[5, .. "i1a2b"u8]], static bytes => Preface.ReadAsync(new MemoryStream(bytes), default).GetAwaiter().GetResult(), static e => e is IOException or InvalidDataException);
    }

    [Fact]
    public async Task A_handshake_with_two_origins_is_refused()
    {
        byte[] good = Field(2, "10.0.0.3.i1"u8), bad = Field(2, "10.0.0.4.i1"u8);
        foreach (byte[] both in new[] { Field(2, Field(2, [.. Field(1, good), .. Field(1, bad)])), [.. Field(2, Field(2, Field(1, good))), .. Field(2, Field(2, Field(1, bad)))], Field(2, Field(2, Field(1, [.. good, .. bad]))) })
        {
            Assert.Throws<InvalidDataException>(() => Handshake.HostOf(ByteString.CopyFrom(both)));
        }

        await Task.CompletedTask;
    }

    [Fact]
    public async Task Spoiled_messages_to_the_engine_are_read_or_refused()
    {
        int port = TcpWire.FreePort();
        await using var wire = new TcpWire(port);
        var self = new NodeKey($"127.0.0.1:{port}", Incarnation.New(TimeProvider.System));
        var options = new GridOptions { Port = port, AdvertisedAddress = self.Address };
        var setup = new EngineSetup(new EnginePort(self, wire), null!, options, TimeProvider.System, NullLogger.Instance);
        var system = (ExtendedActorSystem)ActorSystem.Create(EngineConfig.SystemName, BootstrapSetup.Create().WithConfig(EngineConfig.For(options.NodeId, verbose: false)).And(setup));
        try
        {
            Cluster cluster = Cluster.Get(system);
            var serializer = (Akka.Serialization.SerializerWithStringManifest)system.Serialization.GetSerializerById(5);
            Akka.Serialization.Serializer selections = system.Serialization.GetSerializerById(6);
            object join = Activator.CreateInstance(
                typeof(Cluster).Assembly.GetType("Akka.Cluster.InternalClusterAction+Join")!,
                cluster.SelfUniqueAddress,
                System.Collections.Immutable.ImmutableHashSet.Create("node-a"),
                Akka.Util.AppVersion.Create("0.0.0"))!;
            byte[] selection = selections.ToBinary(new ActorSelectionMessage(join, [new SelectChildName("system"), new SelectChildName("cluster")]));
            string manifest = serializer.Manifest(join);
            ByteFuzzer.Run(
                [serializer.ToBinary(join), selection],
                bytes =>
                {
                    foreach (Action read in new Action[] { () => serializer.FromBinary(bytes, manifest), () => selections.FromBinary(bytes, typeof(ActorSelectionMessage)) })
                    {
                        try
                        {
                            read();
                        }
                        catch (Exception e) when (e is not (OutOfMemoryException or InsufficientExecutionStackException))
                        {
                            // Akka drops a message that it cannot read, whatever the reason
                        }
                    }
                },
                static _ => false);
        }
        finally
        {
            await system.Terminate();
        }
    }

    private static byte[] Field(int number, ReadOnlySpan<byte> content) => [(byte)((number << 3) | 2), (byte)content.Length, .. content];
}
