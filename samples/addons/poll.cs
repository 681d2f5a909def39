#:project ../../src/GlooX.Agent/GlooX.Agent.csproj
#:property PublishAot=false
using GlooX;

// A node with a service, called by a client: three lines.
await using var node = await Agent.StartAsync("127.0.0.1:0");
await node.AttachAddonAsync("poll", (string text) => $"polled: {text}");
Console.WriteLine(await new GlooXClient(node.Url).CallAddonAsync<string>("poll", "ping"));
