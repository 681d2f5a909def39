#:project ../../src/GlooX.Agent/GlooX.Agent.csproj
#:property PublishAot=false
using GlooX;

// A grid of two agents; the second may hand out less, so the child goes to the first. What the child writes is shown here.
await using var node1 = await Agent.StartAsync("127.0.0.1:9997", options: new AgentOptions { Output = Console.WriteLine });
await using var node2 = await Agent.StartAsync("127.0.0.1:9999", peer: "127.0.0.1:9997", new AgentOptions { Capacity = new(2_000_000_000, 2_000_000_000) });

// From here on everything crosses the network, over mutual TLS.
await using var client = new GlooXClient(node2.Url);
Console.WriteLine("building child.cs, if this is the first time …");
await using var child = await client.SpawnAsync("Child", "child.cs", new SpawnOptions { Url = "127.0.0.1:8888", ParentUrl = node2.Url });
Console.WriteLine($"the child runs on {child.Node}");

Console.WriteLine(await child.CallAsync<string>("all_well?"));      // untyped, by name
Console.WriteLine(await child.As<IChild>().AllWellAsync());         // typed
Console.WriteLine($"ended: {await child.KillAsync()}");

[RpcService]
public interface IChild
{
    [Rpc("all_well?")]
    ValueTask<string> AllWellAsync();
}
