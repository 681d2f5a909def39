using System.Globalization;
using GlooX.Bench.Peers;

namespace GlooX.Bench;

/// <summary>Unary calls beside gRPC and SignalR: the peers take turns in each round, so that a noisy machine disturbs all of them.</summary>
internal static class RpcTopic
{
    private const int Rounds = 5;
    private const string Sequential = "sequential";
    private const string Unary64 = "unary64";
    private const string Unary1024 = "unary1024";
    private static readonly (string Name, int Callers)[] s_workloads = [(Unary64, 64), (Unary1024, 1024), (Sequential, 1)];

    public static async Task RunAsync(bool quick, string? json, CancellationToken ct)
    {
        TimeSpan window = TimeSpan.FromSeconds(quick ? 0.5 : 2);
        TimeSpan warmUp = TimeSpan.FromSeconds(quick ? 1 : 3);
        var results = new Dictionary<(string Kind, string Workload), List<Sample>>();
        var stack = new List<IAsyncDisposable>();
        try
        {
            var ends = new List<(IPeer Peer, IEchoClient Client, int Pid)>();
            using (var handover = new Handover())
            {
                foreach (IPeer peer in Peer.All)
                {
                    ServerProcess server = await ServerProcess.StartAsync(peer, handover, ct);
                    stack.Add(server);
                    IEchoClient client = await peer.ConnectAsync(server.Port, handover.Identity, ct);
                    stack.Add(client);
                    ends.Add((peer, client, server.Pid));
                }
            }

            foreach ((_, IEchoClient client, int pid) in ends)
            {
                foreach ((_, int callers) in s_workloads)
                {
                    await Harness.MeasureAsync(client, pid, callers, warmUp / 2, warmUp / 2, ct);
                }
            }

            for (int round = 0; round < Rounds; round++)
            {
                foreach ((string workload, int callers) in s_workloads)
                {
                    foreach ((IPeer peer, IEchoClient client, int pid) in ends)
                    {
                        Sample sample = await Harness.MeasureAsync(client, pid, callers, window / 6, window, ct);
                        if (!results.TryGetValue((peer.Kind, workload), out List<Sample>? samples))
                        {
                            results.Add((peer.Kind, workload), samples = []);
                        }

                        samples.Add(sample);
                    }
                }
            }
        }
        finally
        {
            for (int i = stack.Count - 1; i >= 0; i--)
            {
                await stack[i].DisposeAsync();
            }
        }

        PrintTable(results);
        Report.Print(Ratios(results), json);
    }

    private static void PrintTable(Dictionary<(string Kind, string Workload), List<Sample>> results)
    {
        Console.WriteLine($"mutual TLS 1.3, one connection, client and server in two processes; medians of {Rounds} alternating rounds");
        Console.WriteLine();
        Console.WriteLine($"{"",-8} {"64: calls/s",12} {"CPU µs/call",12} {"B/call",8} {"1024: calls/s",14} {"1: p50 µs",10} {"p99 µs",8}");
        foreach (IPeer peer in Peer.All)
        {
            double Of(string workload, Func<Sample, double> value) => Harness.Median(results[(peer.Kind, workload)].Select(value));
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{peer.Kind,-8} {Of(Unary64, s => s.CallsPerSecond),12:F0} {Of(Unary64, s => s.CpuPerCall),12:F1} {Of(Unary64, s => s.BytesPerCall),8:F0} {Of(Unary1024, s => s.CallsPerSecond),14:F0} {Of(Sequential, s => s.P50),10:F1} {Of(Sequential, s => s.P99),8:F1}"));
        }

        Console.WriteLine();
    }

    /// <summary>Above 1: GlooX is better. Each ratio is the median of the rounds' ratios, for neighbours in time share their noise.</summary>
    private static Dictionary<string, double> Ratios(Dictionary<(string Kind, string Workload), List<Sample>> results)
    {
        double Ratio(string workload, string other, Func<Sample, Sample, double> compare) =>
            Harness.Median(results[("gloox", workload)].Zip(results[(other, workload)], compare));
        return new(StringComparer.Ordinal)
        {
            ["rpc.unary64.vs_grpc"] = Ratio(Unary64, "grpc", Throughput),
            ["rpc.unary64.vs_signalr"] = Ratio(Unary64, "signalr", Throughput),
            ["rpc.unary1024.vs_signalr"] = Ratio(Unary1024, "signalr", Throughput),
            ["rpc.sequential_p50.vs_grpc"] = Ratio(Sequential, "grpc", (ours, theirs) => theirs.P50 / ours.P50),
            ["rpc.alloc_bytes_per_call"] = Harness.Median(results[("gloox", Unary64)].Select(s => s.BytesPerCall)),
        };
    }

    private static double Throughput(Sample ours, Sample theirs) => ours.CallsPerSecond / theirs.CallsPerSecond;
}
