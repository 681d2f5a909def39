using GlooX.Payloads;
using GlooX.Workers;

namespace GlooX.Tests;

/// <summary>Payloads that are readied before they are spawned.</summary>
public sealed class PrepareTests : IDisposable
{
    private readonly string _folder = Directory.CreateDirectory(Path.Combine(TestGrid.Home, $"prepare-{Guid.NewGuid():N}")).FullName;

    private static CancellationToken Ct => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    [Trait("Category", "Slow")]
    public async Task The_files_are_on_all_nodes_and_the_first_spawn_finds_a_host_that_has_loaded_them()
    {
        await using TestGrid grid = await TestGrid.StartAsync(Node("a"), Node("b"));
        IReadOnlyList<string> nodes = await grid.Client.PrepareAsync("Good", TestGrid.Payload, ct: Ct);
        Assert.Equal(grid.Agents.Select(a => a.Url).Order(StringComparer.Ordinal), nodes);
        Assert.All((string[])["a", "b"], n => Assert.NotEmpty(Directory.GetFiles(Path.Combine(_folder, n), Path.GetFileName(TestGrid.Payload), SearchOption.AllDirectories)));
        await Eventually.HoldsAsync(() => grid.Agents.All(a => a.PreparedHosts == 1), "each node has a host that has loaded it");
        int[] loaded = [.. TestGrid.Hosts().Where(HasLoaded)];
        Assert.Equal(2, loaded.Length);

        await using SpawnedProcess child = await grid.SpawnAsync("Good", new SpawnOptions { Strategy = PlacementStrategy.Direct }, ct: Ct);
        Assert.Contains(child.Pid, loaded);
        Assert.Equal("yes!", await child.CallAsync<string>("all_well?"));
        await Eventually.HoldsAsync(() => grid.Agents.All(a => a.PreparedHosts == 1), "another one takes its place");
    }

    [Fact]
    public async Task Of_an_executable_the_files_are_there_and_without_a_pool_no_host_is()
    {
        await using TestGrid grid = await TestGrid.StartAsync(Node("a") with { WarmHosts = 0 });
        string script = Path.Combine(_folder, "five.sh");
        await File.WriteAllTextAsync(script, "#!/bin/sh\nexit 5\n", Ct);
        Assert.Equal([grid.Agents[0].Url], await grid.Client.PrepareAsync(script, ct: Ct));
        Assert.Equal([grid.Agents[0].Url], await grid.Client.PrepareAsync("Good", TestGrid.Payload, ct: Ct));
        Assert.NotEmpty(Directory.GetFiles(Path.Combine(_folder, "a"), "five.sh", SearchOption.AllDirectories));
        List<SpawnStage> stages = [];
        await using SpawnedProcess process = await grid.Client.SpawnAsync(script, new SpawnOptions { Progress = new Stages(stages) }, ct: Ct);
        Assert.Equal(new ExitStatus(5, 0), await process.WaitForExitAsync(Ct));
        Assert.DoesNotContain(SpawnStage.Sending, stages);
        await grid.NothingIsLeftAsync();
    }

    [Fact]
    public void None_of_its_code_is_run()
    {
        using var prepared = new PreparedPayload(TestGrid.Payload, Path.Combine(_folder, "lock"));
        Assert.Null(AppContext.GetData(Payload.Told.Key("payload")));
        Activator.CreateInstance(prepared.Main.GetType("GlooX.Tests.Payload.Counter", throwOnError: true)!);
        Assert.NotNull(AppContext.GetData(Payload.Told.Key("payload")));
    }

    [Fact]
    public async Task What_cannot_be_spawned_cannot_be_prepared()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        await Assert.ThrowsAsync<SpawnException>(() => grid.Client.PrepareAsync(Path.Combine(_folder, "missing.cs"), ct: Ct));
        await Assert.ThrowsAsync<SpawnException>(() => grid.Client.PrepareAsync("Nobody", TestGrid.Payload, ct: Ct));
        await Assert.ThrowsAsync<ArgumentException>(() => Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { MaxWarmHosts = -1 }, ct: Ct));
    }

    private static bool HasLoaded(int host) => File.ReadAllText($"/proc/{host}/maps").Contains(Path.GetFileName(TestGrid.Payload), StringComparison.Ordinal);

    private AgentOptions Node(string name) => new() { WarmHosts = 1, MaxWarmHosts = 2, BundleFolder = Path.Combine(_folder, name) };

    private sealed class Stages(List<SpawnStage> seen) : IProgress<SpawnProgress>
    {
        public void Report(SpawnProgress value)
        {
            lock (seen)
            {
                seen.Add(value.Stage);
            }
        }
    }
}
