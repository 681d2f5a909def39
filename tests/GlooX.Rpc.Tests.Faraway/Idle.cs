using GlooX;

namespace Faraway;

/// <summary>Very many connections of one process that say something now and then only.</summary>
internal static class Idle
{
    private static readonly RpcClientOptions s_options = new() { KeepAliveInterval = TimeSpan.Zero, ConnectTimeout = TimeSpan.FromSeconds(60), CallTimeout = TimeSpan.FromSeconds(60) };

    /// <summary>Says "connected" when all are, and with each line of the input "served" and how many of them have answered on the connection that they had.</summary>
    public static async Task RunAsync(string url, int count)
    {
        var clients = new RpcClient[count];
        var connections = new string?[count];
        await Parallel.ForAsync(0, count, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (i, ct) =>
        {
            clients[i] = new RpcClient(url, s_options);
            connections[i] = await clients[i].As<IFaraway>("roll").WhoAsync();
        });
        Console.WriteLine("connected");
        while (Console.ReadLine() is not null)
        {
            int served = 0;
            await Parallel.ForAsync(0, count, async (i, ct) =>
            {
                if (await clients[i].As<IFaraway>("roll").WhoAsync() == connections[i])
                {
                    Interlocked.Increment(ref served);
                }
            });
            Console.WriteLine($"served {served}");
        }

        await Parallel.ForEachAsync(clients, async (client, ct) => await client.DisposeAsync());
    }
}
