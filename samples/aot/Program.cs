using GlooX;
using GlooX.Samples.Aot;

// Calls a stock at HOST:PORT in every way that there is, and prints what comes back.
await using var client = new RpcClient(args[0]);
IStock stock = client.As<IStock>();

var bolt = new Item("bolt", 7, 0.25m, new Box(3, 4), new() { ["nut"] = 1 });
Console.WriteLine(await stock.PutAsync(bolt, DateTimeOffset.UnixEpoch, "small", "steel"));
Item? found = await stock.FindAsync("bolt");
Console.WriteLine($"{found?.Name} {found?.Count} {found?.Price} {found?.Packing} {found?.Parts?["nut"]}");
Console.WriteLine((await stock.AllAsync()).Count);

try
{
    await stock.TakeAsync("bolt", 100);
}
catch (RpcFault<OutOfStock> e)
{
    Console.WriteLine($"only {e.Detail.Left} left");
}

await foreach (Item item in stock.WatchAsync(2))
{
    Console.WriteLine($"watched {item.Packing}");
}

Console.WriteLine(await stock.CountAsync(Items(), seen => Task.FromResult(seen < 2)));
Console.WriteLine(await client.CallAsync<int>("Take", "bolt", 1));

static async IAsyncEnumerable<Item> Items()
{
    for (int i = 0; i < 5; i++)
    {
        await Task.Yield();
        yield return new Item($"item {i}", i, i, new Bag("red"));
    }
}
