// One end of a connection in a process of its own, for tests in which the ends are in different networks:
//   serve URL KEEPALIVE   serves until its input ends
//   call URL KEEPALIVE    does what the lines of its input say
//   idle URL COUNT        connects so many times; with each line of its input every connection makes a call
//   squat URL COUNT       keeps so many connections open that never finish TLS
// KEEPALIVE: milliseconds of silence after which it asks whether the other is there; 0: never. -1: never, and it tries to connect a single time.
using Faraway;
using GlooX;

if (args is not [string role, string url, string amount])
{
    Console.Error.WriteLine("serve URL KEEPALIVE | call URL KEEPALIVE | idle URL COUNT | squat URL COUNT");
    return 1;
}

if (role == "idle")
{
    await Idle.RunAsync(url, int.Parse(amount));
    return 0;
}

if (role == "squat")
{
    await Squat.RunAsync(url, int.Parse(amount));
    return 0;
}

bool isOnce = amount == "-1";
TimeSpan keepAlive = TimeSpan.FromMilliseconds(Math.Max(0, int.Parse(amount)));
if (role == "serve")
{
    await using var server = new RpcServer(new RpcServerOptions { KeepAliveInterval = keepAlive, DrainTimeout = TimeSpan.Zero });
    server.Add(new Target());
    await server.StartAsync(url);
    Console.WriteLine($"listens {server.Url}");
    while (Console.ReadLine() is not null)
    {
    }

    return 0;
}

var options = new RpcClientOptions
{
    KeepAliveInterval = keepAlive,
    CallTimeout = TimeSpan.FromMinutes(5),
    ConnectTimeout = TimeSpan.FromSeconds(20),
    RetryConnectFor = isOnce ? TimeSpan.Zero : TimeSpan.FromMinutes(2),
};
await using RpcClient client = new RpcClient(url, options);
IFaraway remote = client.As<IFaraway>();
while (Console.ReadLine() is { } line)
{
    try
    {
        Console.WriteLine(line.Split(' ') switch
        {
            ["who"] => $"who {await remote.WhoAsync()}",
            ["hang"] => Hang(),
            ["add", string count] => $"added {(await Task.WhenAll(Enumerable.Range(0, int.Parse(count)).Select(i => remote.AddAsync(i, 1)))).Sum()}",
            ["read", string count] => $"read {await ReadAsync(int.Parse(count))}",
            ["write", string count] => $"written {await remote.SumAsync(Enumerable.Range(0, int.Parse(count)).ToAsyncEnumerable())}",
            _ => $"what is '{line}'?",
        });
    }
    catch (RpcException e)
    {
        Console.WriteLine($"failed {e.Code} {e.Message}");
    }
}

return 0;

string Hang()
{
    _ = HangAsync();
    return "hanging";
}

async Task HangAsync()
{
    try
    {
        await remote.HangAsync(CancellationToken.None);
        Console.WriteLine("returned");
    }
    catch (RpcException e)
    {
        Console.WriteLine($"failed {e.Code} {e.Message}");
    }
}

async Task<long> ReadAsync(int count)
{
    long sum = 0;
    int next = 0;
    await foreach (int number in remote.CountAsync(count, CancellationToken.None))
    {
        sum += number == next++ ? number : throw new InvalidOperationException("an item is missing");
    }

    return sum;
}
