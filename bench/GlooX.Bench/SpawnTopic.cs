using System.Diagnostics;
using System.Globalization;
using GlooX.Bench.Payload;
using GlooX.Bench.Peers;

namespace GlooX.Bench;

/// <summary>
/// From asking for a process to its first answer over a new connection: an agent with a warm host, one without, and a gRPC server that is
/// started for it. They take turns in each round, and each has the machine to itself.
/// </summary>
internal static class SpawnTopic
{
    private const int WarmUps = 2;
    private const int Pool = 4;
    private const int Burst = 64;

    public static async Task RunAsync(bool quick, string? json, CancellationToken ct)
    {
        string home = Directory.CreateTempSubdirectory("gloox-bench-home-").FullName;
        Environment.SetEnvironmentVariable("GLOOX_HOME", Path.Combine(home, "home"));
        int rounds = quick ? 9 : 25;
        List<double> warm = [], cold = [], peer = [], memory = [], resident = [];
        double perSecond, inARow, burst;
        try
        {
            using var handover = new Handover();
            await using ServerProcess warmAgent = await AgentProcess.StartAsync(1, ct);
            await using ServerProcess coldAgent = await AgentProcess.StartAsync(0, ct);
            await using GlooXClient warmClient = new GlooXClient($"127.0.0.1:{warmAgent.Port}");
            await using GlooXClient coldClient = new GlooXClient($"127.0.0.1:{coldAgent.Port}");
            for (int round = -WarmUps; round < rounds; round++)
            {
                int host = await AgentProcess.WarmHostAsync(warmAgent.Pid, ct);
                (double own, double held) = AgentProcess.Memory(host);
                double ours = await SpawnAsync(warmClient, host, ct);

                // The agent's next host gets warm; it is not to disturb the others.
                await AgentProcess.WarmHostAsync(warmAgent.Pid, ct);
                double oursCold = await SpawnAsync(coldClient, null, ct);
                double theirs = await StartPeerAsync(handover, ct);
                if (round >= 0)
                {
                    warm.Add(ours);
                    cold.Add(oursCold);
                    peer.Add(theirs);
                    memory.Add(own);
                    resident.Add(held);
                }
            }

            await using ServerProcess poolAgent = await AgentProcess.StartAsync(Pool, ct);
            await using GlooXClient poolClient = new GlooXClient($"127.0.0.1:{poolAgent.Port}", new RpcClientOptions { ConnectTimeout = TimeSpan.FromMinutes(1), CallTimeout = TimeSpan.FromMinutes(2) });
            perSecond = await SustainAsync(poolAgent, poolClient, quick ? 10 : 30, ct);
            inARow = await InARowAsync(coldClient, ct);
            await AgentProcess.WarmAsync(poolAgent.Pid, Pool, ct);
            burst = await BurstAsync(poolClient, ct);
        }
        finally
        {
            Directory.Delete(home, recursive: true);
        }

        Console.WriteLine($"from asking for a process to its first answer, mutual TLS 1.3, {rounds} alternating rounds");
        Console.WriteLine();
        Console.WriteLine($"{"",-24} {"median ms",10} {"min",8} {"max",8}");
        foreach ((string name, List<double> times) in new[] { ("child on a warm host", warm), ("child started cold", cold), ("gRPC server process", peer) })
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name,-24} {Harness.Median(times),10:F1} {times.Min(),8:F1} {times.Max(),8:F1}"));
        }

        Console.WriteLine();
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Pool} callers of an agent with a pool of {Pool}, each with one process at a time: {perSecond:F1} spawns a second, each answered and ended"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Burst} spawns at once, all answered: {burst:F1} s; as many cold ones in a row: {inARow:F1} s"));
        Console.WriteLine();
        Report.Print(
            new(StringComparer.Ordinal)
            {
                ["spawn.warm.vs_process_grpc"] = Harness.Median(peer.Zip(warm, (theirs, ours) => theirs / ours)),
                ["spawn.cold.vs_process_grpc"] = Harness.Median(peer.Zip(cold, (theirs, ours) => theirs / ours)),
                ["spawn.burst64.vs_cold_in_a_row"] = inARow / burst,
                ["spawn.per_second"] = perSecond,
                ["spawn.warm_ms"] = Harness.Median(warm),
                ["spawn.cold_ms"] = Harness.Median(cold),
                ["spawn.warm_host_private_mb"] = Harness.Median(memory),
                ["spawn.warm_host_resident_mb"] = Harness.Median(resident),
            },
            json);
    }

    private static async Task<double> SpawnAsync(GlooXClient client, int? expected, CancellationToken ct)
    {
        long start = Stopwatch.GetTimestamp();
        await using SpawnedProcess child = await client.SpawnAsync(nameof(EchoChild), typeof(EchoChild).Assembly.Location, ct: ct);
        string? answer = await child.CallAsync<string>("echo", "first");
        double elapsed = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        if (answer != "first" || (expected is { } pid && pid != child.Pid))
        {
            throw new InvalidOperationException($"the child answered '{answer}' as process {child.Pid}, expected {expected}");
        }

        await child.KillAsync(ct);
        return elapsed;
    }

    private static async Task<double> SustainAsync(ServerProcess agent, GlooXClient client, double seconds, CancellationToken ct)
    {
        await AgentProcess.WarmAsync(agent.Pid, Pool, ct);
        long start = Stopwatch.GetTimestamp();
        int[] counts = await Task.WhenAll(Enumerable.Range(0, Pool).Select(async _ =>
        {
            int count = 0;
            for (; Stopwatch.GetElapsedTime(start).TotalSeconds < seconds; count++)
            {
                await SpawnAsync(client, null, ct);
            }

            return count;
        }));
        return counts.Sum() / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static async Task<double> InARowAsync(GlooXClient client, CancellationToken ct)
    {
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < Burst; i++)
        {
            await SpawnAsync(client, null, ct);
        }

        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    // Any that fails ends the measurement. On few cores the last one waits for all.
    private static async Task<double> BurstAsync(GlooXClient client, CancellationToken ct)
    {
        var options = new SpawnOptions { StartTimeout = TimeSpan.FromMinutes(2) };
        long start = Stopwatch.GetTimestamp();
        SpawnedProcess[] children = await Task.WhenAll(Enumerable.Range(0, Burst).Select(async _ =>
        {
            SpawnedProcess child = await client.SpawnAsync(nameof(EchoChild), typeof(EchoChild).Assembly.Location, options, ct: ct);
            return await child.CallAsync<string>("echo", "first") == "first" ? child : throw new InvalidOperationException("a child gave a wrong answer");
        }));
        double elapsed = Stopwatch.GetElapsedTime(start).TotalSeconds;
        await Task.WhenAll(children.Select(async child =>
        {
            await child.KillAsync(ct);
            await child.DisposeAsync();
        }));
        return elapsed;
    }

    private static async Task<double> StartPeerAsync(Handover handover, CancellationToken ct)
    {
        var peer = new GrpcPeer();
        long start = Stopwatch.GetTimestamp();
        await using ServerProcess server = await ServerProcess.StartAsync(peer, handover, ct);
        await using IEchoClient client = await peer.ConnectAsync(server.Port, handover.Identity, ct);
        await client.CallOnceAsync();
        return Stopwatch.GetElapsedTime(start).TotalMilliseconds;
    }
}
