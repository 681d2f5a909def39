using System.Diagnostics;
using System.Globalization;
using GlooX.Bench.Payload;

namespace GlooX.Bench;

/// <summary>
/// Very many processes one after the other on a grid of three: each must end with the code that it was told, and at the end nothing may be
/// left of them, neither a reservation nor a process nor a descriptor nor memory of the agents.
/// </summary>
internal static class SpawnsTopic
{
    private const int Callers = 4;
    private const int WarmHosts = 2;
    private const int Parts = 4;

    // Until here the agents get to know the work: code is compiled, pools fill.
    private const int WarmUp = 60;
    private static readonly Provision s_need = new("10MB", "1MB");

    public static async Task<bool> RunAsync(int count, string? json, CancellationToken ct)
    {
        string home = Directory.CreateTempSubdirectory("gloox-bench-home-").FullName;
        Environment.SetEnvironmentVariable("GLOOX_HOME", Path.Combine(home, "home"));
        try
        {
            await using ServerProcess first = await AgentProcess.StartAsync(WarmHosts, ct);
            await using ServerProcess second = await AgentProcess.StartAsync(WarmHosts, ct, first.Port);
            await using ServerProcess third = await AgentProcess.StartAsync(WarmHosts, ct, first.Port);
            ServerProcess[] agents = [first, second, third];
            await using GlooXClient client = new GlooXClient($"127.0.0.1:{first.Port}");
            await SpawnManyAsync(client, WarmUp, ct);
            await SettleAsync(client, agents, ct);
            List<(double Memory, double Held, double Handles)> sizes = [await SizeAsync(agents, ct)];
            (int correct, int left) = (0, 0);
            double seconds = 0;
            for (int part = 0; part < Parts; part++)
            {
                long start = Stopwatch.GetTimestamp();
                correct += await SpawnManyAsync(client, (count * (part + 1) / Parts) - (count * part / Parts), ct);
                seconds += Stopwatch.GetElapsedTime(start).TotalSeconds;
                left = await SettleAsync(client, agents, ct);
                sizes.Add(await SizeAsync(agents, ct));
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{count * (part + 1) / Parts} processes of {Callers} callers on three agents in {seconds:F0} s: the agents' private memory {sizes[^1].Memory:F0} MB, their heaps {sizes[^1].Held / 1e6:F1} MB, descriptors {sizes[^1].Handles}"));
            }

            // An agent remembers for five minutes how each process ended, and each part of it compiles its code anew when it has run often.
            (double Memory, double Held, double Handles) before = sizes[Parts / 2], after = sizes[^1];
            Report.Print(
                new(StringComparer.Ordinal)
                {
                    ["spawns.correct_exits"] = correct,
                    ["spawns.left_behind"] = left,
                    ["spawns.memory_growth"] = after.Memory / before.Memory,
                    ["spawns.memory_growth_since_warm_up"] = after.Memory / sizes[0].Memory,
                    ["spawns.held_bytes_per_process"] = (after.Held - sizes[0].Held) / count,
                    ["spawns.handle_growth"] = after.Handles / before.Handles,
                    ["spawns.per_second"] = count / seconds,
                },
                json);
            return correct == count && left == 0;
        }
        finally
        {
            Directory.Delete(home, recursive: true);
        }
    }

    private static async Task<int> SpawnManyAsync(GlooXClient client, int count, CancellationToken ct)
    {
        int next = -1;
        int correct = 0;
        await Task.WhenAll(Enumerable.Range(0, Callers).Select(async _ =>
        {
            for (int i = Interlocked.Increment(ref next); i < count; i = Interlocked.Increment(ref next))
            {
                int code = i % 200;
                await using SpawnedProcess child = await client.SpawnAsync(nameof(EchoChild), typeof(EchoChild).Assembly.Location, new SpawnOptions { Provision = s_need }, ct: ct);
                try
                {
                    await child.CallAsync<object>("end", code);
                }
                catch (RpcException e) when (e.Code == RpcError.Connection)
                {
                    // it was gone before its answer was out; with which code is what counts
                }

                if (await child.WaitForExitAsync(ct) == new ExitStatus(code, 0))
                {
                    Interlocked.Increment(ref correct);
                }
            }
        }));
        return correct;
    }

    /// <summary>Until nothing runs any more and all pools are full. How many reservations and processes are left all the same.</summary>
    private static async Task<int> SettleAsync(GlooXClient client, ServerProcess[] agents, CancellationToken ct)
    {
        foreach (ServerProcess agent in agents)
        {
            await AgentProcess.WarmAsync(agent.Pid, WarmHosts, ct);
        }

        int left = (await client.ProcessesAsync(ct)).Count;
        foreach (ServerProcess agent in agents)
        {
            await using GlooXClient its = new GlooXClient($"127.0.0.1:{agent.Port}");
            left += (await its.SlotsAsync(s_need, ct)).UsedSlots;
        }

        return left;
    }

    private static async Task<(double Memory, double Held, double Handles)> SizeAsync(ServerProcess[] agents, CancellationToken ct)
    {
        double held = 0;
        foreach (ServerProcess agent in agents)
        {
            held += await AgentProcess.CollectAsync(agent, ct);
        }

        // The least of some looks: something may just be under way.
        double memory = double.MaxValue;
        double handles = double.MaxValue;
        for (int i = 0; i < 5; i++)
        {
            await Task.Delay(1000, ct);
            memory = Math.Min(memory, agents.Sum(a => AgentProcess.Memory(a.Pid).Private));
            handles = Math.Min(handles, agents.Sum(a => Directory.GetFiles($"/proc/{a.Pid}/fd").Length));
        }

        return (memory, held, handles);
    }
}
