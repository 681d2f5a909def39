using System.Collections.Concurrent;
using System.Diagnostics;

namespace GlooX.Cli.Tests.Chaos;

/// <summary>A user of the grid who does one thing after another, each chosen by chance. What goes wrong must be said in time, and in GlooX's words.</summary>
/// <param name="nodes">The grid.</param>
/// <param name="mark">Of the run's processes.</param>
/// <param name="folder">Where the scripts are.</param>
/// <param name="random">Chooses.</param>
/// <param name="known">Process ids of what was spawned, by its id.</param>
/// <param name="kept">Gets the folders that are to stay.</param>
/// <param name="story">Gets what was done.</param>
internal sealed class ChaosWorker(
    IReadOnlyList<ChaosNode> nodes, string mark, string folder, Random random, ConcurrentDictionary<string, int> known, ConcurrentBag<string> kept, ConcurrentQueue<string> story)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_hanging = TimeSpan.FromSeconds(90);
    public static string Payload { get; } = Path.Combine(Shell.Repository, "tests/GlooX.Tests.Payload/bin/Release/net10.0/GlooX.Tests.Payload.dll");

    // As often as they stand here.
    private static readonly string[] s_actions =
    [
        "class", "class", "class", "executable", "executable", "run", "run", "daemon class", "daemon executable", "kill", "kill", "kill with grace", "kill with grace",
        "kill -9 of a child", "kill -9 of a host", "class again and again", "executable again and again", "executable again and again", "kill -9 of what runs", "kill -9 of what runs", "give up an executable", "give up a class", "give up a class",
    ];

    public async Task RunAsync(CancellationToken end)
    {
        while (!end.IsCancellationRequested)
        {
            ChaosNode node = nodes[random.Next(nodes.Count)];
            string name = s_actions[random.Next(s_actions.Length)];
            Func<GlooXClient, CancellationToken, Task> action = name switch
            {
                "class" => (c, ct) => SpawnAsync(c, "Good", new SpawnOptions { KeepTmpDir = random.Next(4) == 0 }, ct),
                "executable" => (c, ct) => ScriptAsync(c, "job", new SpawnOptions { KeepTmpDir = random.Next(4) == 0 }, ct),
                "class again and again" => (c, ct) => SpawnAsync(c, "Good", Again(), ct),
                "executable again and again" => (c, ct) => ScriptAsync(c, "again", Again(), ct),
                "run" => RunToEndAsync,
                "daemon class" => (c, ct) => SpawnAsync(c, "Orphan", new SpawnOptions { Daemonize = true }, ct),
                "daemon executable" => (c, ct) => ScriptAsync(c, "job", new SpawnOptions { Daemonize = true }, ct),
                "kill" => (c, ct) => KillAsync(c, null, ct),
                "kill with grace" => (c, ct) => KillAsync(c, TimeSpan.FromMilliseconds(random.Next(1_000)), ct),
                "kill -9 of a child" => (_, _) => KillOneAsync(),
                "kill -9 of a host" => (_, _) => KillProcessAsync(static p => p.EndsWith("gloox-host.dll warm", StringComparison.Ordinal)),
                "kill -9 of what runs" => (_, _) => KillProcessAsync(static p => p.EndsWith("gloox-host.dll", StringComparison.Ordinal) || p.EndsWith(".sh", StringComparison.Ordinal)),
                "give up an executable" => (c, ct) => GiveUpAsync(c, script: true, ct),
                _ => (c, ct) => GiveUpAsync(c, script: false, ct),
            };
            await TryAsync($"{name} at {node.Url}", node, action);
        }
    }

    private async Task TryAsync(string what, ChaosNode node, Func<GlooXClient, CancellationToken, Task> action)
    {
        long start = Stopwatch.GetTimestamp();
        string outcome = "done";
        using var limit = new CancellationTokenSource(s_patience);
        await using GlooXClient client = new GlooXClient(node.Url);
        try
        {
            await action(client, limit.Token).WaitAsync(s_hanging, CancellationToken.None);
        }
        catch (GlooXException e) when (e.Message.Length > 10)
        {
            outcome = $"{e.GetType().Name}: {e.Message.Split('\n')[0]}";
        }
        catch (Exception e)
        {
            throw new InvalidOperationException($"{what}, {Stopwatch.GetElapsedTime(start).TotalSeconds:0.0} s: {e}", e);
        }
        finally
        {
            story.Enqueue($"{DateTime.UtcNow:HH:mm:ss.fff} {what}, {Stopwatch.GetElapsedTime(start).TotalSeconds:0.00} s: {outcome}");
        }
    }

    private async Task SpawnAsync(GlooXClient client, string name, SpawnOptions options, CancellationToken ct)
    {
        await using SpawnedProcess process = await client.SpawnAsync(name, Payload, options with { Strategy = Strategy() }, ct);
        Know(process, options);
        if (name == "Good" && !options.Daemonize)
        {
            Assert.Equal("yes!", await process.CallAsync<string>("all_well?"));
        }
    }

    private async Task ScriptAsync(GlooXClient client, string name, SpawnOptions options, CancellationToken ct)
    {
        string script = Path.Combine(folder, $"{name}-{random.Next(3)}.sh");
        await using SpawnedProcess process = await client.SpawnAsync(script, options with { Provision = new Provision("10MB", "1MB"), Strategy = Strategy() }, ct);
        Know(process, options);
    }

    private void Know(SpawnedProcess process, SpawnOptions options)
    {
        known[process.Id] = process.Pid;
        if (options.KeepTmpDir)
        {
            kept.Add(process.TmpDir);
        }
    }

    // Some are given up soon, some never; some wait for their next start when somebody wants their end, or when their agent dies.
    private SpawnOptions Again()
    {
        TimeSpan pause = TimeSpan.FromMilliseconds(random.Next(10, 1_000));
        return new SpawnOptions
        {
            Daemonize = random.Next(2) == 0,
            KeepTmpDir = random.Next(6) == 0,
            Restart = new RestartPolicy
            {
                Mode = random.Next(2) == 0 ? RestartMode.OnFailure : RestartMode.Always,
                FirstPause = pause,
                LongestPause = pause * random.Next(1, 10),
                MaxRestarts = random.Next(3) == 0 ? null : random.Next(10),
            },
        };
    }

    private async Task RunToEndAsync(GlooXClient client, CancellationToken ct)
    {
        List<string> lines = [];
        ExitStatus end = await client.RunAsync("sh", ["-c", "echo one; echo two; exit 3"], line => lines.Add(line.Text), new SpawnOptions { Strategy = Strategy() }, ct);
        if (end == new ExitStatus(3, 0))
        {
            Assert.Equal(["one", "two"], lines);
        }
        else
        {
            Assert.Equal(new ExitStatus(0, 9), end); // its agent was told to end
        }
    }

    private async Task KillAsync(GlooXClient client, TimeSpan? grace, CancellationToken ct)
    {
        if (Any() is not { } id)
        {
            return;
        }

        await using SpawnedProcess? process = await client.AttachAsync(id, ct);
        if (process is null)
        {
            return; // its node is away, or has forgotten it
        }

        _ = grace is { } time ? await process.KillAsync(time, ct) : await process.KillAsync(ct);
        known.TryRemove(id, out _);
        Assert.True(await process.InfoAsync(ct) is null or { State: ProcessState.Exited }, $"{id} goes on after it was killed");
    }

    private Task KillOneAsync()
    {
        if (Any() is { } id && known.TryRemove(id, out int pid))
        {
            Kill(pid, id);
        }

        return Task.CompletedTask;
    }

    private void Kill(int pid, string what)
    {
        story.Enqueue($"{DateTime.UtcNow:HH:mm:ss.fff} killed at {pid}, {what}");
        ChaosProcesses.Kill(mark, pid);
    }

    private Task KillProcessAsync(Func<string, bool> which)
    {
        (int Pid, string Command)[] all = [.. ChaosProcesses.Of(mark).Where(p => which(p.Command))];
        if (all.Length > 0)
        {
            (int pid, string command) = all[random.Next(all.Length)];
            Kill(pid, command);
        }

        return Task.CompletedTask;
    }

    private async Task GiveUpAsync(GlooXClient client, bool script, CancellationToken ct)
    {
        using var giveUp = CancellationTokenSource.CreateLinkedTokenSource(ct);
        giveUp.CancelAfter(random.Next(script ? 60 : 1_000));
        try
        {
            SpawnOptions options = random.Next(3) == 0 ? Again() with { KeepTmpDir = false } : new SpawnOptions { Daemonize = random.Next(script ? 2 : 4) == 0 };
            await (script ? ScriptAsync(client, "job", options, giveUp.Token) : SpawnAsync(client, "Good", options, giveUp.Token));
        }
        catch (OperationCanceledException) when (giveUp.IsCancellationRequested && !ct.IsCancellationRequested)
        {
            // given up
        }
    }

    private string? Any()
    {
        string[] ids = [.. known.Keys.Order(StringComparer.Ordinal)];
        return ids.Length == 0 ? null : ids[random.Next(ids.Length)];
    }

    private PlacementStrategy Strategy() => (PlacementStrategy)random.Next(Enum.GetValues<PlacementStrategy>().Length);
}
