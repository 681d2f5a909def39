using System.Collections.Concurrent;
using System.Globalization;
using System.Net.Sockets;

namespace GlooX.Cli.Tests.Chaos;

/// <summary>
/// Three agents whose processes, and which themselves, are killed at random while they are used; some processes are started again, and outlive their
/// agents. Nobody waits in vain, every failure is told as one of GlooX's own, what is killed through the grid stays ended, and at the end nothing
/// is left: no process, no reservation, no port, no file but those that are to stay, which all are there.
/// </summary>
/// <remarks>
/// <c>GLOOX_CHAOS_SECONDS</c> says for how long (default 40), <c>GLOOX_CHAOS_SEED</c> repeats the choices of a run; its timing it cannot repeat.
/// </remarks>
[Trait("Category", "Slow")]
public sealed class ChaosTests : IAsyncLifetime
{
    private const int Workers = 4;

    // Of the scripts that are started again.
    private static readonly (double Seconds, int Code)[] s_ends = [(600, 0), (0.5, 3), (2, 0)];
    private static readonly TimeSpan s_patience = TimeSpan.FromMinutes(2);
    private readonly string _folder = Directory.CreateTempSubdirectory("gloox-c-").FullName;
    private readonly string _mark = Guid.NewGuid().ToString("N");
    private readonly ConcurrentDictionary<string, int> _known = new(StringComparer.Ordinal);
    private readonly ConcurrentBag<string> _kept = [];
    private readonly ConcurrentQueue<string> _story = new();
    private readonly List<ChaosNode> _nodes = [];
    private readonly string? _home = Environment.GetEnvironmentVariable("GLOOX_HOME");
    private readonly int _seed = Setting("GLOOX_CHAOS_SEED", Random.Shared.Next());

    private string Temporary => Path.Combine(_folder, "t");

    // Names what lost its folder between two of its starts.
    private string Lost => Path.Combine(_folder, "lost");

    public async ValueTask InitializeAsync()
    {
        Directory.CreateDirectory(Temporary);
        string mine = Path.Combine(_folder, "mine");
        Environment.SetEnvironmentVariable("GLOOX_HOME", mine);
        _ = Identity.LoadStore("127.0.0.1");
        string seen = Directory.CreateDirectory(Path.Combine(_folder, "seen")).FullName;
        string[] urls = [Shell.FreeUrl(), Shell.FreeUrl(), Shell.FreeUrl()];
        for (int i = 0; i < urls.Length; i++)
        {
            string home = Path.Combine(_folder, $"home{i}");
            Directory.CreateDirectory(home, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            foreach (string file in Directory.GetFiles(mine))
            {
                File.Copy(file, Path.Combine(home, Path.GetFileName(file)));
            }

            await File.WriteAllTextAsync(Path.Combine(_folder, $"job-{i}.sh"), $"#!/bin/sh\necho {i} $GLOOX_ID\nsleep 600\n");
            await File.WriteAllTextAsync(Path.Combine(_folder, $"again-{i}.sh"), $"""
                #!/bin/sh
                if [ -e {seen}/$GLOOX_ID ] && [ ! -e $GLOOX_TMPDIR/mine ]; then echo $GLOOX_ID >> {Lost}; fi
                touch $GLOOX_TMPDIR/mine && touch {seen}/$GLOOX_ID
                sleep {s_ends[i].Seconds}
                exit {s_ends[i].Code}

                """);
            _nodes.Add(new ChaosNode(urls[i], home, Temporary, _mark, urls[(i + 1) % urls.Length]));
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (ChaosNode node in _nodes)
        {
            await node.DisposeAsync();
        }

        foreach ((int pid, _) in ChaosProcesses.Of(_mark))
        {
            ChaosProcesses.Kill(_mark, pid);
        }

        Environment.SetEnvironmentVariable("GLOOX_HOME", _home);
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Whatever_is_killed_nobody_waits_in_vain_and_nothing_is_left()
    {
        TimeSpan duration = TimeSpan.FromSeconds(Setting("GLOOX_CHAOS_SECONDS", 40));
        TestContext.Current.TestOutputHelper!.WriteLine($"seed {_seed}, {duration.TotalSeconds} s");
        await Task.WhenAll(_nodes.Select(static n => n.StartAsync()));
        try
        {
            using var end = new CancellationTokenSource(duration);
            using var failed = CancellationTokenSource.CreateLinkedTokenSource(end.Token);
            Task[] all = [.. Enumerable.Range(0, Workers).Select(n => OrStopAllAsync(new ChaosWorker(_nodes, _mark, _folder, new Random(_seed + n), _known, _kept, _story).RunAsync(failed.Token))), OrStopAllAsync(KillAgentsAsync(failed.Token))];
            await Task.WhenAll(all);
            await AllIsKilledAsync();
            foreach (ChaosNode node in _nodes)
            {
                await node.StopAsync();
            }

            Assert.False(File.Exists(Lost), "a process was started again without its folder");
            Assert.All(_kept, static f => Assert.True(Directory.Exists(f), $"{f} was to be kept"));
            foreach (string kept in Directory.GetDirectories(Temporary, "kept-gloox-*"))
            {
                Directory.Delete(kept, recursive: true);
            }

            await NothingIsLeftAsync();

            async Task OrStopAllAsync(Task task)
            {
                try
                {
                    await task;
                }
                catch
                {
                    await failed.CancelAsync();
                    throw;
                }
            }
        }
        catch (Exception e)
        {
            string agents = string.Join("\n\n", _nodes.Select(static n => $"{n.Url}\n{n.Said}"));
            string file = Path.Combine(Path.GetTempPath(), $"gloox-chaos-{_seed}.log");
            await File.WriteAllTextAsync(file, $"{e}\n\n{string.Join('\n', _story)}\n\n{agents}\n");
            throw new InvalidOperationException($"seed {_seed}, all of it in {file}: {e.Message}", e);
        }

        TestContext.Current.TestOutputHelper!.WriteLine(string.Join('\n', _story.Select(static s => s.Split(' ', 2)[1].Split(" at ")[0]).GroupBy(static s => s).Select(static g => $"{g.Count()} times: {g.Key}")));
    }

    [Fact]
    public async Task What_a_killed_agent_leaves_is_swept_by_the_next_of_its_home_but_not_what_outlived_it()
    {
        ChaosNode node = _nodes[0];
        await node.StartAsync();
        string id;
        await using (GlooXClient client = new GlooXClient(node.Url))
        {
            string script = Path.Combine(_folder, "job-0.sh");
            await using SpawnedProcess kid = await client.SpawnAsync("Good", ChaosWorker.Payload);
            await using SpawnedProcess job = await client.SpawnAsync(script);
            await using SpawnedProcess daemon = await client.SpawnAsync(script, new SpawnOptions { Daemonize = true });
            await daemon.LogsAsync(follow: true).FirstAsync();
            id = daemon.Id;
        }

        await node.KillAsync();
        string logs = Path.Combine(node.Home, "logs");
        Assert.True(Directory.GetFiles(logs, "*.log", SearchOption.AllDirectories).Length >= 3);

        // Another of the same home, at another address.
        await using (var other = new ChaosNode(Shell.FreeUrl(), node.Home, Temporary, _mark, node.Url))
        {
            await other.StartAsync();
            await EventuallyAsync("only the daemon's files are left", () =>
            {
                string[] left = [.. Directory.GetFileSystemEntries(Temporary), .. Directory.GetFiles(logs, "*.log", SearchOption.AllDirectories).Where(f => !f.Contains(id, StringComparison.Ordinal))];
                return Task.FromResult(left.Any(f => f.Contains("dotnet-diagnostic", StringComparison.Ordinal) && !f.Contains($"-{other.Pid}-", StringComparison.Ordinal)) || left.Count(static f => f.EndsWith(".log", StringComparison.Ordinal)) > 1 ? string.Join(' ', left) : "");
            });
            Assert.Single(Directory.GetDirectories(Temporary, id, SearchOption.AllDirectories));
            await other.StopAsync();
        }

        await node.StartAsync();
        await using (GlooXClient client = new GlooXClient(node.Url))
        {
            await using SpawnedProcess? daemon = await client.AttachAsync(id);
            Assert.StartsWith("0 ", (await daemon!.LogsAsync().FirstAsync()).Text, StringComparison.Ordinal);
            await daemon.KillAsync();
        }

        await node.StopAsync();
        await NothingIsLeftAsync();
    }

    private static int Setting(string name, int other) => int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out int value) ? value : other;

    // One agent at a time, so that the others always have somebody to talk to.
    private async Task KillAgentsAsync(CancellationToken end)
    {
        var random = new Random(_seed - 1);
        while (!end.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(random.Next(1_000, 6_000), end);
            }
            catch (OperationCanceledException)
            {
                return;
            }

            ChaosNode node = _nodes[random.Next(_nodes.Count)];
            bool hard = random.Next(3) != 0;
            _story.Enqueue($"{DateTime.UtcNow:HH:mm:ss.fff} {(hard ? "kill -9 of an agent" : "end of an agent")} at {node.Url}");
            await (hard ? node.KillAsync() : node.StopAsync());
            await node.StartAsync();
            _story.Enqueue($"{DateTime.UtcNow:HH:mm:ss.fff} again an agent at {node.Url}");
        }
    }

    private async Task AllIsKilledAsync()
    {
        await using GlooXClient client = new GlooXClient(_nodes[0].Url);
        await EventuallyAsync("all agents see each other", async () => string.Join(" ", await Task.WhenAll(_nodes.Select(async n =>
        {
            await using GlooXClient at = new GlooXClient(n.Url);
            return (await at.InfoAsync()).Peers.Length == _nodes.Count - 1 ? "" : n.Url;
        }))));
        HashSet<string> asked = new(StringComparer.Ordinal);
        await EventuallyAsync("nothing runs, and nothing is reserved", async () =>
        {
            // Each once: it is ended for good.
            IReadOnlyList<ProcessInfo> all = await client.ProcessesAsync();
            foreach (ProcessInfo process in all.Where(p => asked.Add(p.Id)))
            {
                await client.KillAsync(process.Id);
            }

            NodeInfo[] infos = await Task.WhenAll(_nodes.Select(async n =>
            {
                await using GlooXClient at = new GlooXClient(n.Url);
                return await at.InfoAsync();
            }));
            return string.Join("; ", [.. all.Select(static p => $"{p.Class} {p.Id} is {p.State}"), .. infos.Where(static i => i.Utilization != 0 || i.FreeSlots != ChaosNode.Slots).Select(static i => $"{i.Url} has {i.FreeSlots} free slots, {i.Utilization:P1} is in use")]);
        });

        // Beside the agents only what waits in their pools.
        await EventuallyAsync("no process is left that nobody knows", () =>
        {
            IReadOnlyList<(int Pid, string Command)> alive = ChaosProcesses.Of(_mark);
            string[] strange = [.. alive.Where(p => _nodes.TrueForAll(n => n.Pid != p.Pid) && !p.Command.EndsWith("gloox-host.dll warm", StringComparison.Ordinal)).Select(static p => ChaosProcesses.Describe(p.Pid))];
            return Task.FromResult(strange.Length > 0 || alive.Count > 2 * _nodes.Count ? string.Join("; ", strange.Append($"{alive.Count} in all")) : "");
        });
    }

    private async Task NothingIsLeftAsync()
    {
        await EventuallyAsync("no process lives", () => Task.FromResult(string.Join("; ", ChaosProcesses.Of(_mark).Select(static p => ChaosProcesses.Describe(p.Pid)))));
        List<string> left = [.. Directory.GetFileSystemEntries(Temporary, "*", SearchOption.AllDirectories)];
        foreach (ChaosNode node in _nodes)
        {
            // What stays in a home: who it is, the files of payloads, and the peers that each agent knew.
            left.AddRange(Directory.GetFileSystemEntries(node.Home, "*", SearchOption.AllDirectories).Where(f => Path.GetRelativePath(node.Home, f) is var own && own.Contains('/') 
                && (!own.StartsWith("bundles/", StringComparison.Ordinal) || own.StartsWith("bundles/incoming/", StringComparison.Ordinal))
                && !(own.StartsWith("agents/", StringComparison.Ordinal) && (own.Count(static c => c == '/') == 1 || Path.GetFileName(own) is "lock" or "agent.db" or "agent.db-wal"))));
        }

        Assert.True(left.Count == 0, $"files are left: {string.Join(" ", left)}");
        foreach (ChaosNode node in _nodes)
        {
            using var socket = new TcpClient();
            await Assert.ThrowsAsync<SocketException>(async () => await socket.ConnectAsync("127.0.0.1", int.Parse(node.Url.Split(':')[1], CultureInfo.InvariantCulture)));
        }
    }

    private static async Task EventuallyAsync(string what, Func<Task<string>> wrong)
    {
        using var limit = new CancellationTokenSource(s_patience);
        while (await wrong() is { Length: > 0 } left && left.Trim().Length > 0)
        {
            Assert.False(limit.IsCancellationRequested, $"it never came true that {what}: {left}");
            await Task.Delay(100);
        }
    }
}
