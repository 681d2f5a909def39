using System.Collections.Concurrent;
using System.ComponentModel;
using GlooX.Tls;
using Microsoft.Extensions.Logging;

namespace GlooX.Spawning;

/// <summary>A host: a process that waits for its one assignment.</summary>
/// <param name="Id">Names it.</param>
/// <param name="Log">Its standard output.</param>
/// <param name="Folder">Its own.</param>
/// <param name="Process">It.</param>
/// <param name="Warm">Whether it comes from the pool.</param>
internal sealed record Host(string Id, string Log, string Folder, ChildProcess Process, bool Warm);

/// <summary>
/// Keeps a few hosts started and warm. Each is used once. When the pool is empty a host is started at once, cold; the pool refills one
/// by one in the background, once no spawn has been seen for a moment, and gives up after some that would not start.
/// </summary>
internal sealed partial class HostPool : IAsyncDisposable
{
    private const int MaxFailures = 3;
    private static readonly TimeSpan s_warmTimeout = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan s_quiet = TimeSpan.FromMilliseconds(250);
    private static readonly TimeSpan s_latest = TimeSpan.FromSeconds(2);
    private readonly AgentRoom _room;
    private readonly ILogger _logger;
    private readonly ConcurrentQueue<Host> _warm = new();
    private readonly SemaphoreSlim _wanted = new(0);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _filling;
    private long _lastUse;

    /// <param name="size">How many to keep; 0: none.</param>
    /// <param name="launcher">Starts them.</param>
    /// <param name="room">Where their logs and folders are.</param>
    /// <param name="logger">Hears of hosts that do not start.</param>
    public HostPool(int size, IProcessLauncher launcher, AgentRoom room, ILogger logger)
    {
        (Launcher, _room, _logger) = (launcher, room, logger);
        if (size > 0)
        {
            _wanted.Release(size);
        }

        _filling = size > 0 ? Task.Run(FillAsync) : Task.CompletedTask;
    }

    public IProcessLauncher Launcher { get; }

    /// <summary>How many are warm now.</summary>
    public int Count => _warm.Count;

    /// <summary>A warm host, or a cold one that is just starting.</summary>
    /// <param name="keepFolder">Whether its folder is to be kept; it is made for that, so the host is a cold one.</param>
    /// <exception cref="IOException">It could not be started.</exception>
    /// <exception cref="Win32Exception">The system could not start it.</exception>
    /// <exception cref="PlatformNotSupportedException">Not Linux.</exception>
    public Host Take(bool keepFolder)
    {
        Volatile.Write(ref _lastUse, Environment.TickCount64);
        while (!keepFolder && _warm.TryDequeue(out Host? host))
        {
            if (!host.Process.Exited.IsCompleted)
            {
                return host;
            }

            Discard(host);
            _wanted.Release();
        }

        return Start(warm: false, keepFolder);
    }

    /// <summary>The spawn that took this host is over, well or not: another may take its place in the pool.</summary>
    public void Used(Host host)
    {
        Volatile.Write(ref _lastUse, Environment.TickCount64);
        if (host.Warm)
        {
            _wanted.Release();
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _filling.ConfigureAwait(false);
        while (_warm.TryDequeue(out Host? host))
        {
            host.Process.KillAll();
            await host.Process.Exited.ConfigureAwait(false);
            Discard(host);
        }

        _stop.Dispose();
        _wanted.Dispose();
    }

    /// <summary>A cold host for a process that is started again: its id, its log and its folder are known.</summary>
    /// <exception cref="IOException">It could not be started.</exception>
    /// <exception cref="Win32Exception">The system could not start it.</exception>
    public Host StartAgain(string id, string log, string folder) => Start(warm: false, id, log, folder);

    private Host Start(bool warm, bool keepFolder)
    {
        (string id, string log, string folder) = _room.New(keepFolder);
        try
        {
            return Start(warm, id, log, folder);
        }
        catch
        {
            Guard.RemoveFolder(folder);
            ChildOutput.Delete(log);
            throw;
        }
    }

    private Host Start(bool warm, string id, string log, string folder)
    {
        string[] arguments = [.. HostCommand(), .. warm ? [HostProcess.WarmArgument] : Array.Empty<string>()];
        return new Host(id, log, folder, ChildProcess.Start(Launcher, DotnetPath.Muxer, arguments, log, AgentRoom.Variables(folder)), warm);
    }

    // In an application on a larger framework, such as ASP.NET, some assemblies that GlooX needs are not beside it but in that framework:
    // the host then runs on the application's frameworks.
    private static string[] HostCommand()
    {
        string beside = Path.GetDirectoryName(typeof(Agent).Assembly.Location) is { Length: > 0 } folder ? folder : AppContext.BaseDirectory;
        string host = Path.Combine(beside, "gloox-host.dll");
        string? application = System.Reflection.Assembly.GetEntryAssembly()?.GetName().Name;
        string configuration = Path.Combine(beside, $"{application}.runtimeconfig.json");
        return File.Exists(Path.Combine(beside, "Microsoft.Extensions.Logging.Abstractions.dll")) || !File.Exists(configuration)
            ? ["exec", host]
            : ["exec", "--runtimeconfig", configuration, host];
    }

    private static void Discard(Host host)
    {
        host.Process.Control!.Dispose();
        ChildOutput.Delete(host.Log);
        Guard.RemoveFolder(host.Folder);
    }

    // Getting a host warm takes half a second of a processor: the spawn that emptied the pool, and its first calls, come first.
    private async Task QuietAsync()
    {
        long latest = Environment.TickCount64 + (long)s_latest.TotalMilliseconds;
        for (long now; (now = Environment.TickCount64) < latest;)
        {
            long left = Volatile.Read(ref _lastUse) + (long)s_quiet.TotalMilliseconds - now;
            if (left <= 0)
            {
                return;
            }

            await Task.Delay((int)Math.Min(left, latest - now), _stop.Token).ConfigureAwait(false);
        }
    }

    private async Task FillAsync()
    {
        int failures = 0;
        try
        {
            while (failures < MaxFailures)
            {
                await _wanted.WaitAsync(_stop.Token).ConfigureAwait(false);
                await QuietAsync().ConfigureAwait(false);
                Host host = Start(warm: true, keepFolder: false);
                bool ready = false;
                try
                {
                    using var limit = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
                    limit.CancelAfter(s_warmTimeout);
                    ready = await host.Process.Control!.ReceiveAsync(ControlFormat.ReadReport, limit.Token).ConfigureAwait(false) is { Ready: true };
                }
                finally
                {
                    if (!ready)
                    {
                        host.Process.KillAll();
                        ExitStatus exit = await host.Process.Exited.ConfigureAwait(false);
                        if (!_stop.IsCancellationRequested)
                        {
                            LogNotWarm(_logger, exit, ChildOutput.LastLines(host.Log));
                        }

                        Discard(host);
                    }
                }

                if (ready)
                {
                    failures = 0;
                    _warm.Enqueue(host);
                }
                else
                {
                    failures++;
                    _wanted.Release();
                }
            }
        }
        catch (Exception e) when (e is OperationCanceledException or Win32Exception or PlatformNotSupportedException or IOException or UnauthorizedAccessException)
        {
            // stopping, or nothing can be started here: spawns then start their own host and report why it fails
        }
    }

    [LoggerMessage(3001, LogLevel.Warning, "A warm host did not start, it ended with {Exit}{LastLines}")]
    private static partial void LogNotWarm(ILogger logger, ExitStatus exit, string lastLines);
}
