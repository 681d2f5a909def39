using GlooX.Tests.Payload;
using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using GlooX.Payloads;
using GlooX.Processes;

namespace GlooX.Tests;

/// <summary>Services that are attached to a running node and called by clients.</summary>
public sealed class AddonTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_delegate_is_an_add_on_in_three_lines()
    {
        await using Agent node = await Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { WarmHosts = 0 });
        await node.AttachAddonAsync("poll", (string text) => $"polled: {text}");
        await using GlooXClient client = new GlooXClient(node.Url);
        Assert.Equal("polled: ping", await client.CallAddonAsync<string>("poll", "ping"));
    }

    [Fact]
    public async Task Add_ons_that_block_for_two_hundred_callers_hold_up_neither_a_spawn_nor_an_agent_that_comes()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string url = grid.Agents[0].Url;
        using var gate = new ManualResetEventSlim();
        using var entered = new SemaphoreSlim(0);
        await grid.Agents[0].AttachAddonAsync("echo", (int id) => id);
        await grid.Agents[0].AttachAddonAsync("block", (int id) =>
        {
            entered.Release();
            gate.Wait(Ct);
            return id;
        });
        var clients = new List<GlooXClient>();
        try
        {
            for (int i = 0; i < 200; i++)
            {
                clients.Add(new GlooXClient(url));
                Assert.Equal(i, await clients[i].CallAddonAsync<int>("echo", i, Ct));
            }

            Task<int>[] calls = [.. clients.Select(static (c, i) => c.CallAddonAsync<int>("block", i).AsTask())];
            for (int i = 0; i < calls.Length; i++)
            {
                Assert.True(await entered.WaitAsync(s_patience, Ct), $"only {i} add-ons began");
            }

            await using SpawnedProcess child = await grid.SpawnAsync("Good");
            Assert.Equal("yes!", await child.CallAsync<string>("all_well?"));
            await using Agent other = await Agent.StartAsync("127.0.0.1:0", url, new AgentOptions { WarmHosts = 0 });
            await Eventually.HoldsAsync(() => other.Peers.Count == 1, "the agent that comes sees the other");
            Assert.DoesNotContain(calls, static c => c.IsCompleted);
            gate.Set();
            Assert.Equal(Enumerable.Range(0, 200), await Task.WhenAll(calls).WaitAsync(s_patience, Ct));
        }
        finally
        {
            gate.Set();
            foreach (GlooXClient client in clients)
            {
                await client.DisposeAsync();
            }
        }
    }

    [Fact]
    public async Task Delegates_return_values_tasks_streams_or_nothing_and_are_given_their_context()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        Agent node = grid.Agents[0];
        string? noted = null;
        await node.AttachAddonAsync("sum", (int a, int b = 10) => a + b);
        await node.AttachAddonAsync("slow", async (int a, CancellationToken ct) =>
        {
            await Task.Delay(1, ct);
            return a;
        });
        await node.AttachAddonAsync("soon", (AddonContext context, string text) => new ValueTask<string>($"{context.Name} {text} {context.Options["colour"]} {context.Node == node}"), new AddonOptions { Values = new Dictionary<string, string> { ["colour"] = "red" } });
        await node.AttachAddonAsync("note", (string text) => { noted = text; });
        await node.AttachAddonAsync("later", async (string text) =>
        {
            await Task.Yield();
            noted = text;
        });
        await node.AttachAddonAsync("count", (int to) => CountAsync(to));

        Assert.Equal(3, await grid.Client.CallAddonAsync<int>("sum", 1, 2));
        Assert.Equal(11, await grid.Client.CallAddonAsync<int>("sum", 1));
        Assert.Equal(5, await grid.Client.CallAddonAsync<int>("slow", 5));
        Assert.Equal("soon x red True", await grid.Client.CallAddonAsync<string>("soon", "x"));
        await grid.Client.CallAddonAsync<object>("note", "a");
        Assert.Equal("a", noted);
        await grid.Client.CallAddonAsync<object>("later", "b");
        Assert.Equal("b", noted);
        Assert.Equal(RpcError.BadArguments, (await FailAsync(grid.Client.CallAddonAsync<int>("sum"))).Code);
        Assert.Equal(RpcError.BadArguments, (await FailAsync(grid.Client.CallAddonAsync<int>("sum", "x"))).Code);
        Assert.Equal(["count", "later", "note", "slow", "soon", "sum"], node.Addons);
        Assert.Equal(node.Addons, await grid.Client.AddonsAsync(Ct));

        static async IAsyncEnumerable<int> CountAsync(int to)
        {
            for (int i = 0; i < to; i++)
            {
                await Task.Yield();
                yield return i;
            }
        }
    }

    [Fact]
    public async Task What_a_delegate_throws_is_told_to_the_caller_and_harms_nobody_else()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await grid.Agents[0].AttachAddonAsync("bad", string (string text) => throw new InvalidDataException(text));
        RpcException error = await FailAsync(grid.Client.CallAddonAsync<string>("bad", "no good"));
        Assert.Equal((RpcError.Remote, typeof(InvalidDataException).FullName), (error.Code, error.RemoteType));
        Assert.Contains("no good", error.Message, StringComparison.Ordinal);
        Assert.True(await grid.Client.AliveAsync(Ct));
    }

    [Fact]
    public async Task An_object_is_called_through_its_contract()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await grid.Agents[0].AttachAddonAsync("greeter", new Greeter());
        Assert.Equal("hello, Ada, from greeter", await grid.Client.Addon<IGreeter>("greeter").GreetAsync("Ada"));
        Assert.Equal("hello, Ada, from greeter", await grid.Client.CallAddonAsync<string>("greeter/Greet", "Ada"));
        Assert.Equal(RpcError.MethodNotFound, (await FailAsync(grid.Client.CallAddonAsync<string>("greeter", "Ada"))).Code);
    }

    [Fact]
    public async Task An_add_on_reaches_every_peer()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0 });
        await grid.Agents[0].AttachAddonAsync("others", async (AddonContext context) =>
        {
            string peer = context.Node.Peers.Single();
            return (await context.Peer(peer).InfoAsync()).Url;
        });
        Assert.Equal(grid.Agents[1].Url, await grid.Client.CallAddonAsync<string>("others"));
    }

    [Fact]
    public async Task Names_are_unique_and_well_formed_and_unknown_ones_are_told_with_those_that_exist()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        Agent node = grid.Agents[0];
        await node.AttachAddonAsync("one", (int a) => a);
        Assert.Equal(AddonError.NameTaken, (await Assert.ThrowsAsync<AddonException>(() => node.AttachAddonAsync("one", (int a) => a + 1))).Error);
        Assert.Equal(7, await grid.Client.CallAddonAsync<int>("one", 7));
        foreach (string bad in new[] { "", "a/b", "a b", new string('x', 101), "ü" })
        {
            Assert.Equal(AddonError.BadName, (await Assert.ThrowsAsync<AddonException>(() => node.AttachAddonAsync(bad, (int a) => a))).Error);
        }

        AddonException unknown = await Assert.ThrowsAsync<AddonException>(() => node.DetachAddonAsync("two"));
        Assert.Equal(AddonError.UnknownName, unknown.Error);
        Assert.Contains("it has: one", unknown.Message, StringComparison.Ordinal);
        Assert.Equal(AddonError.UnknownName, (await Assert.ThrowsAsync<AddonException>(() => grid.Client.DetachAddonAsync("two", Ct))).Error);
        RpcException error = await FailAsync(grid.Client.CallAddonAsync<int>("two", 1));
        Assert.Equal(RpcError.ServiceNotFound, error.Code);
        Assert.Contains("addon.one", error.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<ArgumentException>(() => node.AttachAddonAsync("nothing", new object()));
        Assert.Equal(["one"], node.Addons);
    }

    [Fact]
    public async Task After_detaching_the_name_is_free_and_callers_who_called_before_are_told_or_meet_the_next_one()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        Agent node = grid.Agents[0];
        var entered = new TaskCompletionSource();
        var go = new TaskCompletionSource();
        await node.AttachAddonAsync("one", async (int a) =>
        {
            if (a == 0)
            {
                entered.SetResult();
                await go.Task;
            }

            return a;
        });
        Assert.Equal(1, await grid.Client.CallAddonAsync<int>("one", 1));
        Task<int> before = grid.Client.CallAddonAsync<int>("one", 0).AsTask();
        await entered.Task.WaitAsync(s_patience, Ct);
        await grid.Client.DetachAddonAsync("one", Ct);
        Assert.Equal(RpcError.ServiceNotFound, (await FailAsync(grid.Client.CallAddonAsync<int>("one", 1))).Code);
        await node.AttachAddonAsync("one", (int a) => a * 100);
        Assert.Equal(100, await grid.Client.CallAddonAsync<int>("one", 1));
        go.SetResult();
        Assert.Equal(0, await before.WaitAsync(s_patience, Ct));
    }

    [Fact]
    public async Task Background_work_stops_with_the_add_on_and_its_failure_is_told()
    {
        using var log = new LogKeeper();
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, LoggerFactory = log });
        Agent node = grid.Agents[0];
        var fault = new TaskCompletionSource<AddonFault>();
        node.AddonFaulted += (_, f) => fault.TrySetResult(f);
        var worker = new Worker();
        await node.AttachAddonAsync("worker", worker);
        await worker.Began.Task.WaitAsync(s_patience, Ct);
        AddonFault told = await fault.Task.WaitAsync(s_patience, Ct);
        Assert.Equal(("worker", "failing", "by design"), (told.Addon, told.Work, told.Exception.Message));
        Assert.Contains(log.Errors, static l => l.Contains("failing", StringComparison.Ordinal));
        Assert.False(worker.Ended.Task.IsCompleted);
        await node.DetachAddonAsync("worker");
        Assert.True(worker.Ended.Task.IsCompleted);
    }

    [Fact]
    public async Task An_add_on_ends_with_its_node()
    {
        var worker = new Worker();
        await using (Agent node = await Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { WarmHosts = 0 }))
        {
            await node.AttachAddonAsync("worker", worker);
            await worker.Began.Task.WaitAsync(s_patience, Ct);
        }

        Assert.True(worker.Ended.Task.IsCompleted);
    }

    [Fact]
    public async Task A_start_that_fails_leaves_nothing()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        AddonException error = await Assert.ThrowsAsync<AddonException>(() => grid.Agents[0].AttachAddonAsync("worker", new Worker { Fails = true }));
        Assert.Equal(AddonError.StartFailed, error.Error);
        Assert.Contains("not today", error.Message, StringComparison.Ordinal);
        Assert.Empty(grid.Agents[0].Addons);
        await grid.Agents[0].AttachAddonAsync("worker", new Worker());
    }

    [Fact]
    public async Task Roles_and_tokens_guard_an_add_on()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await grid.Agents[0].AttachAddonAsync("agents", (int a) => a, new AddonOptions { Roles = RpcRole.Observer });
        await grid.Agents[0].AttachAddonAsync("secret", (int a) => a, new AddonOptions { Token = "open sesame" });
        Assert.Equal(RpcError.Forbidden, (await FailAsync(grid.Client.CallAddonAsync<int>("secret", 1))).Code);
        await using GlooXClient knows = new GlooXClient(grid.Agents[0].Url, new RpcClientOptions { Tokens = new Dictionary<string, string> { ["addon.secret"] = "open sesame" } });
        Assert.Equal(1, await knows.CallAddonAsync<int>("secret", 1));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task One_from_a_file_is_attached_at_start_or_by_a_client_and_detaching_frees_it(bool atStart)
    {
        var source = new AddonSource(TestGrid.Payload, nameof(Greeter));
        var options = new AddonOptions { Values = new Dictionary<string, string> { ["greeting"] = "good day" } };
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, Addons = atStart ? [new AddonSpec("greeter", source, options)] : [] });
        if (!atStart)
        {
            await grid.Client.AttachAddonAsync("greeter", source, options, Ct);
        }

        await UseAsync(grid.Client);
        Assert.Equal(1, Contexts("greeter"));
        await grid.Client.DetachAddonAsync("greeter", Ct);
        await UnloadedAsync("greeter");

        // Not in the test itself, whose locals would keep things.
        [MethodImpl(MethodImplOptions.NoInlining)]
        static async Task UseAsync(GlooXClient client)
        {
            Assert.Equal("good day, Ada, from greeter", await client.CallAddonAsync<string>("greeter/Greet", "Ada"));
            Assert.Equal("good day, Ada of Bremen, from greeter", await client.Addon<IGreeter>("greeter").GreetPersonAsync(new Person("Ada", "Bremen")));
        }
    }

    [Fact]
    [Trait("Category", "Slow")]
    public async Task A_source_file_is_built_and_loaded_and_may_be_replaced_while_the_node_runs()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string folder = Directory.CreateTempSubdirectory("gloox-addon").FullName;
        string file = Path.Combine(folder, "shout.cs");
        try
        {
            await File.WriteAllTextAsync(Path.Combine(folder, "Directory.Build.targets"), $"""<Project><Import Project="{Path.Combine(Repository(), "samples/Directory.Build.targets")}" /></Project>""", Ct);
            await WriteAsync("!");
            await grid.Client.AttachAddonAsync("shout", new AddonSource(file), null, Ct);
            Assert.Equal("HEY!", await grid.Client.CallAddonAsync<string>("shout/Shout", "hey"));
            await grid.Client.DetachAddonAsync("shout", Ct);
            await WriteAsync("!!!");
            await grid.Client.AttachAddonAsync("shout", new AddonSource(file), null, Ct);
            Assert.Equal("HEY!!!", await grid.Client.CallAddonAsync<string>("shout/Shout", "hey"));
            await grid.Client.DetachAddonAsync("shout", Ct);
            await UnloadedAsync("shout");
            await using (Agent other = await Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { WarmHosts = 0, Addons = [new AddonSpec("shout", new AddonSource(file))] }, ct: Ct))
            {
                await using GlooXClient client = new GlooXClient(other.Url);
                Assert.Equal("HO!!!", await client.CallAddonAsync<string>("shout/Shout", "ho"));
            }

            await File.WriteAllTextAsync(file, "this is no C#", Ct);
            AddonException error = await Assert.ThrowsAsync<AddonException>(() => grid.Client.AttachAddonAsync("other", new AddonSource(file), null, Ct));
            Assert.Equal(AddonError.BadSource, error.Error);
            Assert.Contains("does not compile", error.Message, StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        Task WriteAsync(string mark) => File.WriteAllTextAsync(
            file,
            $$"""
            #:project {{Path.Combine(Repository(), "src/GlooX.Agent/GlooX.Agent.csproj")}}
            using GlooX;

            public sealed class Shouter
            {
                [Rpc]
                public string Shout(string text) => text.ToUpperInvariant() + "{{mark}}";
            }
            """,
            Ct);

        static string Repository([CallerFilePath] string path = "") => Path.GetFullPath(Path.Combine(Path.GetDirectoryName(path)!, "../.."));
    }

    [Fact]
    public async Task One_for_the_whole_grid_is_on_all_nodes_and_on_those_that_join_later()
    {
        var source = new AddonSource(TestGrid.Payload, nameof(Greeter));
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0 });
        await grid.Client.AttachAddonEverywhereAsync("greeter", source, new AddonOptions { Values = new Dictionary<string, string> { ["greeting"] = "hi" } }, Ct);
        Assert.All(grid.Agents, static a => Assert.Equal(["greeter"], a.Addons));
        Assert.Equal("hi, Ada, from greeter", await GreetAsync(grid.Agents[1].Url));
        Assert.Equal(AddonError.NameTaken, (await Assert.ThrowsAsync<AddonException>(() => grid.Client.AttachAddonEverywhereAsync("greeter", source, null, Ct))).Error);

        await using (Agent later = await Agent.StartAsync("127.0.0.1:0", grid.Agents[1].Url, new AgentOptions { WarmHosts = 0 }, Ct))
        {
            await Eventually.HoldsAsync(() => later.Addons.Count == 1, "the newcomer has it");
            Assert.Equal("hi, Ada, from greeter", await GreetAsync(later.Url));
            await grid.Agents[1].DetachAddonEverywhereAsync("greeter", Ct);
            Assert.Empty(later.Addons);
        }

        Assert.All(grid.Agents, static a => Assert.Empty(a.Addons));
        Assert.Equal(AddonError.UnknownName, (await Assert.ThrowsAsync<AddonException>(() => grid.Client.DetachAddonEverywhereAsync("greeter", Ct))).Error);

        async Task<string?> GreetAsync(string url)
        {
            await using GlooXClient client = new GlooXClient(url);
            return await client.CallAddonAsync<string>("greeter/Greet", "Ada");
        }
    }

    [Fact]
    public async Task Nobody_brings_code_to_the_nodes_through_their_own_channel()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await grid.Agents[0].AttachAddonEverywhereAsync("greeter", new AddonSource(TestGrid.Payload, nameof(Greeter)), null, Ct);
        var error = await Assert.ThrowsAsync<RpcException>(async () => await grid.Client.Channel("gloox.addons").SetAsync("evil", "code", ct: Ct));
        Assert.Equal(RpcError.Forbidden, error.Code);
        Assert.Equal(RpcError.Forbidden, (await Assert.ThrowsAsync<RpcException>(async () => await grid.Client.Channel("gloox.addons").DeleteAsync("greeter", ct: Ct))).Code);
        Assert.Equal(RpcError.Forbidden, (await Assert.ThrowsAsync<RpcException>(() => grid.Client.RemoveChannelAsync("gloox.addons", Ct))).Code);
    }

    [Fact]
    public async Task The_settings_and_the_token_of_an_add_on_for_the_whole_grid_are_read_by_agents_alone_and_the_token_by_nobody()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0 });
        const string Secret = "s3cret-of-the-vault";
        var options = new AddonOptions { Values = new Dictionary<string, string> { ["greeting"] = "hunter2" }, Token = Secret };
        await grid.Client.AttachAddonEverywhereAsync("vault", new AddonSource(TestGrid.Payload, nameof(Greeter)), options, Ct);

        Identity child = Identity.Load().TryCreateChild(RpcRole.Child, "process")!;
        foreach (RpcClientOptions caller in new[] { new RpcClientOptions(), new RpcClientOptions { Identity = child } })
        {
            await using GlooXClient other = new GlooXClient(grid.Agents[1].Url, caller);
            IChannel<object?> channel = other.Channel("gloox.addons");
            await ForbiddenAsync(async () => await channel.TryGetAsync("vault", Ct));
            await ForbiddenAsync(async () => await channel.SumAsync("vault", Ct));
            await ForbiddenAsync(async () => await channel.CountAsync(Ct));
            await ForbiddenAsync(async () => await channel.OptionsAsync(Ct));
            await ForbiddenAsync(async () => await channel.ToDictionaryAsync(Ct));
            await ForbiddenAsync(async () => await channel.WaitForAsync("vault", ct: Ct));
            Assert.DoesNotContain("gloox.addons", await other.ChannelsAsync(Ct));
        }

        // What lies in the channel does not hold the token, and yet the token opens the add-on, on the node that was told of it too.
        Assert.True(grid.Agents[1].Hub.TryGet("gloox.addons", "vault", out byte[] kept, out _));
        Assert.True(kept.AsSpan().IndexOf("hunter2"u8) > 0);
        Assert.True(kept.AsSpan().IndexOf(System.Text.Encoding.UTF8.GetBytes(Secret)) < 0);
        foreach (Agent agent in grid.Agents)
        {
            await using GlooXClient knows = new GlooXClient(agent.Url, new RpcClientOptions { Tokens = new Dictionary<string, string> { ["addon.vault"] = Secret } });
            Assert.Equal("hunter2, Ada, from vault", await knows.CallAddonAsync<string>("vault/Greet", "Ada"));
            await using GlooXClient guesses = new GlooXClient(agent.Url, new RpcClientOptions { Tokens = new Dictionary<string, string> { ["addon.vault"] = RpcAccess.HashOf(Secret) } });
            Assert.Equal(RpcError.Forbidden, (await FailAsync(guesses.CallAddonAsync<string>("vault/Greet", "Ada"))).Code);
        }
    }

    [Fact]
    public async Task The_channel_of_an_add_on_is_written_by_agents_alone()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await ForbiddenAsync(async () => await grid.Client.CreateChannelAsync("addon.early", ct: Ct));
        await grid.Agents[0].AttachAddonAsync("keeper", async (AddonContext context, string key, int value) => await (await context.ChannelAsync()).SetAsync(key, value));
        await grid.Client.CallAddonAsync<object>("keeper", "a", 7);
        IChannel<int> channel = grid.Client.Channel<int>("addon.keeper");
        Assert.Equal(7, await channel.GetAsync("a", Ct));
        await ForbiddenAsync(async () => await channel.SetAsync("a", 8, ct: Ct));
        await ForbiddenAsync(async () => await channel.SetManyAsync([new("a", 8)], ct: Ct));
        await ForbiddenAsync(async () => await channel.AddAsync("n", ct: Ct));
        await ForbiddenAsync(async () => await channel.DeleteAsync("a", ct: Ct));
        await ForbiddenAsync(async () => await grid.Client.RemoveChannelAsync("addon.keeper", Ct));
        Assert.Equal(7, await channel.GetAsync("a", Ct));
    }

    private static async Task ForbiddenAsync(Func<Task> act) => Assert.Equal(RpcError.Forbidden, (await Assert.ThrowsAsync<RpcException>(act)).Code);

    [Fact]
    public async Task An_add_on_has_a_channel_of_its_own()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0 });
        await grid.Agents[0].AttachAddonAsync("keeper", async (AddonContext context, string key, int value) => await (await context.ChannelAsync()).SetAsync(key, value));
        await grid.Client.CallAddonAsync<object>("keeper", "a", 7);
        Assert.Equal(7, await grid.Agents[1].Channel<int>("addon.keeper").WaitForAsync("a", ct: Ct).WaitAsync(s_patience, Ct));
    }

    [Theory]
    [InlineData("/no/such/file.dll", null, "there is no file")]
    [InlineData(null, "Nobody", "has no class Nobody")]
    [InlineData(null, null, "say which class")]
    public async Task A_source_that_cannot_be_loaded_is_told_and_leaves_nothing(string? path, string? className, string why)
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        AddonException error = await Assert.ThrowsAsync<AddonException>(() => grid.Client.AttachAddonAsync("x", new AddonSource(path ?? TestGrid.Payload, className), null, Ct));
        Assert.Equal(AddonError.BadSource, error.Error);
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
        Assert.Empty(await grid.Client.AddonsAsync(Ct));
    }

    private static Task UnloadedAsync(string addon) => Eventually.HoldsAsync(
        () =>
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            return Contexts(addon) == 0;
        },
        "the add-on's code is unloaded");

    private static int Contexts(string addon) => AssemblyLoadContext.All.Count(c => c.Name == $"add-on {addon}");

    private static Task<RpcException> FailAsync<T>(ValueTask<T> call) => Assert.ThrowsAsync<RpcException>(async () => await call);
}

/// <summary>Works in the background: one work that fails, one that goes on.</summary>
public sealed class Worker : IAddon
{
    public TaskCompletionSource Began { get; } = new();

    public TaskCompletionSource Ended { get; } = new();

    public bool Fails { get; init; }

    [Rpc]
    public bool IsAtWork() => Began.Task.IsCompleted && !Ended.Task.IsCompleted;

    public Task StartAsync(AddonContext context, CancellationToken ct)
    {
        if (Fails)
        {
            throw new InvalidOperationException("not today");
        }

        context.Run(_ => throw new InvalidOperationException("by design"), "failing");
        context.Run(async token =>
        {
            Began.SetResult();
            try
            {
                await Task.Delay(Timeout.Infinite, token);
            }
            finally
            {
                Ended.SetResult();
            }
        });
        return Task.CompletedTask;
    }
}
