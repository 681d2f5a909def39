using System.Collections.Concurrent;
using System.ComponentModel;
using GlooX.Slots;
using GlooX.Tls;

namespace GlooX.Spawning;

/// <summary>What is asked of an agent.</summary>
internal sealed record SpawnRequest(string Assembly, string Class, long MemoryBytes, long DiskBytes, ProcessOptions Options, int StartTimeoutMilliseconds);

/// <summary>What came of it: a process, or why there is none.</summary>
internal sealed record SpawnReply(string Id, int Pid, string Node, string Url, string Error);

/// <summary>
/// Spawns processes on this machine. Each holds its reservation exactly as long as it lives, however it ends; one that does not answer in
/// time is killed with all that it started. When the agent stops, all that do not daemonize are killed.
/// </summary>
internal sealed class Spawner(Identity identity, Ledger ledger, IMachine machine) : IAsyncDisposable
{
    private static readonly TimeSpan s_tail = TimeSpan.FromMilliseconds(50);
    private readonly ConcurrentDictionary<string, Child> _children = new(StringComparer.Ordinal);

    /// <summary>Null: it fits. Else why not.</summary>
    public async Task<SpawnReply> SpawnAsync(SpawnRequest request, string node, CancellationToken ct)
    {
        Provision need = Provision.FromBytes(request.MemoryBytes, request.DiskBytes);
        Dictionary<Reservation, Usage> used = Used();
        if (!ledger.TryReserve(need, machine.Read(), used, out Reservation? reservation, out Refusal? refusal))
        {
            return new SpawnReply("", 0, node, "", refusal.Reason);
        }

        string id = Guid.NewGuid().ToString("N")[..12];
        string log = Path.Combine(GlooXHome.CreateFolder(Path.Combine(GlooXHome.Path, "logs")), id + ".log");
        LinuxProcess process;
        try
        {
            process = LinuxProcess.Start(DotnetPath.Muxer, ["exec", Path.Combine(AppContext.BaseDirectory, "gloox-host.dll")], log);
        }
        catch (Exception e) when (e is Win32Exception or PlatformNotSupportedException)
        {
            ledger.Release(reservation);
            return new SpawnReply("", 0, node, "", $"the host process cannot be started: {e.Message}");
        }

        var child = new Child(process, reservation, request.Options.Daemonize);
        _children[id] = child;
        child.Tail = TailAsync(request.Class, log, process);
        _ = ReleaseAsync(id, child); // observed: it cannot throw, and the table holds the child until it is done
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
            limit.CancelAfter(request.StartTimeoutMilliseconds);
            await process.Control.SendAsync(new Assignment(request.Assembly, request.Class, identity.Export(), request.Options), limit.Token).ConfigureAwait(false);
            HostReport? report = await process.Control.ReceiveAsync<HostReport>(limit.Token).ConfigureAwait(false);
            if (report is { Ready: true })
            {
                return new SpawnReply(id, process.Pid, node, report.Url, "");
            }

            process.KillAll();
            ExitStatus exit = await process.Exited.ConfigureAwait(false);
            await child.Tail.ConfigureAwait(false);
            return new SpawnReply("", 0, node, "", $"{request.Class} did not start: {report?.Reason ?? $"it ended with {exit} before it was ready"}{LastLines(log)}");
        }
        catch (Exception e) when (e is OperationCanceledException or System.Net.Sockets.SocketException)
        {
            process.KillAll();
            await process.Exited.ConfigureAwait(false);
            ct.ThrowIfCancellationRequested();
            return new SpawnReply("", 0, node, "", $"{request.Class} was not ready within {request.StartTimeoutMilliseconds} ms{LastLines(log)}");
        }
    }

    public bool Kill(string id)
    {
        if (!_children.TryGetValue(id, out Child? child))
        {
            return false;
        }

        child.Process.KillAll();
        return true;
    }

    /// <summary>Null: no such process.</summary>
    public async Task<ExitStatus?> WaitAsync(string id, CancellationToken ct)
    {
        if (!_children.TryGetValue(id, out Child? child))
        {
            return null;
        }

        ExitStatus exit = await child.Process.Exited.WaitAsync(ct).ConfigureAwait(false);
        await child.Tail.WaitAsync(ct).ConfigureAwait(false);
        return exit;
    }

    public Dictionary<Reservation, Usage> Used() => _children.Values.Where(c => !c.Process.Exited.IsCompleted)
        .ToDictionary(c => c.Reservation, c => new Usage(machine.ResidentBytes(c.Process.Pid), 0));

    public async ValueTask DisposeAsync()
    {
        foreach (Child child in _children.Values.Where(c => !c.Daemonize))
        {
            child.Process.KillAll();
            await child.Process.Exited.ConfigureAwait(false);
            await child.Tail.ConfigureAwait(false);
        }
    }

    private static string LastLines(string log)
    {
        string[] lines = File.Exists(log) ? [.. File.ReadLines(log).TakeLast(10)] : [];
        return lines.Length == 0 ? "" : $"\nlast lines of its output:\n{string.Join('\n', lines)}";
    }

    // The output goes to a file, so that a process which outlives its agent can go on writing; what is new in it is shown here.
    private static async Task TailAsync(string name, string log, LinuxProcess process)
    {
        using var reader = new StreamReader(new FileStream(log, FileMode.OpenOrCreate, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete));
        bool last = false;
        while (true)
        {
            while (await reader.ReadLineAsync().ConfigureAwait(false) is { } line)
            {
                await Console.Out.WriteLineAsync($"{name} | {line}").ConfigureAwait(false);
            }

            if (last)
            {
                return;
            }

            last = await Task.WhenAny(process.Exited, Task.Delay(s_tail)).ConfigureAwait(false) == process.Exited;
        }
    }

    private async Task ReleaseAsync(string id, Child child)
    {
        await child.Process.Exited.ConfigureAwait(false);
        ledger.Release(child.Reservation);
        child.Process.Control.Dispose();
        await Task.Delay(TimeSpan.FromMinutes(5)).ConfigureAwait(false); // the exit status can be asked for a while
        _children.TryRemove(id, out _);
    }

    private sealed class Child(LinuxProcess process, Reservation reservation, bool daemonize)
    {
        public LinuxProcess Process { get; } = process;

        public Reservation Reservation { get; } = reservation;

        public bool Daemonize { get; } = daemonize;

        public Task Tail { get; set; } = Task.CompletedTask;
    }
}
