using GlooX.Rpc.Tests.Transport.Network;

namespace GlooX.Cli.Tests;

/// <summary>Spawns while an agent stops, over networks of the test's own.</summary>
[Trait("Category", "Slow")]
public sealed class DrainingTests
{
    [Fact]
    public async Task A_client_in_a_third_network_spawns_through_a_neighbour_of_a_draining_agent_and_sees_its_state()
    {
        await using TwoNetworks networks = await TwoNetworks.MakeOrSkipAsync();
        await using var near = new Shell { Through = networks.Into(near: true) };
        await using var far = new Shell { Through = networks.Into(near: false) };
        await using var third = new Shell { Through = await networks.AddThirdAsync() };
        far.Variables["GLOOX_HOME"] = third.Variables["GLOOX_HOME"] = near["home"];
        const string First = $"{TwoNetworks.Here}:7000", Second = $"{TwoNetworks.There}:7000";
        (Conversation first, _) = await ChannelProcessTests.StartAsync(near, First);
        (Conversation second, _) = await ChannelProcessTests.StartAsync(far, Second, "--peer", First);
        await ChannelProcessTests.TogetherAsync(first, second);
        string status = (await third.GlooXAsync("status", "--agent", First)).Output;
        Assert.Equal(2, status.Split('\n').Count(static l => l.Contains(" ready ", StringComparison.Ordinal)));

        string until = near["until"], script = third["run.sh"];
        await second.AskAsync($"drain {until}", "drains");
        status = (await third.GlooXAsync("status", "--agent", First)).Output;
        Assert.Contains(status.Split('\n'), static l => l.Contains(Second, StringComparison.Ordinal) && l.Contains(" draining ", StringComparison.Ordinal));
        Assert.Contains(status.Split('\n'), static l => l.Contains(First, StringComparison.Ordinal) && l.Contains(" ready ", StringComparison.Ordinal));

        await File.WriteAllTextAsync(script, "#!/bin/sh\nexec sleep 600\n");
        Outcome direct = await third.GlooXAsync("spawn", script, "--strategy", "direct", "--agent", Second);
        Assert.Contains("is draining", direct.Errors, StringComparison.Ordinal);
        for (int i = 0; i < 2; i++)
        {
            Outcome spawned = await third.GlooXAsync("spawn", script, "--agent", First);
            Assert.Equal((0, ""), (spawned.Code, spawned.Errors));
            Assert.Contains($"runs on {First}", spawned.Output, StringComparison.Ordinal);
        }

        await File.WriteAllTextAsync(until, "");
    }
}
