using System.Diagnostics;

namespace GlooX.Bench.Maps;

/// <summary>What one round of one map saw.</summary>
/// <param name="P50">Median time from a set to its callback in another process, in µs.</param>
/// <param name="P99">99th percentile of it.</param>
/// <param name="SetsPerSecond">Until both other processes have the last value of each key.</param>
/// <param name="Told">The share of these sets that the other process was told one by one.</param>
internal readonly record struct Round(double P50, double P99, double SetsPerSecond, double Told);

/// <summary>Three processes that share a map: the first writes, all follow, the second answers pings.</summary>
/// <param name="kind">Which map.</param>
/// <param name="port">Of its server; 0: it has none, and the first process is asked by the others.</param>
/// <param name="handover">Who they all are.</param>
internal sealed class Trio(string kind, int port, Handover handover) : IAsyncDisposable
{
    private const int IdleWindows = 5;
    private readonly List<ServerProcess> _all = [];
    private int _port = port;

    public string Kind => kind;

    private ServerProcess Writer => _all[0];

    private ServerProcess Second => _all[1];

    private ServerProcess Third => _all[2];

    public async Task StartAsync(CancellationToken ct)
    {
        for (int i = 0; i < 3; i++)
        {
            _all.Add(await MapProcess.StartAsync(kind, handover, ct));
            _port = (int)(await _all[i].AskAsync($"connect {_port}", ct))[0];
            await _all[i].AskAsync($"follow {(i == 1 ? 1 : 0)}", ct);
        }
    }

    public async Task<(double P50, double P99)> LatencyAsync(double seconds, CancellationToken ct)
    {
        await Writer.AskAsync(FormattableString.Invariant($"ping {seconds}"), ct);
        double[] latencies = await Second.AskAsync("latencies", ct);
        return latencies[2] > 0 ? (latencies[0], latencies[1]) : throw new InvalidOperationException($"{kind}: no ping has arrived");
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

    /// <summary>
    /// Percent of one core that the second process uses while nothing happens, in each of some windows. The compiler goes on for a while
    /// with what was called often before.
    /// </summary>
    public async Task<double[]> IdleAsync(double seconds, CancellationToken ct)
    {
        double[] percent = new double[IdleWindows];
        for (int i = 0; i < percent.Length; i++)
        {
            percent[i] = (await Second.AskAsync(FormattableString.Invariant($"idle {seconds}"), ct))[0];
        }

        return percent;
    }

    /// <summary>Seconds from when a new process, which runs already, begins to take part until it holds everything: the median of some.</summary>
    public async Task<double> CatchUpAsync(int times, int total, CancellationToken ct)
    {
        List<double> seconds = [];
        for (int i = 0; i < times; i++)
        {
            await using ServerProcess late = await MapProcess.StartAsync(kind, handover, ct);
            seconds.AddRange(await late.AskAsync($"catch-up {_port} {total}", ct));
            await late.AskAsync("leave", ct);
        }

        return Harness.Median(seconds);
    }

    public async ValueTask DisposeAsync()
    {
        foreach (ServerProcess process in _all)
        {
            await process.DisposeAsync();
        }
    }
}
