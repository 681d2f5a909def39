using System.Globalization;
using GlooX.Bench.Peers;

namespace GlooX.Bench;

/// <summary>Calls and streams beside gRPC, SignalR, StreamJsonRpc and bare TLS: the peers take turns in each round, so that a noisy machine disturbs all of them.</summary>
internal static class RpcTopic
{
    private const int Rounds = 5;
    public const string Sequential = "sequential";
    private const string Unary64 = "unary64";
    private const string Unary1024 = "unary1024";
    private const string Payload10K = "payload10k";
    private const string Streaming = "stream";
    private static readonly Workload[] s_workloads =
    [
        new(Unary64, 64, static (client, load, caller) => client.CallAsync(load, caller)),
        new(Unary1024, 1024, static (client, load, caller) => client.CallAsync(load, caller), "gloox", "grpc", "signalr", "streamjsonrpc"),
        new(Sequential, 1, static (client, load, caller) => client.CallAsync(load, caller)),
        new(Payload10K, 64, static (client, load, caller) => client.EchoAsync(load, caller), "gloox", "grpc"),
        new(Streaming, 1, static (client, load, caller) => client.StreamAsync(load, caller), "gloox", "grpc", "signalr"),
    ];

    /// <summary>What can be measured.</summary>
    public static IEnumerable<string> Workloads => s_workloads.Select(static w => w.Name);

    public static async Task RunAsync(bool quick, string? only, string? json, CancellationToken ct)
    {
        Workload[] workloads = [.. s_workloads.Where(w => only is null || w.Name == only)];
        TimeSpan window = TimeSpan.FromSeconds(quick ? 0.5 : 2);
        TimeSpan warmUp = TimeSpan.FromSeconds(quick ? 2.5 : 3);
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

            foreach ((IPeer peer, IEchoClient client, int pid) in ends)
            {
                foreach (Workload workload in workloads.Where(w => w.Has(peer)))
                {
                    await Harness.MeasureAsync(client, pid, workload, warmUp / 2, warmUp / 2, ct);
                }
            }

            for (int round = 0; round < Rounds; round++)
            {
                foreach (Workload workload in workloads)
                {
                    foreach ((IPeer peer, IEchoClient client, int pid) in ends.Where(e => workload.Has(e.Peer)))
                    {
                        Sample sample = await Harness.MeasureAsync(client, pid, workload, window / 6, window, ct);
                        if (!results.TryGetValue((peer.Kind, workload.Name), out List<Sample>? samples))
                        {
                            results.Add((peer.Kind, workload.Name), samples = []);
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
        Console.WriteLine($"{"",-13} {"64: calls/s",12} {"CPU µs/call",12} {"B/call",8} {"1024: calls/s",14} {"1: p50 µs",10} {"p99 µs",8} {"64 × 10 KB: MB/s",17} {"stream: items/s",16}");
        foreach (IPeer peer in Peer.All)
        {
            string Of(string workload, string format, Func<Sample, double> value) =>
                results.TryGetValue((peer.Kind, workload), out List<Sample>? samples) ? Harness.Median(samples.Select(value)).ToString(format, CultureInfo.InvariantCulture) : "";
            Console.WriteLine(
                $"{peer.Kind,-13} {Of(Unary64, "F0", s => s.CallsPerSecond),12} {Of(Unary64, "F1", s => s.CpuPerCall),12} {Of(Unary64, "F0", s => s.BytesPerCall),8} {Of(Unary1024, "F0", s => s.CallsPerSecond),14} {Of(Sequential, "F1", s => s.P50),10} {Of(Sequential, "F1", s => s.P99),8} {Of(Payload10K, "F0", s => s.CallsPerSecond / 100),17} {Of(Streaming, "F0", s => s.CallsPerSecond),16}");
        }

        Console.WriteLine();
    }

    /// <summary>Above 1: GlooX is better. Each ratio is the median of the rounds' ratios, for neighbours in time share their noise.</summary>
    private static Dictionary<string, double> Ratios(Dictionary<(string Kind, string Workload), List<Sample>> results)
    {
        var ratios = new Dictionary<string, double>(StringComparer.Ordinal);
        void Add(string name, string workload, string other, Func<Sample, Sample, double> compare)
        {
            if (results.TryGetValue(("gloox", workload), out List<Sample>? ours))
            {
                ratios[name] = Harness.Median(ours.Zip(results[(other, workload)], compare));
            }
        }

        Add("rpc.unary64.vs_grpc", Unary64, "grpc", Throughput);
        Add("rpc.unary64.vs_signalr", Unary64, "signalr", Throughput);
        Add("rpc.unary64.vs_streamjsonrpc", Unary64, "streamjsonrpc", Throughput);
        Add("rpc.unary64.vs_limit", Unary64, "limit", Throughput);
        Add("rpc.unary1024.vs_signalr", Unary1024, "signalr", Throughput);
        Add("rpc.sequential_p50.vs_grpc", Sequential, "grpc", (ours, theirs) => theirs.P50 / ours.P50);
        Add("rpc.payload10k.vs_grpc", Payload10K, "grpc", Throughput);
        Add("rpc.stream.vs_grpc", Streaming, "grpc", Throughput);
        Add("rpc.stream.vs_signalr", Streaming, "signalr", Throughput);
        if (results.TryGetValue(("gloox", Unary64), out List<Sample>? small))
        {
            ratios["rpc.alloc_bytes_per_call"] = Harness.Median(small.Select(s => s.BytesPerCall));
        }

        return ratios;
    }

    private static double Throughput(Sample ours, Sample theirs) => ours.CallsPerSecond / theirs.CallsPerSecond;
}
