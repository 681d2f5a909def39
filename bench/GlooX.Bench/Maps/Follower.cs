using System.Diagnostics;

namespace GlooX.Bench.Maps;

/// <summary>What one process has received: how long pings took, and how far a round of many sets has come.</summary>
internal sealed class Follower
{
    public const string Ping = "ping";
    public const string Pong = "pong";
    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _pongs = new(0);
    private readonly List<double> _latencies = [];
    private readonly Dictionary<int, Arrival> _rounds = [];

    /// <summary>Runs for each ping, once its time is taken.</summary>
    public Action? Pinged { get; init; }

    public void Received(string key, byte[] value)
    {
        long now = Stopwatch.GetTimestamp();
        Stamped stamped = Stamped.Read(value);
        switch (key)
        {
            case Ping when stamped.Round >= 0 && Pinged is { } pinged:
                lock (_gate)
                {
                    _latencies.Add(Stopwatch.GetElapsedTime(stamped.SetAt, now).TotalMicroseconds);
                }

                pinged();
                break;
            case Pong:
                _pongs.Release();
                break;
            default:
                Round(stamped.Round).Count(stamped.IsLast, now);
                break;
        }
    }

    public async Task PongAsync(CancellationToken ct)
    {
        if (!await _pongs.WaitAsync(TimeSpan.FromSeconds(10), ct))
        {
            throw new TimeoutException("a ping was not answered within 10 s");
        }
    }

    /// <summary>The pings since the last time, in µs.</summary>
    public (double P50, double P99, int Count) TakeLatencies()
    {
        lock (_gate)
        {
            double[] sorted = [.. _latencies.Order()];
            _latencies.Clear();
            return sorted.Length == 0 ? default : (sorted[sorted.Length / 2], sorted[(int)(sorted.Length * 0.99)], sorted.Length);
        }
    }

    /// <summary>When the last value of the last key of a round was there, and how many sets of the round were told.</summary>
    public Task<(long At, long Received)> AllAsync(int round, CancellationToken ct) => Round(round).All.Task.WaitAsync(TimeSpan.FromSeconds(60), ct);

    private Arrival Round(int round)
    {
        lock (_gate)
        {
            return _rounds.TryGetValue(round, out Arrival? arrival) ? arrival : _rounds[round] = new Arrival();
        }
    }

    private sealed class Arrival
    {
        private long _received;
        private int _last;

        public TaskCompletionSource<(long At, long Received)> All { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        // Called by one thread at a time: sets are told in order.
        public void Count(bool isLast, long now)
        {
            _received++;
            if (isLast && ++_last == Writer.KeyCount)
            {
                All.TrySetResult((now, _received));
            }
        }
    }
}
