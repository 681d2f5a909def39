using System.Collections.Concurrent;
using GlooX.Contracts;
using GlooX.Processes;
using Microsoft.Extensions.Logging;

namespace GlooX;

/// <summary>What an add-on is given: its node, the way to others, its settings, and work in the background. All members are safe for concurrent use.</summary>
public sealed partial class AddonContext
{
    private readonly CancellationTokenSource _detached = new();
    private readonly ConcurrentDictionary<Task, string> _work = new();
    private readonly ConcurrentDictionary<string, GlooXClient> _peers = new(StringComparer.Ordinal);
    private readonly Action<AddonFault> _report;

    internal AddonContext(Agent node, string name, IReadOnlyDictionary<string, string> options, ILogger logger, Action<AddonFault> report)
    {
        Node = node;
        Name = name;
        Options = options;
        Logger = logger;
        _report = report;
    }

    /// <summary>The node that the add-on is attached to.</summary>
    public Agent Node { get; }

    /// <summary>The name by which it is called.</summary>
    public string Name { get; }

    /// <summary>Its settings: <see cref="AddonOptions.Values"/>.</summary>
    public IReadOnlyDictionary<string, string> Options { get; }

    /// <summary>Where it logs: the node's log, under <c>GlooX.Addon.NAME</c>.</summary>
    public ILogger Logger { get; }

    /// <summary>Cancelled when the add-on is detached or the node stops.</summary>
    public CancellationToken Detached => _detached.Token;

    /// <summary>A client of a node of the grid, with the node's own certificate. Kept until the add-on is detached; not to be disposed.</summary>
    /// <param name="url">As in <see cref="Agent.Peers"/>.</param>
    /// <returns>The client; it connects on the first call.</returns>
    /// <exception cref="ArgumentException">The URL is malformed.</exception>
    public GlooXClient Peer(string url) => _peers.GetOrAdd(url, static (u, c) => c.Node.ConnectTo(u), this);

    /// <summary>The add-on's own channel, which all nodes of the grid share: <c>addon.NAME</c>. Made on first use.</summary>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>The channel, with values of any type.</returns>
    /// <exception cref="ChannelException">A reachable node has not confirmed it in time.</exception>
    public Task<IChannel<object?>> ChannelAsync(CancellationToken ct = default) => Node.CreateChannelAsync(AddonRequest.ServiceOf(Name), null, ct);

    /// <summary>
    /// Runs work until it ends by itself or the add-on is detached. Its failure is logged, and told to <see cref="Agent.AddonFaulted"/>; the
    /// node and the add-on go on.
    /// </summary>
    /// <param name="work">Given <see cref="Detached"/>; what it does not end within ten seconds of that is left behind.</param>
    /// <param name="name">What the log calls it.</param>
    public void Run(Func<CancellationToken, Task> work, string name = "work")
    {
        ArgumentNullException.ThrowIfNull(work);
        Task running = Task.Run(() => GuardAsync(work, name), CancellationToken.None);
        _work[running] = name;
        _ = running.ContinueWith(t => _work.TryRemove(t, out string? _), TaskScheduler.Default);
    }

    /// <summary>Ends the background work and the clients.</summary>
    internal async Task EndAsync(TimeSpan limit)
    {
        await _detached.CancelAsync().ConfigureAwait(false);
        await Task.WhenAll(_work.Keys).WaitAsync(limit).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (!_work.IsEmpty)
        {
            LogLeft(Logger, Name, string.Join(", ", _work.Values));
        }

        foreach (GlooXClient peer in _peers.Values)
        {
            await peer.DisposeAsync().ConfigureAwait(false);
        }
    }

    internal void Fault(string work, Exception e)
    {
        LogFault(Logger, e, Name, work);
        _report(new AddonFault(Name, work, e));
    }

    private async Task GuardAsync(Func<CancellationToken, Task> work, string name)
    {
        try
        {
            await work(Detached).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (Detached.IsCancellationRequested)
        {
            // it was asked to end
        }
        catch (Exception e)
        {
            Fault(name, e);
        }
    }

    [LoggerMessage(4201, LogLevel.Error, "The add-on {Addon} failed at {Work}")]
    private static partial void LogFault(ILogger logger, Exception e, string addon, string work);

    [LoggerMessage(4202, LogLevel.Warning, "The add-on {Addon} did not end when it was detached: {Work}")]
    private static partial void LogLeft(ILogger logger, string addon, string work);
}

/// <summary>Background work of an add-on has failed.</summary>
/// <param name="Addon">The add-on's name.</param>
/// <param name="Work">What it called the work.</param>
/// <param name="Exception">What was thrown.</param>
public sealed record AddonFault(string Addon, string Work, Exception Exception);

/// <summary>An add-on that wants to know its node. Optional: whatever can be called over RPC may be an add-on.</summary>
/// <remarks>One that is <see cref="IAsyncDisposable"/> or <see cref="IDisposable"/> is disposed when it is detached, if the node made it.</remarks>
public interface IAddon
{
    /// <summary>Called before anybody can call the add-on; an exception here fails the attaching.</summary>
    /// <param name="context">Valid until the add-on is detached.</param>
    /// <param name="ct">Cancelled when the caller that attaches the add-on cancels.</param>
    /// <returns>Completes when the add-on is ready.</returns>
    Task StartAsync(AddonContext context, CancellationToken ct);
}
