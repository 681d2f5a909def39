using GlooX.Wire;

namespace GlooX.Rpc.Tests.Hostile;

/// <summary>Many callers who have nothing to say.</summary>
public sealed class IdleTests
{
    [Fact]
    public Task A_thousand_idle_connections_are_kept_and_others_served() => KeepAsync(1000);

    /// <summary>Both ends are in this process, so ten thousand need 21,000 descriptors (<c>ulimit -n</c>); with less it makes do with fewer.</summary>
    [Fact(Explicit = true)]
    public async Task Ten_thousand_idle_connections_are_kept_and_others_served()
    {
        int count = Math.Min(10_000, (DescriptorLimit() - 1000) / 2);
        Assert.SkipWhen(count < 5000, $"the limit of {DescriptorLimit()} descriptors is too low: raise it with ulimit -n 21000");
        await KeepAsync(count);
        Console.WriteLine($"{count} idle connections");
    }

    private static async Task KeepAsync(int count)
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxConnections = count + 10, MaxConnectionsPerPeer = count + 10, KeepAliveInterval = TimeSpan.Zero, DrainTimeout = TimeSpan.Zero });
        await using Bystander bystander = await Bystander.OfAsync(it);
        var peers = new RawPeer[count];
        await Parallel.ForAsync(0, count, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (i, _) => peers[i] = await RawPeer.GreetAsync(it.Server.Url));
        await bystander.IsServedAsync();
        foreach (RawPeer peer in peers)
        {
            await peer.SayAsync(new Piece(FrameType.Ping, 1, []));
            Assert.Equal(FrameType.Pong, (await peer.HearAsync())?.Type);
        }

        await Parallel.ForEachAsync(peers, async (peer, _) => await peer.DisposeAsync());
        await bystander.IsServedAsync();
    }

    private static int DescriptorLimit()
    {
        const string name = "Max open files";
        string? line = OperatingSystem.IsLinux() ? File.ReadLines("/proc/self/limits").FirstOrDefault(l => l.StartsWith(name, StringComparison.Ordinal)) : null;
        return line is null ? int.MaxValue : int.TryParse(line[name.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries)[0], out int limit) ? limit : int.MaxValue;
    }
}
