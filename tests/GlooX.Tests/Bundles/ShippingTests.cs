using GlooX.Tests.Payload;
using GlooX.Bundles;
using GlooX.Contracts;
using GlooX.Payloads;

namespace GlooX.Tests.Bundles;

/// <summary>The files of a payload travel to where it runs: over a client's connection, and between agents that share no store.</summary>
public sealed class ShippingTests
{
    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_child_runs_from_the_store_of_the_node_that_was_chosen()
    {
        await using TestGrid grid = await StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        Assert.Equal(grid.Agents[1].Url, child.Node);
        Assert.Equal("yes!", await child.CallAsync<string>("all_well?"));
        Assert.Contains(Path.Combine(Store(1), "bundles"), await File.ReadAllTextAsync($"/proc/{child.Pid}/maps", Ct), StringComparison.Ordinal);
        Assert.Single(Bundles(0));
        Assert.Equal(Bundles(0), Bundles(1));
    }

    [Fact]
    public async Task Files_are_fetched_from_a_third_node_when_the_one_that_was_asked_is_gone()
    {
        await using TestGrid grid = await StartAsync();
        string gone = grid.Agents[0].Url;
        await using (SpawnedProcess first = await grid.SpawnAsync("Good"))
        {
            Assert.Equal(grid.Agents[1].Url, first.Node);
            await first.KillAsync(Ct);
        }

        string id = Assert.Single(Bundles(1));
        await grid.Agents[0].DisposeAsync();
        await using Agent third = await Agent.StartAsync("127.0.0.1:0", grid.Agents[1].Url, new AgentOptions { WarmHosts = 0, BundleFolder = Store(4) }, Ct);
        var request = new SpawnRequest("GlooX.Tests.Payload.dll", typeof(Good).FullName!, 0, 0, PlacementStrategy.Direct, new ProcessOptions { Url = "127.0.0.1:0" }, 30_000, AllowSpawn: false) { Bundle = id, Source = gone };
        SpawnReply reply = await grid.Agents[1].PeerAt(third.Url).SpawnHereAsync(request, Ct);
        Assert.Equal("", reply.Error);
        Assert.Equal([id], Bundles(4));
        await using GlooXClient child = new GlooXClient(reply.Url);
        Assert.Equal("yes!", await child.CallAsync<string>("all_well?"));
    }

    [Fact]
    public async Task Files_travel_once()
    {
        await using TestGrid grid = await StartAsync();
        List<SpawnProgress> first = [], second = [];
        await using SpawnedProcess one = await grid.SpawnAsync("Good", new SpawnOptions { Progress = new Told(first) });
        await using SpawnedProcess two = await grid.SpawnAsync("Good", new SpawnOptions { Progress = new Told(second) });
        SpawnProgress[] sent = [.. first.Where(static p => p.Stage == SpawnStage.Sending)];
        Assert.Equal(0, sent[0].Bytes);
        Assert.Equal(sent[^1].TotalBytes, sent[^1].Bytes);
        Assert.True(sent[^1].TotalBytes >= new FileInfo(TestGrid.Payload).Length);
        Assert.Equal([SpawnStage.Starting], second.Select(static p => p.Stage));
    }

    [Fact]
    public async Task Many_spawns_at_once_of_what_no_node_has_all_run()
    {
        await using TestGrid grid = await StartAsync();
        SpawnedProcess[] children = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => grid.SpawnAsync("Good")));
        foreach (SpawnedProcess child in children)
        {
            Assert.Equal("yes!", await child.CallAsync<string>("all_well?"));
            await child.DisposeAsync();
        }
    }

    [Fact]
    public async Task Only_what_the_assembly_refers_to_travels_and_nothing_that_every_agent_has()
    {
        await using TestGrid grid = await StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        string[] files = [.. Directory.GetFiles(Path.Combine(Store(1), "bundles", Assert.Single(Bundles(1)), "files")).Select(static f => Path.GetFileName(f)!).Order()];
        Assert.Equal(["GlooX.Tests.Payload.dll", "GlooX.Tests.Payload.pdb"], files);
    }

    [Fact]
    public async Task What_runs_is_not_dropped_and_a_spawn_that_finds_no_room_says_so()
    {
        long symbols = new FileInfo(Path.ChangeExtension(TestGrid.Payload, ".pdb")).Length, size = new FileInfo(TestGrid.Payload).Length + symbols;
        string folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"big-{Guid.NewGuid():N}")).FullName;
        File.Copy(TestGrid.Payload, Path.Combine(folder, "GlooX.Tests.Payload.dll"));
        await File.WriteAllBytesAsync(Path.Combine(folder, "more"), new byte[symbols], Ct);
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, BundleFolder = Store(2), MaxBundleBytes = size + 1000 });
        await using SpawnedProcess child = await grid.SpawnAsync("Good");
        var error = await Assert.ThrowsAsync<SpawnException>(() => grid.Client.SpawnAsync("Good", folder, ct: Ct));
        Assert.Contains("MaxBundleBytes", error.Message, StringComparison.Ordinal);
        Assert.Equal("yes!", await child.CallAsync<string>("all_well?"));
        await child.KillAsync(Ct);

        // With the process its hold is gone, and the same spawn does.
        await grid.NothingIsLeftAsync();
        await using SpawnedProcess next = await grid.Client.SpawnAsync("Good", folder, ct: Ct);
        Assert.Equal("yes!", await next.CallAsync<string>("all_well?"));
    }

    [Fact]
    public async Task A_daemon_keeps_its_files_when_its_agent_is_gone()
    {
        string folder = Store(3);
        SpawnedProcess daemon;
        await using (Agent agent = await Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { WarmHosts = 0, BundleFolder = folder }))
        await using (GlooXClient client = new GlooXClient(agent.Url))
        {
            daemon = await client.SpawnAsync("Good", TestGrid.Payload, new SpawnOptions { Daemonize = true });
        }

        await using (daemon)
        {
            string id = Assert.Single(Bundles(3));
            using var store = new BundleStore(folder, 10);
            await Assert.ThrowsAsync<BundleException>(() => MakeRoomAsync(store));
            Assert.True(store.Has(id));
            await Assert.ThrowsAsync<RpcException>(async () => await daemon.CallAsync<object>("exit", 0));
            await Eventually.HoldsAsync(() => !TestGrid.IsRunning(daemon.Pid), "the daemon is gone");
            await Eventually.HoldsAsync(
                async () =>
                {
                    await Assert.ThrowsAsync<BundleException>(() => MakeRoomAsync(store));
                    return !store.Has(id);
                },
                "its files may go");
            await TestGrid.EndByNextAgentAsync(daemon);
        }

        // All that may go goes for a file that then does not come.
        static Task MakeRoomAsync(BundleStore store) => store.ReceiveAsync(BundleManifest.Of([new BundleFile("a", 10, new string('a', 64), false)]), [0], NothingAsync(), Ct);

        static async IAsyncEnumerable<byte[]> NothingAsync()
        {
            await Task.Yield();
            yield break;
        }
    }

    [Fact]
    public async Task A_file_that_changes_or_vanishes_before_it_is_sent_is_named()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await using RpcClient rpc = new RpcClient(grid.Agents[0].Url);
        var upload = new BundleUpload(rpc.As<IBundleService>(IBundleService.ServiceName));
        string folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"changing-{Guid.NewGuid():N}")).FullName;
        string file = Path.Combine(folder, "file");
        await File.WriteAllTextAsync(file, "before", Ct);
        PackedFiles packed = await PackedFiles.PackAsync(FolderFiles.Of(folder), null, Ct);
        foreach (string? now in new[] { "after!", "less", null })
        {
            File.Delete(file);
            if (now is not null)
            {
                await File.WriteAllTextAsync(file, now, Ct);
            }

            var error = await Assert.ThrowsAsync<BundleException>(() => upload.SendAsync(packed, null, Ct));
            Assert.Contains("file", error.Message, StringComparison.Ordinal);
        }

        await File.WriteAllTextAsync(file, "before", Ct);
        await upload.SendAsync(packed, null, Ct);
    }

    [Fact]
    public async Task Who_may_not_spawn_may_not_send_and_clients_do_not_read()
    {
        await using TestGrid grid = await StartAsync();
        await using SpawnedProcess child = await grid.SpawnAsync("Insider");
        foreach (string method in new[] { "bundles/offer", "bundles/receive", "bundles/manifest", "bundles/read" })
        {
            Assert.Equal(nameof(RpcError.Forbidden), await child.As<IInsider>().TryAsync(method));
        }
    }

    // The second is preferred by far, and knows no store but its own.
    private static Task<TestGrid> StartAsync()
    {
        foreach (int n in new[] { 0, 1 })
        {
            if (Directory.Exists(Store(n)))
            {
                Directory.Delete(Store(n), recursive: true);
            }
        }

        return TestGrid.StartAsync(new AgentOptions { WarmHosts = 0, BundleFolder = Store(0) }, new AgentOptions { WarmHosts = 0, BundleFolder = Store(1), Weight = 1000 });
    }

    private static string Store(int n) => Path.Combine(TestGrid.Home, $"bundles-{n}");

    private static string[] Bundles(int n) => [.. Directory.GetDirectories(Path.Combine(Store(n), "bundles")).Select(static f => Path.GetFileName(f))];

    // Called in order, on the thread that works: unlike Progress<T>.
    private sealed class Told(List<SpawnProgress> all) : IProgress<SpawnProgress>
    {
        public void Report(SpawnProgress value)
        {
            lock (all)
            {
                all.Add(value);
            }
        }
    }
}
