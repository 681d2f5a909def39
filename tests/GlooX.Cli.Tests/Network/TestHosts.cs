using System.Diagnostics;

namespace GlooX.Cli.Tests.Network;

/// <summary>
/// Hosts of this test's own: network namespaces on one switch, each with addresses and a home of its own. Everything is gone when the test ends; what a
/// killed test run leaves is removed by the next one that makes networks.
/// </summary>
internal sealed class TestHosts : IAsyncDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(1);
    private static int s_last;
    private readonly string _name = $"gloox-test-{Environment.ProcessId}-h{Interlocked.Increment(ref s_last)}";
    private readonly List<TestHost> _hosts = [];

    private TestHosts() => AppDomain.CurrentDomain.ProcessExit += OnExit;

    public TestHost this[int number] => _hosts[number];

    private string Switch => $"{_name}-sw";

    /// <summary>Makes them, or skips the test.</summary>
    public static async Task<TestHosts> MakeOrSkipAsync(int count)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess && File.Exists("/usr/sbin/ip"), "only root on Linux, with iproute2, can make hosts");
        var hosts = new TestHosts();
        try
        {
            (int code, string said) = await RunAsync("netns", "add", hosts.Switch);
            Assert.SkipUnless(code == 0, $"this system does not allow network namespaces: {said.Trim()}");
            await IpAsync("-n", hosts.Switch, "link", "add", "sw0", "type", "bridge");
            await IpAsync("-n", hosts.Switch, "link", "set", "sw0", "up");
            for (int i = 0; i < count; i++)
            {
                await hosts.AddAsync(i + 1);
            }

            return hosts;
        }
        catch
        {
            await hosts.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts an agent on the first host, lets the next ones join its authority, and starts agents there; the rest join as clients.</summary>
    /// <param name="agents">How many hosts run an agent.</param>
    /// <param name="url">Where each listens; null: on its own address.</param>
    public async Task FormGridAsync(int agents, string? url = null)
    {
        await _hosts[0].Shell.AgentAsync("--url", url ?? _hosts[0].Agent);
        for (int i = 1; i < _hosts.Count; i++)
        {
            string token = (await _hosts[0].Shell.GlooXAsync("token", "--role", i < agents ? "agent" : "client")).Output.Split('\n')[0];
            Outcome joined = await _hosts[i].Shell.GlooXAsync("join", _hosts[0].Agent, token);
            Assert.Equal((0, ""), (joined.Code, joined.Errors));
            if (i < agents)
            {
                await _hosts[i].Shell.AgentAsync("--url", url ?? _hosts[i].Agent, "--peer", _hosts[0].Agent);
            }
        }

        await CommandTests.UntilAsync(
            () => _hosts[0].Shell.GlooXAsync("status", "--agent", _hosts[0].Agent),
            o => o.Output.Contains(agents == 1 ? "1 node" : $"{agents} nodes", StringComparison.Ordinal));
    }

    /// <summary>Pulls the cable of a host: no process is told.</summary>
    public static Task CutAsync(TestHost host) => IpAsync("-n", host.Network, "link", "set", "link0", "down");

    public static Task MendAsync(TestHost host) => IpAsync("-n", host.Network, "link", "set", "link0", "up");

    /// <summary>Drops all packets between two hosts, in both directions; both still reach the others.</summary>
    public static async Task BlockAsync(TestHost one, TestHost other)
    {
        await IpAsync("-n", one.Network, "route", "add", "blackhole", $"{other.Address}/32");
        await IpAsync("-n", other.Network, "route", "add", "blackhole", $"{one.Address}/32");
    }

    public async ValueTask DisposeAsync()
    {
        AppDomain.CurrentDomain.ProcessExit -= OnExit;
        foreach (TestHost host in _hosts)
        {
            await host.Shell.DisposeAsync();
        }

        foreach (string network in Networks())
        {
            await RunAsync("netns", "del", network);
        }
    }

    private async Task AddAsync(int number)
    {
        var host = new TestHost($"{_name}-{number}", number);
        await IpAsync("netns", "add", host.Network);
        _hosts.Add(host);
        await IpAsync("link", "add", "link0", "netns", host.Network, "type", "veth", "peer", "name", $"port{number}", "netns", Switch);
        await IpAsync("-n", Switch, "link", "set", $"port{number}", "master", "sw0", "up");
        await IpAsync("-n", host.Network, "link", "set", "lo", "up");
        await IpAsync("-n", host.Network, "address", "add", $"{host.Address}/24", "dev", "link0");
        await IpAsync("-n", host.Network, "address", "add", $"{host.Address6}/64", "dev", "link0", "nodad");
        await IpAsync("-n", host.Network, "link", "set", "link0", "up");
    }

    private IEnumerable<string> Networks() => _hosts.Select(static h => h.Network).Append(Switch);

    private void OnExit(object? sender, EventArgs e)
    {
        foreach (string network in Networks())
        {
            Process.Start(new ProcessStartInfo("ip", ["netns", "del", network]) { RedirectStandardError = true, UseShellExecute = false })?.WaitForExit(5000);
        }
    }

    private static async Task IpAsync(params string[] arguments)
    {
        (int code, string said) = await RunAsync(arguments);
        Assert.True(code == 0, $"ip {string.Join(' ', arguments)}: {said}");
    }

    private static async Task<(int Code, string Said)> RunAsync(params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo("ip", arguments) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync().WaitAsync(s_limit);
        return (process.ExitCode, await output + await errors);
    }
}

/// <summary>One host: a network of its own, and a shell in it.</summary>
internal sealed class TestHost(string network, int number)
{
    public string Network { get; } = network;

    public string Address { get; } = $"10.232.0.{number}";

    public string Address6 { get; } = $"fd00:232::{number}";

    /// <summary>Where the agent of this host is reached.</summary>
    public string Agent => $"{Address}:9999";

    public Shell Shell { get; } = new() { Through = ["ip", "netns", "exec", network] };
}
