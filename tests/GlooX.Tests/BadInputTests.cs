using System.Net;
using System.Net.Sockets;

namespace GlooX.Tests;

/// <summary>What cannot work says why and what to do, and leaves nothing behind.</summary>
public sealed class BadInputTests
{
    [Fact]
    public async Task A_file_that_is_missing_is_named()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        Assert.Contains(Path.GetFullPath("nowhere.cs"), await grid.FailAsync("Child", path: "nowhere.cs"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_of_another_kind_is_refused()
    {
        string file = Path.Combine(TestGrid.Home, "notes.txt");
        await File.WriteAllTextAsync(file, "no program");
        await using TestGrid grid = await TestGrid.StartAsync();
        Assert.Contains("it must be a .cs file", await grid.FailAsync("Child", path: file), StringComparison.Ordinal);

        // With the mode of an executable, the system has the last word.
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        Assert.Contains("cannot start the process", await grid.FailAsync("Child", path: file), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_file_that_is_no_assembly_is_refused()
    {
        string file = Path.Combine(TestGrid.Home, "fake.dll");
        await File.WriteAllTextAsync(file, "no assembly");
        await using TestGrid grid = await TestGrid.StartAsync();
        Assert.Contains(file, await grid.FailAsync("Child", path: file), StringComparison.Ordinal);
    }

    [Fact]
    [Trait("Category", "Slow")]
    public async Task The_errors_of_a_file_that_does_not_compile_reach_the_caller()
    {
        string file = Path.Combine(TestGrid.Home, "faulty.cs");
        await File.WriteAllTextAsync(file, "public class Faulty { int x = \"text\"; }");
        await using TestGrid grid = await TestGrid.StartAsync();
        string message = await grid.FailAsync("Faulty", path: file);
        Assert.Contains("does not compile", message, StringComparison.Ordinal);
        Assert.Contains("CS0029", message, StringComparison.Ordinal);
        Assert.Contains("faulty.cs(1,", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_class_that_is_not_there_is_answered_with_those_that_are()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string message = await grid.FailAsync("Nobody");
        Assert.Contains("has no class Nobody", message, StringComparison.Ordinal);
        Assert.Contains("GlooX.Tests.Payload.Good", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_class_that_is_no_agent_is_refused_with_the_cure()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        Assert.Contains("derive it from GlooX.Worker", await grid.FailAsync("NoAgent"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_port_in_use_is_said_to_be_so()
    {
        using var other = new TcpListener(IPAddress.Loopback, 0);
        other.Start();
        string url = other.LocalEndpoint.ToString()!;
        var error = await Assert.ThrowsAsync<RpcException>(() => Agent.StartAsync(url));
        Assert.Contains("another process listens on that port", error.Message, StringComparison.Ordinal);
        await using TestGrid grid = await TestGrid.StartAsync();
        Assert.Contains("another process listens on that port", await grid.FailAsync("Good", new SpawnOptions { Url = url }), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("nonsense")]
    [InlineData("127.0.0.1:99999")]
    public async Task A_malformed_url_is_refused_with_an_example(string url)
    {
        Assert.Contains("host:port", (await Assert.ThrowsAsync<ArgumentException>(() => Agent.StartAsync(url))).Message, StringComparison.Ordinal);
        await using TestGrid grid = await TestGrid.StartAsync();
        Assert.Contains("host:port", await grid.FailAsync("Good", new SpawnOptions { Url = url }), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_peer_that_does_not_answer_is_named_and_the_port_is_free_again()
    {
        string gone;
        using (var free = new TcpListener(IPAddress.Loopback, 0))
        {
            free.Start();
            gone = free.LocalEndpoint.ToString()!;
        }

        var error = await Assert.ThrowsAsync<PeerUnreachableException>(() => Agent.StartAsync("127.0.0.1:0", gone));
        Assert.Contains($"{gone}: connection refused", error.Message, StringComparison.Ordinal);
        Assert.Equal([gone], error.Peers);
        using var again = new TcpListener(IPEndPoint.Parse(error.Url));
        again.Start();
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(0, 0)]
    [InlineData(0, double.NaN)]
    public async Task Options_out_of_their_range_are_refused(int warm, double weight) =>
        await Assert.ThrowsAsync<ArgumentException>(() => Agent.StartAsync("127.0.0.1:0", options: new AgentOptions { WarmHosts = warm, Weight = weight }));

    [Fact]
    public async Task An_unknown_strategy_is_answered_with_those_that_there_are()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        var error = await Assert.ThrowsAsync<ArgumentException>(() => grid.SpawnAsync("Good", new SpawnOptions { Strategy = (PlacementStrategy)9 }));
        Assert.Contains("Horizontal, Vertical, Direct", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_fits_nowhere_says_why_for_each_node()
    {
        await using TestGrid grid = await TestGrid.StartAsync(new AgentOptions { WarmHosts = 0 }, new AgentOptions { WarmHosts = 0 });
        string message = await grid.FailAsync("Huge");
        Assert.Contains("it fits on no node", message, StringComparison.Ordinal);
        Assert.All(grid.Agents, a => Assert.Contains($"{a.Url} has", message, StringComparison.Ordinal));
        Assert.Contains("900 TB needed", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_child_that_throws_when_it_is_made_is_reported_with_its_reason()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        Assert.Contains("InvalidOperationException: no such luck", await grid.FailAsync("ThrowsWhenMade"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_child_that_throws_at_start_is_reported_with_its_reason_and_last_lines()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string message = await grid.FailAsync("ThrowsAtStart");
        Assert.Contains("InvalidOperationException: the database is away", message, StringComparison.Ordinal);
        Assert.Contains("about to give up", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_child_that_exits_before_it_is_ready_is_reported_with_its_exit_code_and_last_lines()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string message = await grid.FailAsync("ExitsAtStart");
        Assert.Contains("exit code 3", message, StringComparison.Ordinal);
        Assert.Contains("first words\nlast words", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_child_that_is_never_ready_is_killed_at_its_deadline()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        string message = await grid.FailAsync("NeverReady", new SpawnOptions { StartTimeout = TimeSpan.FromSeconds(3) });
        Assert.Contains("not ready within 3000 ms", message, StringComparison.Ordinal);
        Assert.Contains("still thinking", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_spawn_that_is_cancelled_leaves_nothing()
    {
        await using TestGrid grid = await TestGrid.StartAsync();
        using var cancel = new CancellationTokenSource();
        Task<SpawnedProcess> spawning = grid.SpawnAsync("NeverReady", ct: cancel.Token);
        await Eventually.HoldsAsync(() => TestGrid.Hosts().Count == 1, "the process has started");
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => spawning);
        await grid.NothingIsLeftAsync();
    }
}
