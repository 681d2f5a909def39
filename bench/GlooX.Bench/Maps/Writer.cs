using System.Diagnostics;

namespace GlooX.Bench.Maps;

/// <summary>Who sets: one at a time, or as many at once as there are callers, each with keys of its own.</summary>
internal sealed class Writer(ISharedMap map, Follower follower)
{
    public const int Callers = 64;
    public const int KeysOfCaller = 16;
    public const int KeyCount = Callers * KeysOfCaller;

    private static readonly string[] s_keys = [.. Enumerable.Range(0, KeyCount).Select(i => $"key-{i}")];

    /// <summary>The next ping goes when the other process has answered the last one.</summary>
    public async Task PingAsync(TimeSpan time, CancellationToken ct)
    {
        for (long start = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(start) < time;)
        {
            await map.SetAsync(Follower.Ping, Stamped.Now(0), ct);
            await follower.PongAsync(ct);
        }
    }

    /// <summary>When the first set went, and how many there were.</summary>
    public async Task<(long Start, long Sets)> WriteAsync(int round, TimeSpan time, CancellationToken ct)
    {
        long start = Stopwatch.GetTimestamp();
        long[] sets = await Task.WhenAll(Enumerable.Range(0, Callers).Select(caller => Task.Run(() => WriteAsync(caller, round, start, time, ct), ct)));
        return (start, sets.Sum());
    }

    public Task FillAsync(int count, CancellationToken ct) => Task.WhenAll(Enumerable.Range(0, Callers).Select(caller => Task.Run(
        async () =>
        {
            for (int i = caller; i < count; i += Callers)
            {
                await map.SetAsync($"fill-{i}", Stamped.Now(), ct);
                if (i / Callers % KeysOfCaller == 0)
                {
                    await Task.Yield();
                }
            }
        },
        ct)));

    private async Task<long> WriteAsync(int caller, int round, long start, TimeSpan time, CancellationToken ct)
    {
        long sets = 0;
        for (bool isLast = false; !isLast;)
        {
            isLast = Stopwatch.GetElapsedTime(start) >= time;
            for (int i = 0; i < KeysOfCaller; i++)
            {
                await map.SetAsync(s_keys[(caller * KeysOfCaller) + i], Stamped.Now(round, isLast), ct);
                sets++;
            }

            await Task.Yield(); // where sets are done at once, the callers take turns all the same
        }

        return sets;
    }
}
