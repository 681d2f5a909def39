#:project ../../src/GlooX.Agent/GlooX.Agent.csproj
#:property PublishAot=false
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using GlooX;

// A chat. Each who takes part is an agent of the grid, and the room is a channel: whoever joins has what was said, from whomever it joined.
// Every line is a key of its own that begins with its time, so lines never replace each other, and sorting the keys sorts the lines.
// They go after an hour, or the room would grow for ever.
const string usage = "Usage: dotnet run chat.cs -- NAME [--url HOST:PORT] [--peer HOST:PORT]";
if (args.Contains("--help"))
{
    Console.WriteLine($"""
        A chat over a channel of a grid. What is said within an hour is there for whoever joins later.

        {usage}
          NAME    who you are
          --url   where this one is reached; default: a free port of 127.0.0.1
          --peer  anybody who is in the chat; default: open a chat of one's own

        Type lines. Ctrl-C, or the end of the input, leaves.
        Example, in two shells:
          dotnet run samples/chat/chat.cs -- anna --url 127.0.0.1:7801
          dotnet run samples/chat/chat.cs -- bert --peer 127.0.0.1:7801
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

using var leave = new CancellationTokenSource();
using var ctrlC = PosixSignalRegistration.Create(PosixSignal.SIGINT, Leave);
using var term = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Leave);
try
{
    await using Agent agent = await Agent.StartAsync(url, peer, new AgentOptions { WarmHosts = 0 }, leave.Token);
    IChannel<object?> made = await agent.CreateChannelAsync("chat", new ChannelOptions { TimeToLive = TimeSpan.FromHours(1), MaxEntries = 100_000, MaxValueBytes = 10_000 }, leave.Token);
    IChannel<Line> room = agent.Channel<Line>(made.Name);
    string farewell = "";
    long latest = 0;
    var clock = new Lock();
    Task showing = ShowAsync();

    Console.WriteLine($"you are in; others join with --peer {agent.Url}");
    await SayAsync("joined", isAction: true, leave.Token);
    await foreach (string text in TypedAsync(leave.Token))
    {
        await SayAsync(text, isAction: false, leave.Token);
    }

    // Once one's own last line is shown, so is everything before it.
    farewell = NextKey();
    await PutAsync(farewell, new Line(name, "left", IsAction: true), CancellationToken.None);
    await showing;
    return 0;

    // After all that was seen, also when the clock here is behind: an answer never comes before what it answers.
    string NextKey()
    {
        lock (clock)
        {
            latest = Math.Max(DateTime.UtcNow.Ticks, latest + 1);
            return $"{latest:D19} {agent.Url}";
        }
    }

    Task SayAsync(string text, bool isAction, CancellationToken ct) => PutAsync(NextKey(), new Line(name, text, isAction), ct);

    async Task PutAsync(string key, Line line, CancellationToken ct)
    {
        try
        {
            await room.SetAsync(key, line, new ChannelWriteOptions { Acknowledge = Acknowledgement.All }, ct);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // said all the same
        }
        catch (ChannelException e)
        {
            Console.Error.WriteLine(e.Message);
        }
    }

    async Task ShowAsync()
    {
        await foreach (List<ChannelChange<Line>> changes in TogetherAsync(room.WatchAsync()))
        {
            foreach (ChannelChange<Line> said in changes.Where(c => !c.IsDelete).OrderBy(c => c.Key, StringComparer.Ordinal))
            {
                long time = long.Parse(said.Key.Split(' ')[0]);
                Line line = said.Value!;
                Console.WriteLine($"{new DateTime(time, DateTimeKind.Utc).ToLocalTime():HH:mm:ss} {line.From}{(line.IsAction ? " " : ": ")}{line.Text}");
                lock (clock)
                {
                    latest = Math.Max(latest, time);
                }

                if (said.Key == farewell)
                {
                    return;
                }
            }
        }
    }
}
catch (OperationCanceledException) when (leave.IsCancellationRequested)
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

void Leave(PosixSignalContext signal)
{
    signal.Cancel = !leave.IsCancellationRequested; // the second one ends it at once
    leave.Cancel();
}

// The console cannot be read with an end in sight: a thread of its own reads, and is left behind.
static async IAsyncEnumerable<string> TypedAsync([EnumeratorCancellation] CancellationToken ct)
{
    bool isTerminal = !Console.IsInputRedirected && !Console.IsOutputRedirected;
    while (true)
    {
        string? line;
        try
        {
            line = await Task.Factory.StartNew(Console.ReadLine, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).WaitAsync(ct);
        }
        catch (OperationCanceledException)
        {
            yield break;
        }

        if (line is null)
        {
            yield break;
        }

        if (isTerminal)
        {
            Console.Write("\e[1A\e[K"); // it comes back as what was said
        }

        if (line.Length > 0)
        {
            yield return line;
        }
    }
}

// A channel keeps no order between keys, and what was there before comes in none. So changes that come together are put together, to be
// sorted: those with less than 50 ms between them, for half a second at most. What comes later than that is shown late.
static async IAsyncEnumerable<List<T>> TogetherAsync<T>(IAsyncEnumerable<T> changes)
{
    using var end = new CancellationTokenSource();
    await using IAsyncEnumerator<T> source = changes.GetAsyncEnumerator(end.Token);
    Task<bool> next = source.MoveNextAsync().AsTask();
    try
    {
        while (await next)
        {
            List<T> together = [];
            long began = Environment.TickCount64;
            do
            {
                together.Add(source.Current);
                next = source.MoveNextAsync().AsTask();
                await Task.WhenAny(next, Task.Delay(50));
            }
            while (next.IsCompletedSuccessfully && next.Result && Environment.TickCount64 - began < 500);
            yield return together;
        }
    }
    finally
    {
        await end.CancelAsync();
        await ((Task)next).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }
}

internal sealed record Line(string From, string Text, bool IsAction);
