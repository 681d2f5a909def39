using System.Buffers;
using System.Reflection;
using GlooX.Channels.Replication;
using GlooX.Contracts;
using GlooX.Grid;
using GlooX.Payloads;
using GlooX.Rpc.Tests.Protocol.Fuzzing;
using GlooX.RpcRuntime;
using GlooX.Services;
using Nerdbank.MessagePack;

namespace GlooX.Tests;

/// <summary>Spoiled messages of every kind that an agent takes; <c>tests/fuzz.sh</c> runs many more of them.</summary>
public sealed class MessageFuzzTests
{
    [Fact]
    public void Spoiled_manifests_of_bundles_are_refused()
    {
        BundleManifest manifest = BundleManifest.Of(
            [new BundleFile("a", 1, new string('a', 64), false), new BundleFile("lib/b.dll", 1L << 30, new string('0', 64), true), new BundleFile("lib/ü", 0, new string('f', 64), false)]);
        ByteFuzzer.Run(
            [manifest.Bytes],
            static bytes =>
            {
                BundleManifest read = BundleManifest.Parse(bytes);
                Assert.Equal(bytes, read.Bytes);
                Assert.All(read.Files, static f => Assert.StartsWith("/root/", Path.GetFullPath(Path.Combine("/root", f.Path)), StringComparison.Ordinal));
            },
            static e => e is BundleException);
    }

    [Fact]
    public void Spoiled_messages_between_nodes_about_channels_are_refused()
    {
        var now = Instant.Of(TimeProvider.System);
        var other = new Replicator(2, new ReplicatorOptions(), new Random(1));
        other.Create("c", ChannelSpec.Default, now);
        Replica channel = other.Find(Replicator.BuiltIn)!;
        other.Write(channel, "key", [1, 2, 3], EntryFlags.Ephemeral, 1000, wantsAcknowledgement: true, now);
        other.Write(channel, "key", null, EntryFlags.None, 0, wantsAcknowledgement: false, now);
        other.Add(channel, "counter", 5, wantsAcknowledgement: false, now);
        List<byte[]> messages = [.. Messages.Encode(2, other.TakePending(), now.Mono)];

        // What the two tell each other until they are equal.
        var victim = new Replicator(1, new ReplicatorOptions(), new Random(2));
        victim.SetMembers([(2, true)], now);
        other.SetMembers([(1, true)], now);
        for (int round = 0; round < 5; round++)
        {
            foreach ((Replicator from, Replicator to) in new[] { (other, victim), (victim, other) })
            {
                byte[][] sent = [.. from.Outbox.Select(static m => m.Message)];
                from.Outbox.Clear();
                Array.ForEach(sent, m => to.Receive(m, now));
                messages.AddRange(from == other ? sent : []);
            }
        }

        Assert.True(messages.Count > 2);
        ByteFuzzer.Run(
            messages,
            bytes =>
            {
                var hit = new Replicator(1, new ReplicatorOptions(), new Random(2));
                hit.SetMembers([(2, true)], now);
                hit.Receive(bytes, now);
                hit.Tick(now);
            },
            static e => e is InvalidDataException);
    }

    [Fact]
    public void Spoiled_arguments_and_results_of_all_services_are_refused()
    {
        var node = new NodeInfo("127.0.0.1:1", "a.12345678", "machine", 1, 2, 3, 4, 0.5, 1, ["127.0.0.1:2"]) { FreeResources = new Dictionary<string, decimal>(StringComparer.Ordinal) { ["gpu"] = 1 } };
        byte[][] messages =
        [
            Bytes(node),
            Bytes(new NodeInfo[] { node, node }),
            Bytes(new ProbeRequest("127.0.0.1:1", "a.12345678", GridState.Up)),
            Bytes(new ProbeReply("127.0.0.1:1", "i1", "a.12345678", GridState.Up, [new MemberView("127.0.0.1:1", "i1", "a", true, null)])),
            Bytes(ChannelWrite.Of("c", "k", [1], new ChannelWriteOptions { TimeToLive = TimeSpan.FromSeconds(1) })),
            Bytes(new ChannelReply(1, "text", 2, [3], 4, 5)),
            Bytes(new[] { new ChannelItem("k", false, [1], 2, 3) }),
            Bytes(new ChannelOptions { TimeToLive = TimeSpan.FromSeconds(1), Readers = RpcRole.Client }),
            Bytes(new AddonRequest("a", new AddonSource("x.dll", "C"), new Dictionary<string, string> { ["k"] = "v" }, RpcRole.Client, "hash")),
            Bytes(new Dictionary<string, object?> { ["a"] = 1, ["b"] = new object?[] { "x", 1.5, null, true } }),
            Bytes(new SpawnOptions { Url = "127.0.0.1:1", Values = new Dictionary<string, string> { ["k"] = "v" }, Restart = RestartPolicy.Always }),
        ];
        Type[] kinds = Kinds();
        Assert.True(kinds.Length > 10, $"only {kinds.Length} kinds of messages were found");
        Action<byte[]>[] readers =
        [
            .. kinds.Select(static k => typeof(MessageFuzzTests).GetMethod(nameof(Read), BindingFlags.NonPublic | BindingFlags.Static)!.MakeGenericMethod(k).CreateDelegate<Action<byte[]>>()),
        ];
        ByteFuzzer.Run(messages, bytes => Array.ForEach(readers, r => r(bytes)), static _ => false);
    }

    // What the methods of all services of an agent and of its processes take and return.
    private static Type[] Kinds()
    {
        IEnumerable<MethodInfo> methods = new[] { typeof(IAgentService).Assembly, typeof(IPeerService).Assembly }
            .SelectMany(static a => a.GetTypes())
            .Where(static t => t.IsInterface && t.GetCustomAttribute<RpcServiceAttribute>() is not null)
            .SelectMany(static t => t.GetMethods());
        return
        [
            .. methods.SelectMany(static m => m.GetParameters().Select(static p => p.ParameterType).Concat(m.ReturnType.IsGenericType ? m.ReturnType.GetGenericArguments() : []))
                .Where(static t => t != typeof(CancellationToken) && !t.Name.StartsWith("IAsyncEnumerable", StringComparison.Ordinal) && !t.IsInterface)
                .Append(typeof(object))
                .Distinct(),
        ];
    }

    private static void Read<T>(byte[] bytes)
    {
        try
        {
            var reader = new MessagePackReader(bytes);
            RpcSerializer.Default.Read<T>(ref reader);
        }
        catch (Exception e) when (e is MessagePackSerializationException or EndOfStreamException or RpcException or OverflowException)
        {
            // as calls refuse it
        }
    }

    private static byte[] Bytes<T>(T value)
    {
        var buffer = new ArrayBufferWriter<byte>();
        var writer = new MessagePackWriter(buffer);
        RpcSerializer.Default.Write(ref writer, value);
        writer.Flush();
        return buffer.WrittenSpan.ToArray();
    }
}
