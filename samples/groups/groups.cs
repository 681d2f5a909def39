#:project ../../src/GlooX.Agent/GlooX.Agent.csproj
#:property PublishAot=false
using GlooX;

await using var n1 = await Agent.StartAsync("127.0.0.1:0");
await using var n2 = await Agent.StartAsync("127.0.0.1:0", peer: n1.Url);

// A map that all nodes share, and a callback on one of them.
await n1.CreateChannelAsync("my_nodes");
var printed = new TaskCompletionSource();
await n2.Channel("my_nodes").OnSetAsync("a1", (_, value) =>
{
    Console.WriteLine($"a1 => {value}");
    printed.SetResult();
});

await n1.Channel("my_nodes").SetAsync("a1", 99);

await printed.Task;
Console.WriteLine(await n2.Channel("my_nodes").GetAsync("a1"));
