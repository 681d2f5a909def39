using GlooX.Protocol;
using GlooX.Server;

namespace GlooX.Rpc.Tests.Server;

/// <summary>Messages that never end, on many connections at once.</summary>
public sealed class FrameMemoryTests
{
    private const int Limit = 4 * 1024 * 1024;
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Beyond_the_limit_of_all_connections_the_one_that_asks_for_more_is_Overloaded_and_small_messages_go_on()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxFrameMemory = Limit, DrainTimeout = TimeSpan.Zero });
        await using Bystander bystander = await Bystander.OfAsync(it);
        List<RawPeer> holding = [];
        RpcError? refusal = null;
        while (refusal is null)
        {
            Assert.True(holding.Count < 20, "twenty times 400 KB, and nobody was refused");
            RawPeer peer = await RawPeer.GreetAsync(it.Server.Url, "Size");
            Task<RpcError?> end = Task.Run(peer.HearEndAsync, Ct);
            long before = it.Server.FrameMemory.Held;
            await peer.SayAsync(Unfinished(400_000));
            await Wait.UntilAsync(() => end.IsCompleted || it.Server.FrameMemory.Held - before > 300_000, "the message, or the refusal");
            Assert.InRange(it.Server.FrameMemory.Held, 0, Limit);
            refusal = end.IsCompleted ? await end : null;
            if (refusal is null)
                holding.Add(peer);
            else
                await peer.DisposeAsync();
        }

        Assert.Equal(RpcError.Overloaded, refusal);
        Assert.InRange(holding.Count, 2, 20);
        await bystander.IsServedAsync();
        await using RpcClient large = new RpcClient(it.Server.Url, new RpcClientOptions { Identity = Harness.Shared });
        RpcException error = await Assert.ThrowsAsync<RpcException>(() => large.As<ICalculator>().SizeAsync(new byte[2_000_000]));
        Assert.Equal(RpcError.Overloaded, error.Code);
        Assert.Contains("MaxFrameMemory", error.Message, StringComparison.Ordinal);

        foreach (RawPeer peer in holding)
            await peer.DisposeAsync();
        await Wait.UntilAsync(() => it.Server.FrameMemory.Held == 0, "what they held");
        Assert.Equal(2_000_000, await large.As<ICalculator>().SizeAsync(new byte[2_000_000]));
        await Wait.UntilAsync(() => it.Server.FrameMemory.Held == 0, "what the call held");
        await bystander.IsServedAsync();
    }

    [Fact]
    public async Task A_message_larger_than_the_limit_is_taken_where_it_is_the_only_one()
    {
        await using Harness it = await Harness.StartAsync(new RpcServerOptions { MaxFrameMemory = 100_000, DrainTimeout = TimeSpan.Zero });
        Assert.Equal(3_000_000, await it.Remote.SizeAsync(new byte[3_000_000]));
    }

    [Fact]
    public void What_is_taken_never_exceeds_the_limit_but_for_one_alone()
    {
        var memory = new FrameMemory(100);
        Assert.True(memory.TryTake(60, 0));
        Assert.False(memory.TryTake(50, 0));
        Assert.True(memory.TryTake(140, 60)); // the only one
        Assert.False(memory.TryTake(1, 0));
        memory.Return(200);
        Assert.True(memory.TryTake(50, 0));
        Assert.True(memory.TryTake(50, 0));
        Assert.False(memory.TryTake(1, 50));
        Assert.Equal(100, memory.Held);
    }

    private static byte[] Unfinished(int bytes)
    {
        byte[] length = new byte[Frame.MaxVarint];
        int used = Frame.WriteVarint(length, 10_000_000);
        return [.. length[..used], (byte)FrameType.Request, 1, .. new byte[bytes]];
    }
}
