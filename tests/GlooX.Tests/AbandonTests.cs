using GlooX.Contracts;
using GlooX.Payloads;

namespace GlooX.Tests;

/// <summary>Spawns that their caller gives up, at the worst of times.</summary>
public sealed class AbandonTests
{
    [Fact]
    public async Task A_spawn_that_is_given_up_just_as_it_is_answered_leaves_no_process()
    {
        // The second is preferred by far: the asked agent and the one that spawns are two.
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0, Weight = 1000 });
        using var giveUp = new CancellationTokenSource();
        var lost = new LostAnswer(giveUp);
        await using GlooXClient client = new GlooXClient(grid.Agents[0].Url, new RpcClientOptions { Interceptors = [lost] });
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => client.SpawnAsync("Good", TestGrid.Payload, ct: giveUp.Token));
        Assert.Equal(grid.Agents[1].Url, lost.Node);
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public async Task Only_what_was_spawned_under_the_ticket_is_ended()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        await grid.Client.Service.AbandonAsync("");
        await grid.Client.Service.AbandonAsync("another");
        Assert.Equal("yes!", await child.CallAsync<string>("all_well?"));
    }

    // The answer is here, and nobody sees it.
    private sealed class LostAnswer(CancellationTokenSource giveUp) : RpcInterceptor
    {
        public string Node { get; private set; } = "";

        public override async ValueTask<T> CallAsync<T>(RpcClientCall call, Func<ValueTask<T>> next)
        {
            T answer = await next();
            if (answer is SpawnReply { Url.Length: > 0 } reply)
            {
                Node = reply.Node;
                await giveUp.CancelAsync();
                giveUp.Token.ThrowIfCancellationRequested();
            }

            return answer;
        }
    }
}
