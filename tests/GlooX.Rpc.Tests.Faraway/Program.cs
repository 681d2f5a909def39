// One end of a connection in a process of its own, for tests in which the ends are in different networks:
//   serve URL   serves until its input ends
//   call URL    does what the lines of its input say
// Both keep asking whether the other is there, twice a second.
using Faraway;
using GlooX;

TimeSpan often = TimeSpan.FromMilliseconds(500);
if (args is ["serve", string where])
{
    await using var server = new RpcServer(new RpcServerOptions { KeepAliveInterval = often, DrainTimeout = TimeSpan.Zero });
    server.Add(new Target());
    await server.StartAsync(where);
    Console.WriteLine($"listens {server.Url}");
    while (Console.ReadLine() is not null)
    {
    }

    return 0;
}

if (args is not ["call", string url, string keepAliveMilliseconds])
{
    Console.Error.WriteLine("serve URL | call URL KEEPALIVE");
    return 1;
}

var options = new RpcClientOptions
{
    KeepAliveInterval = TimeSpan.FromMilliseconds(int.Parse(keepAliveMilliseconds)),
    CallTimeout = TimeSpan.FromMinutes(5),
    ConnectTimeout = TimeSpan.FromSeconds(20),
    RetryConnectFor = TimeSpan.FromMinutes(2),
};
await using RpcClient client = RpcClient.Connect(url, options);
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
