using GlooX.Tests.Payload;
using System.Reflection;
using GlooX.Contracts;
using GlooX.Payloads;
using GlooX.Services;

namespace GlooX.Tests;

/// <summary>A spawned process is nobody but itself, and may do what it was given.</summary>
public sealed class ChildTrustTests
{
    [Fact]
    public void The_table_names_every_method_of_an_agent() =>
        Assert.Equal(typeof(IAgentService).GetMethods().Select(m => m.GetCustomAttribute<RpcAttribute>()!.Name!).Order(StringComparer.Ordinal), AgentAccess.Table.Methods.Keys.Order(StringComparer.Ordinal));

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_child_has_a_certificate_and_key_of_its_own(int warmHosts)
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = warmHosts });
        await using SpawnedProcess child = await grid.SpawnAsync("Insider");
        await using SpawnedProcess other = await grid.SpawnAsync("Insider");
        string[] keys = [.. await child.As<IInsider>().KeysAsync(), .. await other.As<IInsider>().KeysAsync()];
        Identity user = Identity.Load();
        string[] ours = [user.Server.GetPublicKeyString(), user.Client.GetPublicKeyString(), user.Authority.GetPublicKeyString()];
        Assert.Equal(2, keys.Distinct().Count());
        Assert.Empty(keys.Intersect(ours, StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_child_may_look_at_its_parent_but_not_spawn_kill_or_speak_as_an_agent()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Insider");
        IInsider inside = child.As<IInsider>();
        Assert.Equal("", await inside.TryAsync("agent/alive?"));
        Assert.Equal("", await inside.TryAsync("agent/info"));
        Assert.All(
            await Task.WhenAll(AgentAccess.Table.Methods.Keys.Except(["alive?", "info"], StringComparer.Ordinal).Select(m => inside.TryAsync($"agent/{m}").AsTask())),
            code => Assert.Equal("Forbidden", code));
        Assert.Contains("has child", await inside.SpawnAsync(TestGrid.Payload), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_child_has_nothing_of_an_agent_but_that_it_lives()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        await using RpcClient asAgent = new RpcClient(child.Url, new RpcClientOptions { Identity = Identity.Load().AsAgent() });
        Assert.True(await asAgent.CallAsync<bool>("agent/alive?"));
        foreach (string method in AgentAccess.Table.Methods.Keys.Except(["alive?", "info"], StringComparer.Ordinal))
        {
            Assert.Equal(RpcError.MethodNotFound, (await Assert.ThrowsAsync<RpcException>(async () => await asAgent.CallAsync<object>($"agent/{method}"))).Code);
        }

        // Agents of its node tell it what is revoked; nobody else does.
        await using RpcClient asUser = new RpcClient(child.Url);
        Assert.Equal(RpcError.Forbidden, (await Assert.ThrowsAsync<RpcException>(async () => await asUser.CallAsync<object>("gloox.trust/revoked", [Array.Empty<string>()]))).Code);
        await asAgent.CallAsync<object>("gloox.trust/revoked", [Array.Empty<string>()]);
    }

    [Fact]
    public async Task A_child_that_was_allowed_to_spawn_spawns()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Insider", new SpawnOptions { AllowSpawn = true });
        Assert.Equal("spawned", await child.As<IInsider>().SpawnAsync(TestGrid.Payload));
        Assert.Equal(2, (await grid.Client.ProcessesAsync()).Count);
        Assert.Equal("Forbidden", await child.As<IInsider>().TryAsync("peer/spawn_here"));
    }

    [Fact]
    public async Task A_child_is_not_taken_for_an_agent()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Insider");
        await using GlooXClient mistaken = new GlooXClient(child.Url);
        var error = await Assert.ThrowsAsync<RpcException>(() => mistaken.SpawnAsync("Good", TestGrid.Payload));
        Assert.Contains("is no agent: its certificate 'CN=gloox child' has the role child", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_client_does_not_speak_as_an_agent()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        foreach (string method in new[] { "probe", "status", "spawn_here" })
        {
            var error = await Assert.ThrowsAsync<RpcException>(async () => await grid.Client.CallAsync<object>($"peer/{method}", 1));
            Assert.Equal(RpcError.Forbidden, error.Code);
        }
    }
}
