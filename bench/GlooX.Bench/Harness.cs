using System.Diagnostics;
using System.Globalization;
using GlooX.Bench.Peers;

namespace GlooX.Bench;

/// <summary>What one measurement window saw.</summary>
/// <param name="CallsPerSecond">Answered calls.</param>
/// <param name="P50">Median latency in µs; only measured for a single caller, else 0.</param>
/// <param name="P99">99th percentile in µs, likewise.</param>
/// <param name="CpuPerCall">CPU µs of both processes.</param>
/// <param name="BytesPerCall">Bytes that the client process allocated.</param>
internal readonly record struct Sample(double CallsPerSecond, double P50, double P99, double CpuPerCall, double BytesPerCall);

/// <summary>What is measured: how many callers do what.</summary>
/// <param name="Name">As in the figures.</param>
/// <param name="Callers">How many at once.</param>
/// <param name="Run">One caller.</param>
/// <param name="Peers">Who takes part; empty: all.</param>
internal sealed record Workload(string Name, int Callers, Func<IEchoClient, Load, int, Task> Run, params string[] Peers)
{
    public bool Has(IPeer peer) => Peers.Length == 0 || Peers.Contains(peer.Kind, StringComparer.Ordinal);
}

/// <summary>What the callers of one window share.</summary>
internal sealed class Load(int callers, bool isTimed = false)
{
    // A cache line for each caller.
    private const int Stride = 16;
    private const int MaxLatencies = 1 << 18;
    private readonly long[] _answered = new long[callers * Stride];
    private readonly long[]? _latencies = isTimed ? new long[MaxLatencies] : null;
    private int _latencyCount;
    private volatile bool _isMeasuring;
    private volatile bool _isOver;

    public int Callers => callers;

    public bool IsOver => _isOver;

    public long Now => _latencies is null ? 0 : Stopwatch.GetTimestamp();

    public void Answered(int caller, long start)
    {
        if (!_isMeasuring)
        {
            return;
        }

        _answered[caller * Stride]++;
        if (_latencies is not null && _latencyCount < MaxLatencies)
        {
            _latencies[_latencyCount++] = Stopwatch.GetTimestamp() - start;
        }
    }

    public void Measure() => _isMeasuring = true;

    public long Answers
    {
        get
        {
            long sum = 0;
            for (int i = 0; i < callers; i++)
            {
                sum += Volatile.Read(ref _answered[i * Stride]);
            }

            return sum;
        }
    }

    /// <summary>Ends the measurement, not yet the calls.</summary>
    public long Count()
    {
        _isMeasuring = false;
        return Answers;
    }

    public void End() => _isOver = true;

    /// <summary>In µs; to be asked after all callers have ended.</summary>
    public double Percentile(double fraction)
    {
        if (_latencyCount == 0)
        {
            return 0;
        }

        Array.Sort(_latencies!, 0, _latencyCount);
        return _latencies![(int)(_latencyCount * fraction)] * 1e6 / Stopwatch.Frequency;
    }
}

internal static class Harness
{
    // USER_HZ is 100 on every Linux architecture that .NET runs on.
    private const double MicrosecondsPerTick = 10_000;
    private const int MaxWindows = 30;

    /// <summary>Lets the callers run, first unmeasured for <paramref name="leadIn"/>, then measured for <paramref name="window"/>.</summary>
    public static async Task<Sample> MeasureAsync(IEchoClient client, int serverPid, Workload workload, TimeSpan leadIn, TimeSpan window, CancellationToken ct)
    {
        var load = new Load(workload.Callers, isTimed: workload.Name == RpcTopic.Sequential);
        Task all = Task.WhenAll(Enumerable.Range(0, workload.Callers).Select(caller => Task.Run(() => workload.Run(client, load, caller), ct)));
        try
        {
            await ElapseAsync(all, leadIn, ct);
            long bytes = GC.GetTotalAllocatedBytes(precise: true);
            double cpu = Cpu(serverPid) + Cpu(Environment.ProcessId);
            long start = Stopwatch.GetTimestamp();
            load.Measure();
            for (int i = 0; i < MaxWindows && load.Answers == 0; i++)
            {
                await ElapseAsync(all, window, ct); // on a busy machine a cold peer may take longer than one
            }

            long calls = load.Count();
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            cpu = Cpu(serverPid) + Cpu(Environment.ProcessId) - cpu;
            bytes = GC.GetTotalAllocatedBytes(precise: true) - bytes;
            load.End();
            await all.WaitAsync(TimeSpan.FromSeconds(10), ct);
            return calls == 0
                ? throw new InvalidOperationException($"{workload.Name}: no call was answered by the process {serverPid} within {MaxWindows} windows")
                : new Sample(calls / seconds, load.Percentile(0.5), load.Percentile(0.99), cpu / calls, (double)bytes / calls);
        }
        finally
        {
            load.End();
        }
    }

    public static double Median(IEnumerable<double> values)
    {
        double[] sorted = [.. values.Order()];
        int middle = sorted.Length / 2;
        return sorted.Length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    // Callers end early only by failing.
    private static async Task ElapseAsync(Task callers, TimeSpan time, CancellationToken ct)
    {
        if (await Task.WhenAny(callers, Task.Delay(time, ct)) == callers)
        {
            await callers;
        }

        ct.ThrowIfCancellationRequested();
    }

    // User and system time are fields 14 and 15; the name before them may hold blanks and brackets.
    private static double Cpu(int pid)
    {
        string stat = File.ReadAllText($"/proc/{pid}/stat");
        string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
        return (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) * MicrosecondsPerTick;
    }
}
