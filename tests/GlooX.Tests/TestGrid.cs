using System.Runtime.CompilerServices;
using System.Text;
using GlooX.Payloads;

// One after the other: each test looks for processes that are left.
[assembly: CollectionBehavior(CollectionBehavior.CollectionPerAssembly)]
[assembly: AssemblyFixture(typeof(GlooX.Tests.NothingIsLeft))]

namespace GlooX.Tests;

/// <summary>Agents on this machine, a client of the first, and the certainty that nothing of them is left when the test ends.</summary>
internal sealed class TestGrid : IAsyncDisposable
{
    private readonly List<Agent> _agents = [];

    private TestGrid()
    {
    }

    /// <summary>The assembly of the payloads.</summary>
    public static string Payload { get; } = typeof(Payload.Good).Assembly.Location;

    /// <summary>Of this run alone: identities, builds, logs; the processes are told apart by it.</summary>
    public static string Home { get; private set; } = "";

    /// <summary>Where this run's processes have their folders.</summary>
    public static string Temporary => Path.Combine(Home, "t");

    public IReadOnlyList<Agent> Agents => _agents;

    public GlooXClient Client { get; private set; } = null!;

    public static async Task<TestGrid> StartAsync(params AgentOptions[] nodes)
    {
        var grid = new TestGrid();
        try
        {
            foreach (AgentOptions node in nodes.Length == 0 ? [new AgentOptions { WarmHosts = 0 }] : nodes)
            {
                grid._agents.Add(await Agent.StartAsync("127.0.0.1:0", grid._agents.FirstOrDefault()?.Url, node));
            }

            await Eventually.HoldsAsync(() => grid._agents.All(a => a.Peers.Count == grid._agents.Count - 1), "all see all");
        }
        catch
        {
            foreach (Agent agent in grid._agents)
            {
                await agent.DisposeAsync(); // or its hosts would fail the tests that follow
            }

            throw;
        }

        grid.Client = new GlooXClient(grid._agents[0].Url);
        return grid;
    }

    public Task<SpawnedProcess> SpawnAsync(string className, SpawnOptions? options = null, CancellationToken ct = default) =>
        Client.SpawnAsync(className, Payload, options, ct);

    /// <summary>The reason why a spawn fails; and that it leaves neither a process nor a reservation.</summary>
    public async Task<string> FailAsync(string className, SpawnOptions? options = null, string? path = null)
    {
        var error = await Assert.ThrowsAsync<SpawnException>(() => Client.SpawnAsync(className, path ?? Payload, options));
        await NothingIsLeftAsync();
        return error.Message;
    }

    public Task NothingIsLeftAsync() => Eventually.HoldsAsync(
        async () => Hosts().Count == 0 && (await Task.WhenAll(_agents.Select(a => Task.FromResult(a.Describe().Utilization)))).All(u => u == 0),
        "no process and no reservation is left");

    /// <summary>Ends what has outlived its agent, or clears it away if it has ended, as users do: by the next agent of that address.</summary>
    public static async Task EndByNextAgentAsync(SpawnedProcess daemon)
    {
        await using Agent next = await Agent.StartAsync(daemon.Node, options: new AgentOptions { WarmHosts = 0 });
        await using GlooXClient client = new GlooXClient(next.Url);
        await using SpawnedProcess? same = await client.AttachAsync(daemon.Id);
        Assert.NotNull(same);
        await same.KillAsync();
        Assert.False(IsRunning(daemon.Pid));
    }

    /// <summary>The host processes of this test run.</summary>
    public static IReadOnlyList<int> Hosts() => [.. Directory.GetDirectories("/proc").Select(Path.GetFileName).Where(n => int.TryParse(n, out _)).Select(n => int.Parse(n!)).Where(IsHost)];

    public static bool IsRunning(int pid)
    {
        try
        {
            string stat = File.ReadAllText($"/proc/{pid}/stat");
            return stat[(stat.LastIndexOf(')') + 2)..][0] is not ('Z' or 'X');
        }
        catch (IOException)
        {
            return false;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Client.DisposeAsync();
        foreach (Agent agent in _agents)
        {
            await agent.DisposeAsync();
        }

        await Eventually.HoldsAsync(() => Hosts().Count == 0, "no host process is left");
    }

    [ModuleInitializer]
    internal static void UseOwnHome()
    {
        Home = Directory.CreateTempSubdirectory("gloox-tests-").FullName;
        Environment.SetEnvironmentVariable("GLOOX_HOME", Path.Combine(Home, "home"));
        Environment.SetEnvironmentVariable("TMPDIR", Directory.CreateDirectory(Temporary).FullName);
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(Home, recursive: true);
    }

    private static bool IsHost(int pid)
    {
        try
        {
            return IsRunning(pid)
                && File.ReadAllText($"/proc/{pid}/cmdline").Contains("gloox-host.dll", StringComparison.Ordinal)
                && Encoding.UTF8.GetString(File.ReadAllBytes($"/proc/{pid}/environ")).Contains(Home, StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }
}

/// <summary>After all tests: none has left a folder of a process, a room of an agent, or any process.</summary>
public sealed class NothingIsLeft : IAsyncDisposable
{
    public async ValueTask DisposeAsync()
    {
        string left = "";
        await Eventually.HoldsAsync(() => (left = string.Join("; ", Processes())).Length == 0, "no process of this run is left", () => left);
        Assert.Empty(Directory.GetFileSystemEntries(TestGrid.Temporary, "*gloox-*"));
    }

    private static IEnumerable<string> Processes()
    {
        foreach (string folder in Directory.GetDirectories("/proc").Where(static f => int.TryParse(Path.GetFileName(f), out int pid) && pid != Environment.ProcessId))
        {
            string command = "";
            try
            {
                if (TestGrid.IsRunning(int.Parse(Path.GetFileName(folder), null)) && Text($"{folder}/environ").Contains(TestGrid.Home, StringComparison.Ordinal))
                {
                    command = Text($"{folder}/cmdline").Replace('\0', ' ');
                }
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // another user's, or it has just ended
            }

            if (command.Length > 0)
            {
                yield return command;
            }
        }
    }

    private static string Text(string file) => Encoding.UTF8.GetString(File.ReadAllBytes(file));
}

internal static class Eventually
{
    private static readonly TimeSpan s_deadline = TimeSpan.FromSeconds(60);

    public static Task HoldsAsync(Func<bool> condition, string what) => HoldsAsync(() => Task.FromResult(condition()), what);

    public static Task HoldsAsync(Func<bool> condition, string what, Func<string> wrong) => HoldsAsync(() => Task.FromResult(condition()), what, wrong);

    public static async Task HoldsAsync(Func<Task<bool>> condition, string what, Func<string>? wrong = null)
    {
        using var limit = new CancellationTokenSource(s_deadline);
        using var poll = new PeriodicTimer(TimeSpan.FromMilliseconds(20));
        while (!await condition())
        {
            try
            {
                await poll.WaitForNextTickAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                Assert.Fail($"it never came true that {what}{(wrong is null ? "" : $": {wrong()}")}");
            }
        }
    }
}
