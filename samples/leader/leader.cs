#:project ../../src/GlooX.Agent/GlooX.Agent.csproj
#:property PublishAot=false
using System.Runtime.InteropServices;
using GlooX;

// Who is on duty: of several processes always the one that has been there longest. Each has an ephemeral entry in a channel, whose key begins
// with the time at which it came. The least key is on duty; nobody asks, locks or votes. When its process dies the entry goes, on all nodes,
// and the next one is on duty.
//
// What this is not: consensus. Nodes hear of a change one after the other, so for a moment two may believe that they are on duty, or nobody.
// A killed process is noticed within seconds, since its port refuses. One that is cut off or hangs stays on duty for the others until they
// forget it, after 45 s; from then on, and until it is back, there are two: one on each side. Who must never do a thing twice has to guard the
// thing itself, for instance by a number that only grows.
const string usage = "Usage: dotnet run leader.cs -- NAME [--url HOST:PORT] [--peer HOST:PORT]";
if (args.Contains("--help"))
{
    Console.WriteLine($"""
        Who is on duty? Of several processes the one that has been there longest; when it dies, the next.

        {usage}
          NAME    who you are
          --url   where this one is reached; default: a free port of 127.0.0.1
          --peer  any of the others; default: be the first

        No consensus: while nodes hear of a change, or cannot reach each other, two may believe that they are on duty.
        Example, in two shells; then end the first, with kill -9 if you like:
          dotnet run samples/leader/leader.cs -- anna --url 127.0.0.1:7801
          dotnet run samples/leader/leader.cs -- bert --peer 127.0.0.1:7801
        """);
    return 0;
}

string? name = null, peer = null;
string url = "127.0.0.1:0";
for (int i = 0; i < args.Length; i++)
{
    switch (args[i])
    {
        case "--url" when i + 1 < args.Length:
            url = args[++i];
            break;
        case "--peer" when i + 1 < args.Length:
            peer = args[++i];
            break;
        case [not '-', ..] when name is null:
            name = args[i];
            break;
        default:
            return Fail($"'{args[i]}' makes no sense here. {usage}", 2);
    }
}

if (name is null)
{
    return Fail($"who are you? {usage}", 2);
}

using var stop = new CancellationTokenSource();
using var ctrlC = PosixSignalRegistration.Create(PosixSignal.SIGINT, Stop);
using var term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Stop);
try
{
    await using Agent agent = await Agent.StartAsync(url, peer, new AgentOptions { WarmHosts = 0 }, stop.Token);
    await agent.CreateChannelAsync("duty", ct: stop.Token);
    IChannel<string> duty = agent.Channel<string>("duty");
    Console.WriteLine($"others join with --peer {agent.Url}");
    Console.WriteLine("no consensus: for a moment, or while nodes are cut off, two may believe that they are on duty");

    // Behind all who are there, also when the clock here is: who comes takes nothing over.
    long latest = (await duty.ToDictionaryAsync()).Keys.Select(key => long.Parse(key.Split(' ')[0])).DefaultIfEmpty().Max();
    string mine = $"{Math.Max(DateTime.UtcNow.Ticks, latest + 1):D19} {agent.Url}";
    await duty.SetAsync(mine, name, new ChannelWriteOptions { Ephemeral = true }, stop.Token);

    string? last = null;
    await foreach (ChannelChange<string> _ in duty.WatchAsync(ct: stop.Token))
    {
        (string? key, string? who) = (await duty.ToDictionaryAsync()).MinBy(entry => entry.Key, StringComparer.Ordinal);
        if (key is not null && key != last)
        {
            Console.WriteLine(key == mine ? $"on duty: {who}, that is me" : $"on duty: {who}");
            last = key;
        }
    }

    return 0;
}
catch (OperationCanceledException) when (stop.IsCancellationRequested)
{
    return 0;
}
catch (Exception e) when (e is GlooXException or ArgumentException or IOException or UnauthorizedAccessException)
{
    return Fail(e.Message, 1);
}

int Fail(string message, int code)
{
    Console.Error.WriteLine(message.Split(" (Parameter")[0].ReplaceLineEndings(" "));
    return code;
}

void Stop(PosixSignalContext signal)
{
    signal.Cancel = !stop.IsCancellationRequested; // the second one ends it at once
    stop.Cancel();
}
