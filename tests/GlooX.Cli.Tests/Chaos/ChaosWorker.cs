using System.Collections.Concurrent;
using System.Diagnostics;

namespace GlooX.Cli.Tests.Chaos;

/// <summary>A user of the grid who does one thing after another, each chosen by chance. What goes wrong must be said in time, and in GlooX's words.</summary>
internal sealed class ChaosWorker(IReadOnlyList<ChaosNode> nodes, string mark, string folder, Random random, ConcurrentDictionary<string, int> known, ConcurrentQueue<string> story)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_hanging = TimeSpan.FromSeconds(90);
    public static string Payload { get; } = Path.Combine(Shell.Repository, "tests/GlooX.Tests.Payload/bin/Release/net10.0/GlooX.Tests.Payload.dll");

    // As often as they stand here.
    private static readonly string[] s_actions =
    [
        "class", "class", "class", "executable", "executable", "run", "run", "daemon class", "daemon executable", "kill", "kill", "kill with grace", "kill with grace",
        "kill -9 of a child", "kill -9 of a host", "give up an executable", "give up a class", "give up a class",
    ];

    public async Task RunAsync(CancellationToken end)
    {
        while (!end.IsCancellationRequested)
        {
            ChaosNode node = nodes[random.Next(nodes.Count)];
            string name = s_actions[random.Next(s_actions.Length)];
            Func<GlooXClient, CancellationToken, Task> action = name switch
            {
                "class" => (c, ct) => SpawnAsync(c, "Good", daemon: false, ct),
                "executable" => (c, ct) => ScriptAsync(c, daemon: false, ct),
                "run" => RunToEndAsync,
                "daemon class" => (c, ct) => SpawnAsync(c, "Orphan", daemon: true, ct),
                "daemon executable" => (c, ct) => ScriptAsync(c, daemon: true, ct),
                "kill" => (c, ct) => KillAsync(c, null, ct),
                "kill with grace" => (c, ct) => KillAsync(c, TimeSpan.FromMilliseconds(random.Next(1_000)), ct),
                "kill -9 of a child" => (_, _) => KillOneAsync(),
                "kill -9 of a host" => (_, _) => KillHostAsync(),
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
        await using GlooXClient client = GlooXClient.Connect(node.Url);
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

    private async Task SpawnAsync(GlooXClient client, string name, bool daemon, CancellationToken ct)
    {
        await using SpawnedProcess process = await client.SpawnAsync(name, Payload, new SpawnOptions { Daemonize = daemon }, Strategy(), ct);
        known[process.Id] = process.Pid;
        if (!daemon)
        {
            Assert.Equal("yes!", await process.CallAsync<string>("all_well?"));
        }
    }

    private async Task ScriptAsync(GlooXClient client, bool daemon, CancellationToken ct)
    {
        string script = Path.Combine(folder, $"job-{random.Next(3)}.sh");
        await using SpawnedProcess process = await client.SpawnAsync(script, new SpawnOptions { Daemonize = daemon, Provision = new Provision("10MB", "1MB") }, Strategy(), ct);
        known[process.Id] = process.Pid;
    }

    private async Task RunToEndAsync(GlooXClient client, CancellationToken ct)
    {
        List<string> lines = [];
        ExitStatus end = await client.RunAsync("sh", ["-c", "echo one; echo two; exit 3"], line => lines.Add(line.Text), strategy: Strategy(), ct: ct);
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
    }

    private Task KillOneAsync()
    {
        if (Any() is { } id && known.TryRemove(id, out int pid))
        {
            ChaosProcesses.Kill(mark, pid);
        }

        return Task.CompletedTask;
    }

    private Task KillHostAsync()
    {
        (int Pid, string Command)[] hosts = [.. ChaosProcesses.Of(mark).Where(static p => p.Command.EndsWith("gloox-host.dll warm", StringComparison.Ordinal))];
        if (hosts.Length > 0)
        {
            ChaosProcesses.Kill(mark, hosts[random.Next(hosts.Length)].Pid);
        }

        return Task.CompletedTask;
    }

    private async Task GiveUpAsync(GlooXClient client, bool script, CancellationToken ct)
    {
        using var giveUp = CancellationTokenSource.CreateLinkedTokenSource(ct);
        giveUp.CancelAfter(random.Next(script ? 60 : 1_000));
        try
        {
            await (script ? ScriptAsync(client, daemon: random.Next(2) == 0, giveUp.Token) : SpawnAsync(client, "Good", daemon: random.Next(4) == 0, giveUp.Token));
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
