#:project ../../src/GlooX/GlooX.csproj
#:property PublishAot=false
using GlooX;

// A grid of two agents on this machine.
await using var node1 = await Agent.StartAsync("127.0.0.1:9997");
await using var node2 = await Agent.StartAsync("127.0.0.1:9999", peer: "127.0.0.1:9997");

// From here on everything crosses the network, over mutual TLS.
await using var client = GlooXClient.Connect(node2.Url);
Console.WriteLine(await client.AliveAsync());
foreach (NodeInfo node in await node2.PeersWithInfoAsync())
{
    Console.WriteLine($"{node.Url} has {node.FreeMemoryBytes / 1_000_000} MB free");
}
