using System.Globalization;

namespace GlooX.Bench;

/// <summary>An agent in a process of its own: this program again, with <c>agent WARM-HOSTS</c>; and a look at the hosts that it keeps.</summary>
internal static class AgentProcess
{
    public const string Verb = "agent";
    private static readonly TimeSpan s_quiet = TimeSpan.FromMilliseconds(200);
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(20);

    public static Task<ServerProcess> StartAsync(int warmHosts, CancellationToken ct, int peer = 0) =>
        ServerProcess.StartAsync($"an agent with {warmHosts} warm hosts", [Verb, warmHosts.ToString(CultureInfo.InvariantCulture), peer.ToString(CultureInfo.InvariantCulture)], ct);

    /// <summary>The other side of <see cref="StartAsync"/>.</summary>
    public static async Task ServeAsync(string warmHosts, string peer, CancellationToken ct)
    {
        await using Agent agent = await Agent.StartAsync(
            "127.0.0.1:0", peer == "0" ? null : $"127.0.0.1:{peer}", new AgentOptions { WarmHosts = int.Parse(warmHosts, CultureInfo.InvariantCulture) }, ct);
        Console.WriteLine(agent.Url[(agent.Url.LastIndexOf(':') + 1)..]);

        // Whoever compares what agents hold wants no garbage in it.
        while (await Task.Run(Console.In.ReadLine, ct).WaitAsync(ct) is not null)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
            Console.WriteLine(GC.GetTotalMemory(forceFullCollection: true).ToString(CultureInfo.InvariantCulture));
        }
    }

    /// <summary>What the agent holds, in bytes, after a collection.</summary>
    public static async Task<double> CollectAsync(ServerProcess agent, CancellationToken ct) =>
        double.Parse(await agent.AskLineAsync("collect", ct), CultureInfo.InvariantCulture);

    /// <summary>Waits until the agent has a host that has worked and does so no more: nothing but that tells from outside that it is warm.</summary>
    public static async Task<int> WarmHostAsync(int agent, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_limit);
        while (true)
        {
            Dictionary<int, long> before = Hosts(agent);
            await Task.Delay(s_quiet, limit.Token);
            foreach ((int pid, long ticks) in Hosts(agent))
            {
                if (ticks > 10 && before.TryGetValue(pid, out long had) && had == ticks)
                {
                    return pid;
                }
            }
        }
    }

    /// <summary>Waits until the agent has so many of them.</summary>
    public static async Task WarmAsync(int agent, int count, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_limit);
        while (true)
        {
            Dictionary<int, long> before = Hosts(agent);
            await Task.Delay(s_quiet, limit.Token);
            if (Hosts(agent).Count(h => h.Value > 10 && before.GetValueOrDefault(h.Key) == h.Value) >= count)
            {
                return;
            }
        }
    }

    /// <summary>In MB.</summary>
    public static (double Private, double Resident) Memory(int pid)
    {
        string[] lines = File.ReadAllLines($"/proc/{pid}/smaps_rollup");
        double Of(string field) => lines.Where(l => l.StartsWith(field, StringComparison.Ordinal))
            .Sum(l => double.Parse(l.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture)) / 1024;
        return (Of("Private_"), Of("Rss:"));
    }

    // The warm hosts of an agent, with the ticks that each has used.
    private static Dictionary<int, long> Hosts(int agent)
    {
        var hosts = new Dictionary<int, long>();
        foreach (string folder in Directory.GetDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), out int pid))
            {
                continue;
            }

            try
            {
                string stat = File.ReadAllText(folder + "/stat");
                string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
                if (fields[1] == agent.ToString(CultureInfo.InvariantCulture) && fields[0] != "Z" && File.ReadAllText(folder + "/cmdline").EndsWith("\0warm\0", StringComparison.Ordinal))
                {
                    hosts[pid] = long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture);
                }
            }
            catch (IOException)
            {
                // it has ended
            }
        }

        return hosts;
    }
}
