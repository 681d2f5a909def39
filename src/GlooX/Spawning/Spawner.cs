using System.Collections.Concurrent;
using System.ComponentModel;
using GlooX.Bundles;
using GlooX.Slots;
using GlooX.Tls;

namespace GlooX.Spawning;

/// <summary>What is asked of an agent.</summary>
internal sealed record SpawnRequest(string Assembly, string Class, long MemoryBytes, long DiskBytes, PlacementStrategy Strategy, ProcessOptions Options, int StartTimeoutMilliseconds, bool AllowSpawn)
{
    /// <summary>Cores and other named resources.</summary>
    public Dictionary<string, decimal> Resources { get; init; } = [];

    /// <summary>The id of the bundle with its files; the assembly is a path in it.</summary>
    public string Bundle { get; init; } = "";

    /// <summary>The agent that has the bundle.</summary>
    public string Source { get; init; } = "";

    /// <summary>Program and arguments of an executable; empty: a class.</summary>
    public string[] Command { get; init; } = [];

    /// <summary>Names this spawn, for its caller alone, who may give it up.</summary>
    public string Ticket { get; init; } = "";

    public Provision Need() => Provision.FromBytes(MemoryBytes, DiskBytes, Resources);
}

/// <summary>What came of it: a process, or why there is none; refused: another node may be asked.</summary>
internal sealed record SpawnReply(string Id, int Pid, string Node, string Url, string Error, bool Refused)
{
    /// <summary>The asked agent does not have the bundle: send it, and ask again.</summary>
    public bool NeedsBundle { get; init; }

    /// <summary>When.</summary>
    public DateTimeOffset Started { get; init; }

    public static SpawnReply Failed(string node, string error) => new("", 0, node, "", error, false);
}

/// <summary>
/// Spawns processes on this machine. Each holds its reservation exactly as long as it lives, however it ends; one that does not answer in
/// time is killed with all that it started. When the agent stops, all that do not daemonize are killed.
/// </summary>
internal sealed partial class Spawner(ChildIdentity identity, Ledger ledger, IMachine machine, HostPool hosts, AgentRoom room, ControlGroups? groups, Action changed) : IAsyncDisposable
{
    private static readonly TimeSpan s_endGrace = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_rememberExit = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan s_leaseGrace = TimeSpan.FromMinutes(1);
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource<OutlivingFolder?> _outliving = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ConcurrentDictionary<string, Child> _children = new(StringComparer.Ordinal);

    /// <summary>Reserves, starts, and waits until the process answers; nothing is left behind if it does not. An executable is only started.</summary>
    /// <param name="request">What is asked.</param>
    /// <param name="lease">Its bundle, which is given back when the process has ended.</param>
    /// <param name="node">This node.</param>
    /// <param name="ct">Gives up.</param>
    public async Task<SpawnReply> SpawnAsync(SpawnRequest request, BundleLease lease, string node, CancellationToken ct)
    {
        try
        {
            return await StartAsync(request, lease, node, ct).ConfigureAwait(false);
        }
        finally
        {
            if (!lease.IsTaken)
            {
                lease.Dispose(); // it came to no process
            }
        }
    }

    private async Task<SpawnReply> StartAsync(SpawnRequest request, BundleLease lease, string node, CancellationToken ct)
    {
        if (_stop.IsCancellationRequested)
        {
            return SpawnReply.Failed(node, $"the agent {node} is shutting down");
        }

        if (request.StartTimeoutMilliseconds <= 0)
        {
            return SpawnReply.Failed(node, $"a start timeout of {request.StartTimeoutMilliseconds} ms leaves no time to start");
        }

        CancellationToken stopping = _stop.Token;
        OutlivingFolder? outliving = await _outliving.Task.WaitAsync(ct).ConfigureAwait(false); // what runs already has its room first
        Provision need = request.Need();
        Dictionary<Reservation, Usage> used = Used();
        if (!ledger.TryReserve(need, machine.Read(), used, Now() + TimeSpan.FromMilliseconds(request.StartTimeoutMilliseconds) + s_leaseGrace, out Reservation? reservation, out Refusal? refusal))
        {
            return new SpawnReply("", 0, node, "", refusal.Reason, Refused: true);
        }

        Host host;
        try
        {
            host = request.Command.Length > 0 ? Executable.Start(request, lease, node, room, of => outliving?.ExitFile(of) ?? "/dev/null") : hosts.Take();
        }
        catch (FileNotFoundException e)
        {
            ledger.Release(reservation);
            return new SpawnReply("", 0, node, "", e.Message, Refused: true); // another node may have it
        }
        catch (Exception e) when (e is Win32Exception or PlatformNotSupportedException or IOException or UnauthorizedAccessException)
        {
            ledger.Release(reservation);
            return SpawnReply.Failed(node, $"the process cannot be started: {e.Message}");
        }

        (string id, string log, _, LinuxProcess process, _) = host;
        Guard? guard = null;
        Child child;
        try
        {
            guard = new Guard(process, need, id, log, groups, host.Folder, adopted: false, stopping);
            request = request with { Options = request.Options with { TmpDir = guard.Folder } };
            child = new Child(process, reservation, request, guard, lease, new ChildOutput(log)) { Record = Record(id, log, process, request, guard.Folder) };
            Note(outliving, child);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            process.KillAll();
            await process.Exited.ConfigureAwait(false);
            process.Control?.Dispose();
            await (guard?.EndAsync() ?? Task.CompletedTask).ConfigureAwait(false);
            Guard.RemoveFolder(host.Folder);
            ChildOutput.Delete(log);
            ledger.Release(reservation);
            hosts.Used(host);
            return SpawnReply.Failed(node, $"the process's folder or its record cannot be made: {e.Message}");
        }

        _children[id] = child;
        changed();
        child.Tail = child.Output.ShowAsync(child.Name, Until(child));
        child.Released = ReleaseAsync(id, log, child);
        if (request.Command.Length > 0)
        {
            ledger.Confirm(reservation);
            child.IsReady = true;
            return Begin(outliving, child) is { } fault ? SpawnReply.Failed(node, fault) : new SpawnReply(id, process.Pid, node, "", "", false) { Started = child.Started };
        }

        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct, _stop.Token);
            limit.CancelAfter(request.StartTimeoutMilliseconds);
            string assembly = Path.Combine(lease.Folder, request.Assembly);
            var assignment = new Assignment(assembly, lease.LockFile, request.Class, identity.Make(request).Export(), request.Options)
            {
                HeapLimitBytes = HeapLimit.Of(request.MemoryBytes),
                ExitFile = child.Record is null || outliving is null ? "" : outliving.ExitFile(id),
            };
            await process.Control!.SendAsync(assignment, limit.Token).ConfigureAwait(false);
            HostReport? report = await process.Control!.ReceiveAsync<HostReport>(limit.Token).ConfigureAwait(false);
            if (report is { Ready: true } && !ledger.Confirm(reservation))
            {
                report = new HostReport(false, "", "it was ready so late that its reservation had ended");
            }

            if (report is { Ready: true })
            {
                guard.Enforced |= report.HeapLimited ? Enforcement.HeapLimit : Enforcement.None;
                child.Url = report.Url;
                Ready(outliving, child);
                child.IsReady = true;
                return new SpawnReply(id, process.Pid, node, report.Url, "", false) { Started = child.Started };
            }

            if (report is not null)
            {
                process.KillAll(); // it said why; without a word it is ending by itself, and its exit code is the reason
            }

            ExitStatus exit = await EndAsync(process).ConfigureAwait(false);
            await child.Tail.ConfigureAwait(false);
            return SpawnReply.Failed(node, $"{child.Name} did not start: {report?.Reason ?? $"it ended with {exit} before it was ready"}{ChildOutput.LastLines(log)}");
        }
        catch (Exception e) when (child.Record is not null && e is IOException or UnauthorizedAccessException)
        {
            process.KillAll();
            await process.Exited.ConfigureAwait(false);
            return SpawnReply.Failed(node, $"{child.Name} cannot be written down, so that it would outlive its agent unknown: {e.Message}");
        }
        catch (Exception e) when (e is OperationCanceledException or System.Net.Sockets.SocketException)
        {
            process.KillAll();
            await process.Exited.ConfigureAwait(false);
            ct.ThrowIfCancellationRequested();
            if (_stop.IsCancellationRequested)
            {
                return SpawnReply.Failed(node, $"the agent {node} is shutting down");
            }

            return SpawnReply.Failed(node, $"{child.Name} was not ready within {request.StartTimeoutMilliseconds} ms{ChildOutput.LastLines(log)}");
        }
        catch
        {
            process.KillAll(); // a bug, or options that cannot be sent: nothing may be left of it
            throw;
        }
        finally
        {
            hosts.Used(host);
        }
    }

    public IReadOnlyList<ProcessInfo> List(string node) =>
        [.. _children.Where(static c => !c.Value.Process.Exited.IsCompleted && c.Value.IsReady).Select(c => c.Value.Describe(c.Key, node))];

    /// <summary>One that runs, or has ended not long ago; null: there is none.</summary>
    public ProcessInfo? Find(string id, string node) => _children.TryGetValue(id, out Child? child) && child.IsReady ? child.Describe(id, node) : null;

    /// <summary>What it wrote and writes; null: there is no such process.</summary>
    public ChildOutput? OutputOf(string id) => _children.TryGetValue(id, out Child? child) ? child.Output : null;

    /// <summary>Asks a process to end, and kills it if it does not; false: there is none.</summary>
    /// <param name="id">Which.</param>
    /// <param name="grace">How long it has; less if the agent stops.</param>
    public bool Stop(string id, TimeSpan grace)
    {
        if (!_children.TryGetValue(id, out Child? child))
        {
            return false;
        }

        child.Process.TerminateAll();
        child.Ending = Task.WhenAll(child.Ending, EndAfterAsync(child.Process, grace));
        return true;
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

    /// <summary>What each reservation uses; reservations of spawns that never came back end first.</summary>
    public Dictionary<Reservation, Usage> Used()
    {
        ledger.Expire(Now());
        return _children.Values.Where(c => !c.Process.Exited.IsCompleted).ToDictionary(c => c.Reservation, c => new Usage(machine.ResidentBytes(c.Process.Pid), c.Guard.DiskBytes));
    }

    /// <summary>No more spawns; kills all that do not daemonize, those that are starting too.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        _stopped.TrySetResult();
        _outliving.TrySetResult(null); // it never got so far
        foreach (Child child in _children.Values.Where(c => !c.Request.Options.Daemonize))
        {
            child.Process.KillAll();
            await child.Process.Exited.ConfigureAwait(false);
            await child.Tail.ConfigureAwait(false);
            await child.Released.ConfigureAwait(false);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync().ConfigureAwait(false);
        foreach (Child child in _children.Values)
        {
            await child.Released.ConfigureAwait(false); // those that go on are let go
        }

        (await _outliving.Task.ConfigureAwait(false))?.Dispose();
        _stop.Dispose();
    }

    // For leases: a clock that nobody sets.
    private static DateTimeOffset Now() => DateTimeOffset.UnixEpoch + TimeProvider.System.GetElapsedTime(0);

    // The line to a host closes a moment before the process has ended.
    private static async Task<ExitStatus> EndAsync(LinuxProcess process)
    {
        if (await Task.WhenAny(process.Exited, Task.Delay(s_endGrace)).ConfigureAwait(false) != process.Exited)
        {
            process.KillAll();
        }

        return await process.Exited.ConfigureAwait(false);
    }

    // Asked to end, it has that long.
    private async Task EndAfterAsync(LinuxProcess process, TimeSpan grace)
    {
        await Task.WhenAny(process.Exited, Task.Delay(grace, _stop.Token)).ConfigureAwait(false);
        process.KillAll();
    }

    private async Task ReleaseAsync(string id, string log, Child child)
    {
        await Until(child).ConfigureAwait(false);
        if (!child.Process.Exited.IsCompleted)
        {
            await child.Tail.ConfigureAwait(false);
            child.Process.Control?.Dispose();
            child.Lease?.Dispose();
            return; // it outlives this agent: the next one has it
        }

        await child.Guard.EndAsync().ConfigureAwait(false);
        if (child.Record is not null)
        {
            Forget(id);
        }

        ledger.Release(child.Reservation);
        child.Process.Control?.Dispose();
        child.Lease?.Dispose();
        if (!_stop.IsCancellationRequested)
        {
            changed();
            try
            {
                await Task.Delay(s_rememberExit, _stop.Token).ConfigureAwait(false); // how it ended can be asked for a while
            }
            catch (OperationCanceledException)
            {
                // the agent stops
            }
        }

        await child.Tail.ConfigureAwait(false);
        await child.Ending.ConfigureAwait(false);
        ChildOutput.Delete(log);
        _children.TryRemove(id, out _);
    }

    private sealed class Child(LinuxProcess process, Reservation reservation, SpawnRequest request, Guard guard, BundleLease? lease, ChildOutput output)
    {
        public Guard Guard { get; } = guard;

        /// <summary>Null: it holds its files by itself alone.</summary>
        public BundleLease? Lease { get; } = Take(lease);

        /// <summary>Null: it ends with this agent.</summary>
        public ReservationRecord? Record { get; set; }

        public LinuxProcess Process { get; } = process;

        public ChildOutput Output { get; } = output;

        public Reservation Reservation { get; } = reservation;

        public SpawnRequest Request { get; } = request;

        public DateTimeOffset Started { get; init; } = DateTimeOffset.UtcNow;

        public string Name => Request.Command.Length > 0 || (IsReady && Url.Length == 0) ? Request.Class : Request.Class[(Request.Class.LastIndexOf('.') + 1)..];

        /// <summary>Where it answers; empty until it does, and for executables.</summary>
        public string Url { get; set; } = "";

        /// <summary>Whether it has started as well as can be known.</summary>
        public bool IsReady { get; set; }

        /// <summary>That it is killed if it does not end when asked.</summary>
        public Task Ending { get; set; } = Task.CompletedTask;

        public Task Tail { get; set; } = Task.CompletedTask;

        public Task Released { get; set; } = Task.CompletedTask;

        public ProcessInfo Describe(string id, string node) =>
            new(id, Request.Class, Process.Pid, node, Url, Request.MemoryBytes, Request.DiskBytes, Request.Options.Daemonize, Started)
            {
                Resources = Request.Resources,
                Enforced = Guard.Enforced,
                State = Process.Exited.IsCompleted ? ProcessState.Exited : ProcessState.Running,
                Exit = Process.Exited.IsCompletedSuccessfully ? Process.Exited.Result : null,
            };

        private static BundleLease? Take(BundleLease? lease)
        {
            lease?.IsTaken = true;
            return lease;
        }
    }
}
