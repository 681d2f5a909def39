using System.Diagnostics;
using System.Globalization;

namespace GlooX.Bench.Soak;

/// <summary>
/// Hours in minutes: callers of two servers, of which one is killed every few seconds and comes back on the same port, and the other stays.
/// In the end no call that must not run twice may have done so, each that was answered has run, and nothing has grown.
/// </summary>
internal static class SoakTopic
{
    public const string Verb = "soak-serve";
    private const int CallersPerServer = 8;
    private const int Samples = 16;
    private const double MaxGrowth = 1.25;
    private const double SmallGrowthMB = 30;
    private const int SmallGrowthHandles = 30;
    private static readonly string[] s_wrong = ["soak.lost", "soak.duplicated", "soak.run_without_being_sent"];

    /// <summary>The other side: serves on a port, 0 for any, and writes a journal.</summary>
    public static async Task ServeAsync(string folder, string port, string journal, CancellationToken ct)
    {
        using var target = new SoakTarget(journal);
        await using var server = new RpcServer(new RpcServerOptions { Identity = Handover.Read(folder), DrainTimeout = TimeSpan.Zero });
        server.Add(target);
        await server.StartAsync($"127.0.0.1:{port}", ct);
        Console.WriteLine(server.Url[(server.Url.LastIndexOf(':') + 1)..]);
        await Task.Run(Console.In.ReadToEnd, ct).WaitAsync(ct);
    }

    /// <summary>False: something was wrong; it was said.</summary>
    public static async Task<bool> RunAsync(double minutes, string? json, CancellationToken ct)
    {
        using var handover = new Handover();
        string steadyJournal = Path.Combine(handover.Folder, "steady");
        string killedJournal = Path.Combine(handover.Folder, "killed");
        await using ServerProcess steady = await StartAsync(handover, 0, steadyJournal, ct);
        ServerProcess killed = await StartAsync(handover, 0, killedJournal, ct);
        var tally = new Tally();
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(ct);
        SoakCaller[] callers = [.. Enumerable.Range(0, CallersPerServer * 2).Select(i =>
            new SoakCaller($"127.0.0.1:{(i % 2 == 0 ? steady : killed).Port}", handover.Identity, tally, i))];
        Task calling = Task.WhenAll(callers.Select(c => Task.Run(() => c.RunAsync(stop.Token), CancellationToken.None)));
        var sizes = new List<(double Memory, double Handles, double ServerMemory, double ServerHandles)>();
        var faults = new List<string>();
        int kills = 0;
        TimeSpan whole = TimeSpan.FromMinutes(minutes);
        var random = new Random(1);
        await using RpcClient asking = new RpcClient($"127.0.0.1:{steady.Port}", new RpcClientOptions { Identity = handover.Identity });
        ISoak soak = asking.As<ISoak>();
        Console.WriteLine($"{callers.Length} callers of two servers for {minutes.ToString(CultureInfo.InvariantCulture)} minutes, one of them killed every 1 to 4 s; memory in MB after a collection");
        Console.WriteLine();
        Console.WriteLine($"{"minute",8} {"calls",10} {"failed",8} {"cancelled",10} {"kills",6} {"client MB",10} {"handles",8} {"server MB",10} {"handles",8}");
        long start = Stopwatch.GetTimestamp();
        try
        {
            while (Stopwatch.GetElapsedTime(start) is var elapsed && elapsed < whole)
            {
                if (await Task.WhenAny(calling, Task.Delay(TimeSpan.FromSeconds(1 + (3 * random.NextDouble())), ct)) == calling)
                {
                    break;
                }

                await killed.DisposeAsync();
                kills++;
                killed = await StartAsync(handover, killed.Port, killedJournal, ct);
                if (elapsed >= whole * sizes.Count / Samples)
                {
                    (long resident, int handles) = ProcessSize.Read();
                    (long serverResident, int serverHandles) = await soak.SizeAsync();
                    sizes.Add((resident / 1e6, handles, serverResident / 1e6, serverHandles));
                    Console.WriteLine(string.Create(
                        CultureInfo.InvariantCulture,
                        $"{elapsed.TotalMinutes,8:F1} {callers.Sum(c => c.Calls),10} {callers.Sum(c => c.Failed),8} {callers.Sum(c => c.Cancelled),10} {kills,6} {resident / 1e6,10:F0} {handles,8} {serverResident / 1e6,10:F0} {serverHandles,8}"));
                }
            }

            await stop.CancelAsync();
            await calling.WaitAsync(TimeSpan.FromMinutes(2), ct);
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            faults.Add($"a caller failed: {e}");
        }
        finally
        {
            await killed.DisposeAsync();
        }

        await steady.DisposeAsync();
        Dictionary<string, long> counts = tally.Compare([steadyJournal, killedJournal]);
        faults.AddRange(s_wrong.Where(n => counts[n] > 0).Select(n => $"{n} is {counts[n]}"));
        double memory = Growth("the client's memory", sizes.ConvertAll(s => s.Memory), SmallGrowthMB, faults);
        double handleGrowth = Growth("the client's handles", sizes.ConvertAll(s => s.Handles), SmallGrowthHandles, faults);
        double serverMemory = Growth("the server's memory", sizes.ConvertAll(s => s.ServerMemory), SmallGrowthMB, faults);
        double serverHandleGrowth = Growth("the server's handles", sizes.ConvertAll(s => s.ServerHandles), SmallGrowthHandles, faults);
        Console.WriteLine();
        Report.Print(
            new(counts.Select(c => KeyValuePair.Create(c.Key, (double)c.Value)), StringComparer.Ordinal)
            {
                ["soak.calls"] = callers.Sum(c => c.Calls),
                ["soak.kills"] = kills,
                ["soak.client_memory_growth"] = memory,
                ["soak.client_handle_growth"] = handleGrowth,
                ["soak.server_memory_growth"] = serverMemory,
                ["soak.server_handle_growth"] = serverHandleGrowth,
            },
            json);
        foreach (string fault in faults)
        {
            await Console.Error.WriteLineAsync($"wrong: {fault}");
        }

        return faults.Count == 0;
    }

    /// <summary>The last quarter beside the second: the first is spent on getting warm.</summary>
    private static double Growth(string what, List<double> values, double small, List<string> faults)
    {
        int quarter = values.Count / 4;
        if (quarter == 0)
        {
            return 1;
        }

        double before = Harness.Median(values[quarter..(quarter * 2)]);
        double after = Harness.Median(values[^quarter..]);
        if (after > before * MaxGrowth && after > before + small)
        {
            faults.Add(string.Create(CultureInfo.InvariantCulture, $"{what} grew from {before:F0} to {after:F0}"));
        }

        return after / before;
    }

    private static Task<ServerProcess> StartAsync(Handover handover, int port, string journal, CancellationToken ct) =>
        ServerProcess.StartAsync("the server of the soak", [Verb, handover.Folder, port.ToString(CultureInfo.InvariantCulture), journal], ct);
}
