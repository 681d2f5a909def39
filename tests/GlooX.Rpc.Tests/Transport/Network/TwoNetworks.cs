using System.Diagnostics;
using System.Globalization;

namespace GlooX.Rpc.Tests.Transport.Network;

/// <summary>
/// Two networks of this test's own (network namespaces) with a link between them, which can be cut. Processes started in them see nothing
/// else. Everything is gone when the test ends, however it ends: what a killed test run leaves is removed by the next one.
/// </summary>
internal sealed class TwoNetworks : IAsyncDisposable
{
    public const string Here = "10.231.0.1";
    public const string There = "10.231.0.2";

    private const string Prefix = "gloox-test";
    private const string Python = "/usr/bin/python3"; // Debian's; see test.sh
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(1);
    private static int s_last;

    private readonly string _name = $"{Prefix}-{Environment.ProcessId}-{Interlocked.Increment(ref s_last)}";
    private readonly List<Process> _processes = [];

    private TwoNetworks() => AppDomain.CurrentDomain.ProcessExit += OnExit;

    private string Near => $"{_name}-a";

    private string Far => $"{_name}-b";

    private string Between => $"{_name}-w";

    /// <summary>Makes them, or skips the test.</summary>
    /// <param name="wire">What the link between them is like, as <c>(delay in ms, loss in percent)</c>; null: perfect.</param>
    public static async Task<TwoNetworks> MakeOrSkipAsync((int Delay, int Loss)? wire = null)
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "networks of a test's own are made on Linux only");
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "only root can make networks");
        Assert.SkipUnless(await IsThereAsync("ip", "-V"), "the command ip is missing: install iproute2");
        Assert.SkipUnless(wire is null || File.Exists(Python), $"the bad wire needs {Python}");
        await RemoveOldAsync();
        var networks = new TwoNetworks();
        try
        {
            (int code, string said) = await RunAsync("ip", "netns", "add", networks.Near);
            Assert.SkipUnless(code == 0, $"this system lets nobody make networks: {said.Trim()}");
            await networks.ConnectAsync(wire);
            return networks;
        }
        catch
        {
            await networks.DisposeAsync();
            throw;
        }
    }

    /// <summary>Starts a process in one of the networks; it ends with them.</summary>
    public Process Start(bool near, string home, string command, params string[] arguments) => Start(near ? Near : Far, home, command, arguments);

    /// <summary>What stands before a command that is run in one of the networks.</summary>
    public string[] Into(bool near) => ["ip", "netns", "exec", near ? Near : Far];

    /// <summary>Cuts the link, as when a cable is drawn: nobody is told.</summary>
    public Task CutAsync() => IpAsync("-n", Far, "link", "set", "link0", "down");

    public Task MendAsync() => IpAsync("-n", Far, "link", "set", "link0", "up");

    public async ValueTask DisposeAsync()
    {
        AppDomain.CurrentDomain.ProcessExit -= OnExit;
        foreach (Process process in _processes)
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
                await process.WaitForExitAsync().WaitAsync(s_limit);
            }

            process.Dispose();
        }

        foreach (string network in new[] { Near, Far, Between })
        {
            await RunAsync("ip", "netns", "del", network);
        }
    }

    private async Task ConnectAsync((int Delay, int Loss)? wire)
    {
        await IpAsync("netns", "add", Far);
        if (wire is null)
        {
            await IpAsync("link", "add", "link0", "netns", Near, "type", "veth", "peer", "name", "link0", "netns", Far);
        }
        else
        {
            await IpAsync("netns", "add", Between);
            await IpAsync("link", "add", "link0", "netns", Near, "type", "veth", "peer", "name", "near", "netns", Between);
            await IpAsync("link", "add", "link0", "netns", Far, "type", "veth", "peer", "name", "far", "netns", Between);
        }

        foreach ((string network, string address) in new[] { (Near, Here), (Far, There) })
        {
            await IpAsync("-n", network, "link", "set", "lo", "up");
            await IpAsync("-n", network, "address", "add", $"{address}/24", "dev", "link0");
            await IpAsync("-n", network, "link", "set", "link0", "up");
        }

        if (wire is { } bad)
        {
            string script = Path.Combine(AppContext.BaseDirectory, "Transport", "Network", "wire.py");
            foreach (string end in new[] { "near", "far" })
            {
                await IpAsync("-n", Between, "link", "set", end, "up");
            }

            foreach (string network in new[] { Near, Far })
            {
                await IpAsync("netns", "exec", network, Python, script, "plain", "link0");
            }

            Process passing = Start(Between, "/", Python, script, "near", "far", Text(bad.Delay), Text(bad.Loss), "1");
            Assert.Equal("ready", await passing.StandardOutput.ReadLineAsync().WaitAsync(s_limit));
        }
    }

    private Process Start(string network, string home, string command, params string[] arguments)
    {
        var start = new ProcessStartInfo("ip", ["netns", "exec", network, command, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            UseShellExecute = false,
        };
        start.Environment["GLOOX_HOME"] = home;
        Process process = Process.Start(start)!;
        _processes.Add(process);
        return process;
    }

    private void OnExit(object? sender, EventArgs e)
    {
        foreach (string network in new[] { Near, Far, Between })
        {
            Process.Start(new ProcessStartInfo("ip", ["netns", "del", network]) { RedirectStandardError = true, UseShellExecute = false })?.WaitForExit(5000);
        }
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);

    private static async Task RemoveOldAsync()
    {
        (_, string list) = await RunAsync("ip", "netns", "list");
        foreach (string network in list.Split('\n').Select(static l => l.Split(' ')[0]).Where(static n => n.StartsWith(Prefix + "-", StringComparison.Ordinal)))
        {
            if (!Directory.Exists($"/proc/{network.Split('-')[2]}"))
            {
                await RunAsync("ip", "netns", "del", network);
            }
        }
    }

    private static async Task IpAsync(params string[] arguments)
    {
        (int code, string said) = await RunAsync("ip", arguments);
        Assert.True(code == 0, $"ip {string.Join(' ', arguments)}: {said}");
    }

    private static async Task<bool> IsThereAsync(string command, params string[] arguments)
    {
        try
        {
            return (await RunAsync(command, arguments)).Code == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    private static async Task<(int Code, string Said)> RunAsync(string command, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(command, arguments) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false })!;
        Task<string> output = process.StandardOutput.ReadToEndAsync();
        Task<string> errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync().WaitAsync(s_limit);
        return (process.ExitCode, await output + await errors);
    }
}
