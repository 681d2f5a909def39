using System.Globalization;
using GlooX.Bench.Maps;

namespace GlooX.Bench;

/// <summary>
/// A channel of three agents beside a Redis hash with messages and a NATS key-value bucket, each of three processes too: how long a set
/// takes to the callback in another process, how many sets a second reach all, and what it costs to hold many keys.
/// </summary>
internal static class ChannelTopic
{
    private const int Rounds = 7;
    private const int WarmUps = 3;
    private static readonly TimeSpan s_rest = TimeSpan.FromSeconds(45); // an idle process is one that has had nothing to do for a while
    private const double IdleSeconds = 10; // of each window: longer than what a process does each fifth second, or compiles now and then
    private const int Keys = 100_000;

    // Those of the throughput, ping and pong.
    private const int OtherKeys = Writer.KeyCount + 2;

    public static async Task RunAsync(bool quick, string? json, CancellationToken ct)
    {
        string home = Directory.CreateTempSubdirectory("gloox-bench-home-").FullName;
        Environment.SetEnvironmentVariable("GLOOX_HOME", Path.Combine(home, "home"));

        // In all processes, as the gloox tool has it: no heap for each core, nothing compiled with counters first, and threads that find
        // nothing to do sleep at once.
        Environment.SetEnvironmentVariable("DOTNET_gcServer", "0");
        Environment.SetEnvironmentVariable("DOTNET_TieredPGO", "0");
        Environment.SetEnvironmentVariable("DOTNET_ThreadPool_UnfairSemaphoreSpinLimit", "0");
        try
        {
            using var handover = new Handover();
            await using PeerServer redis = await PeerServer.StartRedisAsync(handover.Identity, null, ct);
            await using PeerServer nats = await PeerServer.StartNatsAsync(handover.Identity, ct);
            await using Trio ours = new(SharedMap.GlooX, 0, handover);
            await using Trio theirs = new(SharedMap.Redis, redis.Port, handover);
            await using Trio others = new(SharedMap.Nats, nats.Port, handover);
            Trio[] all = [ours, theirs, others];
            await Task.WhenAll(all.Select(t => t.StartAsync(ct)));
            Dictionary<string, List<Round>> rounds = await MeasureAsync(all, quick, ct);
            Print(rounds);
            Dictionary<string, double> figures = Ratios(rounds);
            foreach (Trio trio in quick ? [ours] : all)
            {
                await HoldAsync(trio, quick, figures, ct);
            }

            foreach ((string durability, string flush) in new[] { (SharedMap.EverySecond, "everysec"), (SharedMap.EveryWrite, "always") })
            {
                await DurableAsync(handover, durability, flush, quick, figures, ct);
            }

            Report.Print(figures, json);
        }
        finally
        {
            Directory.Delete(home, recursive: true);
        }
    }

    private static async Task<Dictionary<string, List<Round>>> MeasureAsync(Trio[] all, bool quick, CancellationToken ct)
    {
        (double pings, double sets) = quick ? (0.8, 0.35) : (3.0, 2.0);
        for (int round = 0; round < WarmUps; round++)
        {
            foreach (Trio trio in all)
            {
                await trio.LatencyAsync(pings / 2, ct);
                await trio.ThroughputAsync(round, sets, ct);
            }
        }

        // First all of the one, then all of the other: what many sets leave behind for a while, such as garbage, delays pings.
        var latencies = all.ToDictionary(t => t.Kind, _ => new List<(double P50, double P99)>(), StringComparer.Ordinal);
        var throughputs = all.ToDictionary(t => t.Kind, _ => new List<(double PerSecond, double Told)>(), StringComparer.Ordinal);
        for (int round = 0; round < Rounds; round++)
        {
            foreach (Trio trio in all)
            {
                latencies[trio.Kind].Add(await trio.LatencyAsync(pings, ct));
            }
        }

        for (int round = 0; round < Rounds; round++)
        {
            foreach (Trio trio in all)
            {
                throughputs[trio.Kind].Add(await trio.ThroughputAsync(WarmUps + round, sets, ct));
            }
        }

        return all.ToDictionary(
            t => t.Kind,
            t => latencies[t.Kind].Zip(throughputs[t.Kind], (l, s) => new Round(l.P50, l.P99, s.PerSecond, s.Told)).ToList(),
            StringComparer.Ordinal);
    }

    /// <summary>How many sets a second reach all when they are on disk: in the file of each of three agents, and in that of one Redis server.</summary>
    private static async Task DurableAsync(Handover handover, string durability, string flush, bool quick, Dictionary<string, double> figures, CancellationToken ct)
    {
        await using PeerServer redis = await PeerServer.StartRedisAsync(handover.Identity, flush, ct);
        await using Trio ours = new(SharedMap.GlooX + durability, 0, handover);
        await using Trio theirs = new(SharedMap.Redis + durability, redis.Port, handover);
        await Task.WhenAll(ours.StartAsync(ct), theirs.StartAsync(ct));
        List<(double Ours, double Theirs)> rounds = [];
        for (int round = 0; round < WarmUps + Rounds; round++)
        {
            (double mine, _) = await ours.ThroughputAsync(round, quick ? 0.5 : 2.0, ct);
            (double other, _) = await theirs.ThroughputAsync(round, quick ? 0.5 : 2.0, ct);
            rounds.Add((mine, other));
        }

        rounds.RemoveRange(0, WarmUps);
        figures[$"channel.durable{durability}.vs_redis"] = Harness.Median(rounds.Select(r => r.Ours / r.Theirs));
        figures[$"channel.durable{durability}.sets_per_second"] = Harness.Median(rounds.Select(r => r.Ours));
    }

    /// <summary>What it costs to hold many keys, and how long a new process takes to take part, before and after they are there.</summary>
    private static async Task HoldAsync(Trio trio, bool quick, Dictionary<string, double> figures, CancellationToken ct)
    {
        int times = quick ? 1 : 3;
        bool isOurs = trio.Kind == SharedMap.GlooX;
        string of = isOurs ? "" : "_" + trio.Kind;
        figures[$"channel.join{of}_s"] = await trio.CatchUpAsync(times, OtherKeys, ct);
        double bytes = await trio.FillAsync(Keys, Keys + OtherKeys, ct);
        figures[$"channel.catch_up{of}_s"] = await trio.CatchUpAsync(times, Keys + OtherKeys, ct);
        if (isOurs)
        {
            figures["channel.bytes_per_entry"] = bytes;
            figures["channel.idle_cpu_after_load_percent_of_a_core"] = (await trio.IdleAsync(3, ct)).Min();
            await Task.Delay(s_rest, ct);
            double ofACore = Harness.Median(await trio.IdleAsync(IdleSeconds, ct));
            figures["channel.idle_cpu_percent_of_a_core"] = ofACore;
            figures["channel.idle_cpu_percent"] = ofACore / Environment.ProcessorCount;
        }
    }

    private static Dictionary<string, double> Ratios(Dictionary<string, List<Round>> rounds)
    {
        double Better(string peer, Func<Round, double> cost) =>
            Harness.Median(rounds[peer].Zip(rounds[SharedMap.GlooX], (theirs, ours) => cost(theirs) / cost(ours)));
        double Of(string kind, Func<Round, double> what) => Harness.Median(rounds[kind].Select(what));
        var figures = new Dictionary<string, double>(StringComparer.Ordinal);
        foreach (string peer in new[] { SharedMap.Redis, SharedMap.Nats })
        {
            figures[$"channel.latency_p50.vs_{peer}"] = Better(peer, r => r.P50);
            figures[$"channel.latency_p99.vs_{peer}"] = Better(peer, r => r.P99);
            figures[$"channel.throughput.vs_{peer}"] = Better(peer, r => 1 / r.SetsPerSecond);
        }

        figures["channel.latency_p50_us"] = Of(SharedMap.GlooX, r => r.P50);
        figures["channel.latency_p99_us"] = Of(SharedMap.GlooX, r => r.P99);
        figures["channel.sets_per_second"] = Of(SharedMap.GlooX, r => r.SetsPerSecond);
        figures["channel.told_share"] = Of(SharedMap.GlooX, r => r.Told);
        return figures;
    }

    private static void Print(Dictionary<string, List<Round>> rounds)
    {
        Console.WriteLine(
            $"""
            three processes of each, mutual TLS on the loopback, values of {Stamped.Length} bytes, {Rounds} alternating rounds; nothing is kept on disk
            latency: from the set in one process to the callback in another, one at a time, by the machine's one monotonic clock
            throughput: {Writer.Callers} callers, until the two other processes have the last value of all {Writer.KeyCount} keys; told: the share of the sets
            that had a callback of its own, the rest was replaced by a later value of its key before. A set is done for its caller when GlooX
            has it in its own process, Redis has answered HSET and PUBLISH, NATS has answered the put

            {"",-10} {"p50 µs",9} {"p99 µs",9} {"sets/s",10} {"told",6}
            """);
        foreach ((string kind, List<Round> of) in rounds)
        {
            double Median(Func<Round, double> what) => Harness.Median(of.Select(what));
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture, $"{kind,-10} {Median(r => r.P50),9:F0} {Median(r => r.P99),9:F0} {Median(r => r.SetsPerSecond),10:F0} {Median(r => r.Told),6:P0}"));
        }

        Console.WriteLine();
    }
}
