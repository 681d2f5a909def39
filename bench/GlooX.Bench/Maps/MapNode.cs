using System.Diagnostics;

namespace GlooX.Bench.Maps;

/// <summary>What a process of a shared map does when it is told to.</summary>
internal sealed class MapNode(string kind, Identity identity) : IAsyncDisposable
{
    private ISharedMap? _map;
    private Follower _follower = new();
    private Writer? _writer;

    public async Task<double[]> DoAsync(string what, double[] with, CancellationToken ct)
    {
        switch (what)
        {
            case "connect":
                _map = await SharedMap.ConnectAsync(kind, identity, (int)with[0], ct);
                return [_map.Port];
            case "follow":
                _follower = with[0] > 0 ? new Follower { Pinged = () => _ = PongAsync(ct) } : new Follower();
                await _map!.FollowAsync(_follower.Received, ct);
                _writer = new Writer(_map, _follower);
                return [];
            case "ping":
                await _writer!.PingAsync(TimeSpan.FromSeconds(with[0]), ct);
                return [];
            case "latencies":
                (double p50, double p99, int count) = _follower.TakeLatencies();
                return [p50, p99, count];
            case "write":
                (long start, long sets) = await _writer!.WriteAsync((int)with[0], TimeSpan.FromSeconds(with[1]), ct);
                return [start, sets];
            case "all":
                (long at, long received) = await _follower.AllAsync((int)with[0], ct);
                return [at, received];
            case "fill":
                await _writer!.FillAsync((int)with[0], ct);
                return [];
            case "hold":
                await _map!.HoldAsync((int)with[0], ct);
                return [];
            case "catch-up":
                return await CatchUpAsync((int)with[0], (int)with[1], ct);
            case "leave":
                await DisposeAsync();
                return [];
            case "heap":
                return [GC.GetTotalMemory(forceFullCollection: true)];
            case "idle":
                TimeSpan before = Environment.CpuUsage.TotalTime;
                long since = Stopwatch.GetTimestamp();
                await Task.Delay(TimeSpan.FromSeconds(with[0]), ct);
                return [100 * (Environment.CpuUsage.TotalTime - before) / Stopwatch.GetElapsedTime(since)];
            default:
                throw new ArgumentException($"nothing is called '{what}'", nameof(what));
        }
    }

    public async ValueTask DisposeAsync()
    {
        if (_map is { } map)
        {
            _map = null;
            await map.DisposeAsync();
        }
    }

    /// <summary>How long this new process takes until it holds all that the others do.</summary>
    private async Task<double[]> CatchUpAsync(int port, int count, CancellationToken ct)
    {
        long start = Stopwatch.GetTimestamp();
        _map = await SharedMap.ConnectAsync(kind, identity, port, ct);
        await _map.HoldAsync(count, ct);
        return [Stopwatch.GetElapsedTime(start).TotalSeconds];
    }

    private async Task PongAsync(CancellationToken ct)
    {
        try
        {
            await _map!.SetAsync(Follower.Pong, Stamped.Now(), ct);
        }
        catch (Exception e)
        {
            await Console.Error.WriteLineAsync($"{kind}: a ping could not be answered: {e.Message}");
        }
    }
}
