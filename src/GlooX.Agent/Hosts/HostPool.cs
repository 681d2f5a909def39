using System.ComponentModel;
using System.Net.Sockets;
using GlooX.Bundles;
using GlooX.Contracts;
using GlooX.Processes;
using GlooX.Workers;
using Microsoft.Extensions.Logging;

namespace GlooX.Hosts;

/// <summary>
/// Keeps hosts started and warm, as many as <see cref="PoolRule"/> says. Each is used once. When the pool is empty a host is started at
/// once, cold; the pool refills one by one in a <see cref="BackgroundLoop"/>, once no spawn has been seen for a moment; a host that does
/// not start is logged and tried again after a pause. A host may have the assemblies of one payload loaded: a spawn of that payload takes
/// this host first, others take it last. Thread-safe.
/// </summary>
internal sealed partial class HostPool : IAsyncDisposable
{
    private const int MaxPrepared = 16;
    private static readonly TimeSpan s_warmTimeout = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_quiet = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan s_latest = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(5);
    private readonly PoolRule _rule;
    private readonly Func<long> _free;
    private readonly AgentWorkspace _workspace;
    private readonly ILogger _logger;
    private readonly TimeProvider _time;
    private readonly Lock _lock = new();
    private readonly List<Host> _warm = [];
    private readonly List<(string Assembly, BundleLease Files)> _prepared = []; // the one that was used last comes first
    private readonly SemaphoreSlim _changed = new(0, 1);
    private readonly bool _isKept;
    private readonly BackgroundLoop _loop;
    private bool _isDisposed;
    private TimeSpan _lastUse;
    private int _starting;

    /// <param name="rule">How many to keep; with a least of 0: none.</param>
    /// <param name="launching">How they are started.</param>
    /// <param name="workspace">Where their logs and folders are.</param>
    /// <param name="free">The memory that a new process could be promised.</param>
    /// <param name="logger">Hears of hosts that do not start.</param>
    /// <param name="time">By what spawns are counted.</param>
    public HostPool(PoolRule rule, LaunchRule launching, AgentWorkspace workspace, Func<long> free, ILogger logger, TimeProvider time)
    {
        (_rule, Launching, _workspace, _free, _logger, _time) = (rule, launching, workspace, free, logger, time);
        _isKept = rule.Least > 0 && OperatingSystem.IsLinux(); // elsewhere no process can be started
        _lastUse = Now() - s_quiet;
        _loop = new BackgroundLoop("warm hosts", KeepAsync, logger);
    }

    /// <summary>Begins to keep hosts.</summary>
    /// <returns>This pool.</returns>
    public HostPool Start()
    {
        if (_isKept)
        {
            _loop.Start();
        }

        return this;
    }

    public LaunchRule Launching { get; }

    /// <summary>How many are warm now.</summary>
    public int Count => Counted(static _ => true);

    /// <summary>How many of them have a payload loaded.</summary>
    public int PreparedCount => Counted(static h => h.Prepared.Length > 0);

    /// <summary>A warm host, or a cold one that is just starting.</summary>
    /// <param name="assembly">What it is to run.</param>
    /// <param name="request">What is asked; it may need a cold host.</param>
    /// <param name="user">As whom it runs; null: as this process's user.</param>
    /// <exception cref="IOException">It could not be started.</exception>
    /// <exception cref="Win32Exception">The system could not start it.</exception>
    /// <exception cref="PlatformNotSupportedException">Not Linux.</exception>
    public Host Take(string assembly, SpawnRequest request, OtherUser? user)
    {
        lock (_lock)
        {
            _lastUse = Now();
            _rule.Spawned(_lastUse);
            _starting++;
            if (_prepared.FindIndex(p => p.Assembly == assembly) is var at and > 0)
            {
                (string Assembly, BundleLease Files) used = _prepared[at];
                _prepared.RemoveAt(at);
                _prepared.Insert(0, used);
            }

            while (!request.NeedsColdHost && _warm.OrderBy(h => h.Prepared == assembly ? 0 : h.Prepared.Length == 0 ? 1 : 2)
                .FirstOrDefault() is { } host)
            {
                _warm.Remove(host);
                if (!host.Process.Exited.IsCompleted)
                {
                    return host;
                }

                host.Discard();
            }
        }

        try
        {
            return Start(warm: false, request.Options.KeepTmpDir, request.Environment, user);
        }
        catch
        {
            Used();
            throw;
        }
    }

    /// <summary>The spawn that took a host is over, well or not: another may take its place in the pool.</summary>
    public void Used()
    {
        lock (_lock)
        {
            _starting--;
            _lastUse = Now();
        }

        Wake();
    }

    /// <summary>
    /// From now on keeps a host that has a payload loaded, as far as the most hosts allow; what was used last counts first.
    /// </summary>
    /// <param name="assembly">Its path.</param>
    /// <param name="files">Its files, held as long as the pool wants them.</param>
    public void Prepare(string assembly, BundleLease files)
    {
        lock (_lock)
        {
            if (!_isKept || _isDisposed || _prepared.Exists(p => p.Assembly == assembly))
            {
                files.Dispose();
                return;
            }

            _prepared.Insert(0, (assembly, files));
            foreach ((_, BundleLease old) in _prepared.Skip(MaxPrepared))
            {
                old.Dispose();
            }

            _prepared.RemoveRange(Math.Min(MaxPrepared, _prepared.Count), Math.Max(0, _prepared.Count - MaxPrepared));
        }

        Wake();
    }

    public async ValueTask DisposeAsync()
    {
        Host[] warm;
        lock (_lock)
        {
            _isDisposed = true; // a host that becomes warm from here on is ended by the loop
            warm = [.. _warm];
            _warm.Clear();
            _prepared.ForEach(static p => p.Files.Dispose());
            _prepared.Clear();
        }

        await _loop.DisposeAsync().ConfigureAwait(false);
        _changed.Dispose();
        await Task.WhenAll(warm.Select(static h => h.EndAsync())).ConfigureAwait(false);
    }

    /// <summary>A cold host for a process that is started again: its id, its log and its folder are known.</summary>
    /// <exception cref="IOException">It could not be started.</exception>
    /// <exception cref="Win32Exception">The system could not start it.</exception>
    public Host StartAgain(string id, string log, SpawnRequest request, OtherUser? user) =>
        Start(warm: false, id, log, request.Options.TmpDir, request.Environment, user);

    private Host Start(bool warm, bool keepFolder, Dictionary<string, string> variables, OtherUser? user)
    {
        (string id, string log, string folder) = _workspace.New(keepFolder);
        try
        {
            return Start(warm, id, log, folder, variables, user);
        }
        catch
        {
            _workspace.Remove(folder);
            _workspace.RemoveLog(log);
            throw;
        }
    }

    private Host Start(bool warm, string id, string log, string folder, Dictionary<string, string> variables, OtherUser? user) =>
        Host.Start(_workspace, Launching, warm, id, log, folder, variables, user);

    private int Counted(Predicate<Host> which)
    {
        lock (_lock)
        {
            return _warm.Count(h => which(h));
        }
    }

    private TimeSpan Now() => _time.GetElapsedTime(0);

    // The loop may be waiting for a change, or for its restart after a failure.
    private void Wake()
    {
        lock (_lock)
        {
            if (!_isDisposed && _changed.CurrentCount == 0)
            {
                _changed.Release();
            }
        }

        _loop.Wake();
    }

    // What is to be done next: a host too many, or one too few and what it is to have loaded; neither: nothing.
    private (Host? Surplus, (string Assembly, BundleLease? Files)? Missing, bool LookAgain) Next()
    {
        long free = _free();
        lock (_lock)
        {
            foreach (Host dead in _warm.Where(static h => h.Process.Exited.IsCompleted).ToArray())
            {
                _warm.Remove(dead);
                dead.Discard();
            }

            (int any, int prepared) = _rule.Wanted(Now(), free, _prepared.Count);
            (string Assembly, BundleLease? Files)[] kept = [.. _prepared.Take(prepared)];
            int have = _warm.Count(static h => h.Prepared.Length == 0);
            bool more = _warm.Count > _rule.Least;
            Host? surplus = _warm.Find(h => h.Prepared.Length == 0 ? have > any : !Array.Exists(kept, p => p.Assembly == h.Prepared));
            if (surplus is not null)
            {
                _warm.Remove(surplus);
                return (surplus, null, more);
            }

            (string Assembly, BundleLease? Files) unprepared = Array.Find(kept, p => !_warm.Exists(h => h.Prepared == p.Assembly));
            return have >= Math.Min(any, _rule.Least) && unprepared.Files is not null ? (null, unprepared, more)
                : have < any ? (null, ("", null), more)
                : (null, null, more);
        }
    }

    // Getting a host warm takes half a second of a processor: the spawn that emptied the pool, and its first calls, come first. While as
    // many start as there are processors, it would only hold them up, however long that goes on.
    private async Task QuietAsync(CancellationToken ct)
    {
        TimeSpan latest = Now() + s_latest;
        while (true)
        {
            TimeSpan now = Now(), left;
            bool isBusy;
            lock (_lock)
            {
                left = _lastUse + s_quiet - now;
                isBusy = _starting >= Environment.ProcessorCount;
            }

            if (!isBusy && (left <= TimeSpan.Zero || now >= latest))
            {
                return;
            }

            await Task.Delay(isBusy ? s_quiet : left < latest - now ? left : latest - now, ct).ConfigureAwait(false);
        }
    }

    private async Task KeepAsync(CancellationToken ct)
    {
        while (true)
        {
            (Host? surplus, (string Assembly, BundleLease? Files)? missing, bool lookAgain) = Next();
            if (surplus is not null)
            {
                await surplus.EndAsync().ConfigureAwait(false);
            }
            else if (missing is var (assembly, files))
            {
                TimeSpan since = Now();
                await QuietAsync(ct).ConfigureAwait(false);
                await WarmAsync(assembly, files, since, ct).ConfigureAwait(false);
            }
            else
            {
                // Hosts that are too many are looked for only while there are more than the least.
                await _changed.WaitAsync(lookAgain ? s_look : Timeout.InfiniteTimeSpan, ct).ConfigureAwait(false);
            }
        }
    }

    /// <exception cref="IOException">The host could not be started, ended early, or was not warm in time.</exception>
    /// <exception cref="Win32Exception">The system could not start the host.</exception>
    private async Task WarmAsync(string assembly, BundleLease? files, TimeSpan since, CancellationToken ct)
    {
        Host host = Start(warm: true, keepFolder: false, [], user: null);
        string? fault = null, spoiled = null; // by the payload, not by what hosts need
        try
        {
            bool lowered = Launching.Launcher == ProcessLauncher.Local;
            if (lowered)
            {
                LinuxPriority.Reduce(host.Process.Pid);
            }

            using var timeout = new CancellationTokenSource(s_warmTimeout, _time);
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct, timeout.Token);
            fault = await FaultAsync(host, null, limit.Token).ConfigureAwait(false);
            if (fault is null && files is not null)
            {
                spoiled = await FaultAsync(host, Assignment.ToPrepare(assembly, files.LockFile), limit.Token).ConfigureAwait(false);
            }

            fault ??= lowered && spoiled is null && !LinuxPriority.Restore(host.Process.Pid) ? "could not be given its priority back"
                : null;
            if (fault is null && spoiled is null && TryKeep(host with { Prepared = assembly }, since))
            {
                return;
            }

            host.Process.KillAll();
            ExitStatus exit = await host.Process.Exited.ConfigureAwait(false);
            fault = fault is null ? null : $"a warm host {fault}; it ended with {exit}{ChildOutput.LastLines(host.Log)}";
        }
        catch
        {
            await host.EndAsync().ConfigureAwait(false);
            throw;
        }

        host.Discard();
        ct.ThrowIfCancellationRequested();
        if (spoiled is not null)
        {
            Drop(assembly, spoiled);
        }
        else if (fault is not null)
        {
            throw new IOException(fault);
        }
    }

    // Sends an assignment, if there is one, and waits until the host reports that it is ready. Null: it is.
    private static async Task<string?> FaultAsync(Host host, Assignment? assignment, CancellationToken ct)
    {
        try
        {
            if (assignment is not null)
            {
                await host.Process.Control!.SendAsync(assignment, ct).ConfigureAwait(false);
            }

            HostReport? report = await host.Process.Control!.ReceiveAsync(ControlFormat.ReadReport, ct).ConfigureAwait(false);
            return report is { Ready: true } ? null : report?.Reason ?? "ended early";
        }
        catch (SocketException)
        {
            return "ended early";
        }
        catch (OperationCanceledException)
        {
            return $"was not ready within {s_warmTimeout.TotalSeconds:0} s";
        }
    }

    private bool TryKeep(Host host, TimeSpan since)
    {
        lock (_lock)
        {
            if (!_isDisposed)
            {
                _rule.Warmed(Now() - since);
                _warm.Add(host);
            }

            return !_isDisposed;
        }
    }

    private void Drop(string assembly, string reason)
    {
        LogNotPrepared(_logger, assembly, reason);
        lock (_lock)
        {
            foreach ((_, BundleLease files) in _prepared.Where(p => p.Assembly == assembly))
            {
                files.Dispose();
            }

            _prepared.RemoveAll(p => p.Assembly == assembly);
        }
    }

    [LoggerMessage(3004, LogLevel.Warning, "No host is kept for {Assembly}, which cannot be loaded: {Reason}")]
    private static partial void LogNotPrepared(ILogger logger, string assembly, string reason);
}
