using System.Diagnostics;

namespace GlooX.Bench.Maps;

/// <summary>What one round of one map saw.</summary>
/// <param name="P50">Median time from a set to its callback in another process, in µs.</param>
/// <param name="P99">99th percentile of it.</param>
/// <param name="SetsPerSecond">Until both other processes have the last value of each key.</param>
/// <param name="Told">The share of these sets that the other process was told one by one.</param>
internal readonly record struct Round(double P50, double P99, double SetsPerSecond, double Told);

/// <summary>Three processes that share a map: the first writes, all follow, the second answers pings.</summary>
internal sealed class Trio : IAsyncDisposable
{
    private readonly List<ServerProcess> _all = [];
    private readonly string _kind;
    private readonly Handover _handover;
    private int _port;

    private Trio(string kind, Handover handover) => (_kind, _handover) = (kind, handover);

    public string Kind => _kind;

    private ServerProcess Writer => _all[0];

    private ServerProcess Second => _all[1];

    private ServerProcess Third => _all[2];

    /// <param name="kind">Which map.</param>
    /// <param name="port">Of its server; 0: it has none, and the first process is asked by the others.</param>
    /// <param name="handover">Who they all are.</param>
    /// <param name="ct">Gives up.</param>
    public static async Task<Trio> StartAsync(string kind, int port, Handover handover, CancellationToken ct)
    {
        var trio = new Trio(kind, handover) { _port = port };
        try
        {
            for (int i = 0; i < 3; i++)
            {
                ServerProcess process = await MapProcess.StartAsync(kind, handover, ct);
                trio._all.Add(process);
                trio._port = (int)(await process.AskAsync($"connect {trio._port}", ct))[0];
                await process.AskAsync($"follow {(i == 1 ? 1 : 0)}", ct);
            }

            return trio;
        }
        catch
        {
            await trio.DisposeAsync();
            throw;
        }
    }

    public async Task<(double P50, double P99)> LatencyAsync(double seconds, CancellationToken ct)
    {
        await Writer.AskAsync(FormattableString.Invariant($"ping {seconds}"), ct);
        double[] latencies = await Second.AskAsync("latencies", ct);
        return latencies[2] > 0 ? (latencies[0], latencies[1]) : throw new InvalidOperationException($"{_kind}: no ping has arrived");
    }

    public async Task<(double SetsPerSecond, double Told)> ThroughputAsync(int round, double seconds, CancellationToken ct)
    {
        Task<double[]> second = Second.AskAsync($"all {round}", ct);
        Task<double[]> third = Third.AskAsync($"all {round}", ct);
        double[] written = await Writer.AskAsync(FormattableString.Invariant($"write {round} {seconds}"), ct);
        double[][] arrived = await Task.WhenAll(second, third);
        TimeSpan time = Stopwatch.GetElapsedTime((long)written[0], (long)arrived.Max(a => a[0]));
        return (written[1] / time.TotalSeconds, arrived.Average(a => a[1]) / written[1]);
    }

    /// <summary>Adds keys, and says by how many bytes each has grown the heap of the second process.</summary>
    public async Task<double> FillAsync(int count, int total, CancellationToken ct)
    {
        double before = (await Second.AskAsync("heap", ct))[0];
        await Writer.AskAsync($"fill {count}", ct);
        await Second.AskAsync($"hold {total}", ct);
        return ((await Second.AskAsync("heap", ct))[0] - before) / count;
    }

    /// <summary>Percent of one core that the second process uses while nothing happens.</summary>
    public async Task<double> IdleAsync(double seconds, CancellationToken ct) =>
        (await Second.AskAsync(FormattableString.Invariant($"idle {seconds}"), ct))[0];

    /// <summary>Seconds that a new process, which runs already, needs to take part, and to hold everything.</summary>
    public async Task<(double Joined, double Total)> CatchUpAsync(int total, CancellationToken ct)
    {
        await using ServerProcess late = await MapProcess.StartAsync(_kind, _handover, ct);
        double[] times = await late.AskAsync($"catch-up {_port} {total}", ct);
        await late.AskAsync("leave", ct);
        return (times[0], times[1]);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (ServerProcess process in _all)
        {
            await process.DisposeAsync();
        }
    }
}
