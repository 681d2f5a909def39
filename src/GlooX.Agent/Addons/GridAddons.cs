using System.Collections.Concurrent;
using GlooX.Channels;
using Microsoft.Extensions.Logging;

namespace GlooX.Addons;

/// <summary>
/// Add-ons of the whole grid: a channel holds each with its code, and every node attaches what is in it, those that join later too. Clients
/// cannot write to that channel. Thread-safe.
/// </summary>
internal sealed partial class GridAddons(Agent node, AddonRegistry desk, ILogger logger)
{
    public const string ChannelName = ChannelAccess.AgentsOnly + "addons";
    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan s_sweep = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private static readonly ChannelOptions s_options = new() { MaxValueBytes = 8 * 1024 * 1024, MaxEntries = 1000 };

    private readonly ConcurrentDictionary<string, bool> _held = new(StringComparer.Ordinal);

    private IChannel<AddonPackage> Shipments => node.Channel<AddonPackage>(ChannelName);

    /// <summary>Attaches what is in the channel and detaches what goes from it, until the node stops.</summary>
    public Task RunAsync(CancellationToken ct) => Task.WhenAll(WatchAsync(ct), SweepAsync(ct));

    /// <summary>Puts the add-on where all nodes find it, and waits until those that are reachable have it.</summary>
    /// <exception cref="AddonException">The name is taken here, the source is faulty, or a node has not attached it.</exception>
    public async Task AttachAsync(string name, AddonSource source, AddonOptions? options, CancellationToken ct)
    {
        AddonRegistry.CheckName(name);
        if (desk.Names.Contains(name, StringComparer.Ordinal))
        {
            throw desk.Taken(name);
        }

        AddonPackage shipment = await AddonPackage.PackAsync(name, source, options, ct).ConfigureAwait(false);

        // Here first: what cannot be attached here is not sent to others.
        await desk.AttachAsync(name, await shipment.UnpackAsync(ct).ConfigureAwait(false), options, ct).ConfigureAwait(false);
        try
        {
            await node.CreateChannelAsync(ChannelName, s_options, ct).ConfigureAwait(false);
            await Shipments.SetAsync(name, shipment, ct: ct).ConfigureAwait(false);
            _held[name] = true;
        }
        catch
        {
            await desk.DetachAsync(name).ConfigureAwait(false);
            throw;
        }

        await SettledAsync(name, isThere: true, ct).ConfigureAwait(false);
    }

    /// <summary>Takes it away from all nodes, and waits until those that are reachable have detached it.</summary>
    /// <exception cref="AddonException">There is none of that name on all nodes, or a node has not detached it.</exception>
    public async Task DetachAsync(string name, CancellationToken ct)
    {
        if (!node.Channels.Contains(ChannelName, StringComparer.Ordinal) || !await Shipments.DeleteAsync(name, ct: ct).ConfigureAwait(false))
        {
            throw new AddonException(AddonError.UnknownName, $"no add-on '{name}' is attached to all nodes");
        }

        await SettledAsync(name, isThere: false, ct).ConfigureAwait(false);
    }

    /// <summary>What was deleted before this node watched does not come as a change.</summary>
    private async Task SweepAsync(CancellationToken ct)
    {
        while (!ct.IsCancellationRequested)
        {
            Task listing = node.Hub.NextListing();
            foreach (string gone in _held.Keys.Where(n => !IsShipped(n)))
            {
                await FollowAsync(new ChannelChange<AddonPackage>(gone, IsDelete: true, null, default), ct).ConfigureAwait(false);
            }

            await listing.WaitAsync(s_sweep, ct).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private bool IsShipped(string name)
    {
        try
        {
            return node.Hub.TryGet(ChannelName, name, out _, out _);
        }
        catch (ChannelException)
        {
            return false; // the channel itself is gone
        }
    }

    private async Task WatchAsync(CancellationToken ct)
    {
        while (!ct.IsCancellationRequested)
        {
            Task listing = node.Hub.NextListing();
            try
            {
                if (node.Channels.Contains(ChannelName, StringComparer.Ordinal))
                {
                    await foreach (ChannelChange<AddonPackage> change in Shipments.WatchAsync(Keys.All, ct).ConfigureAwait(false))
                    {
                        await FollowAsync(change, ct).ConfigureAwait(false);
                    }
                }
                else
                {
                    await listing.WaitAsync(ct).ConfigureAwait(false);
                    continue;
                }
            }
            catch (OperationCanceledException) when (ct.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                LogLost(logger, e); // the channel was removed: it may be created again
            }

            await Task.Delay(s_look, ct).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private async Task FollowAsync(ChannelChange<AddonPackage> change, CancellationToken ct)
    {
        bool isThere = desk.Names.Contains(change.Key, StringComparer.Ordinal);
        try
        {
            if (change.IsDelete && _held.TryRemove(change.Key, out _))
            {
                await desk.DetachAsync(change.Key).ConfigureAwait(false);
            }
            else if (!change.IsDelete && !isThere && change.Value is { } shipment)
            {
                await desk.AttachAsync(change.Key, await shipment.UnpackAsync(ct).ConfigureAwait(false), shipment.Request.ToOptions(), ct).ConfigureAwait(false);
                _held[change.Key] = true;
            }
        }
        catch (Exception e) when (e is not OperationCanceledException || !ct.IsCancellationRequested)
        {
            desk.Fault(change.Key, change.IsDelete ? "detach" : "attach", e);
        }
    }

    private async Task SettledAsync(string name, bool isThere, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_patience);
        while (true)
        {
            List<string> late = [];
            foreach (string peer in node.Peers)
            {
                try
                {
                    string[] there = await node.Service(peer).AddonsAsync(limit.Token).ConfigureAwait(false);
                    if (there.Contains(name, StringComparer.Ordinal) != isThere)
                    {
                        late.Add(peer);
                    }
                }
                catch (RpcException)
                {
                    late.Add(peer); // it may be gone: then it is no peer at the next look
                }
                catch (OperationCanceledException) when (!ct.IsCancellationRequested)
                {
                    late.Add(peer);
                }
            }

            if (late.Count == 0 && desk.Names.Contains(name, StringComparer.Ordinal) == isThere)
            {
                return;
            }

            if (limit.IsCancellationRequested)
            {
                ct.ThrowIfCancellationRequested();
                throw new AddonException(AddonError.StartFailed, $"the add-on '{name}' is not {(isThere ? "attached to" : "detached from")} all nodes yet, after {s_patience.TotalSeconds} s; those that lag are {string.Join(", ", late)}, and their logs say why");
            }

            await Task.Delay(20, CancellationToken.None).ConfigureAwait(false);
        }
    }

    [LoggerMessage(4203, LogLevel.Warning, "The add-ons of the grid are looked for again")]
    private static partial void LogLost(ILogger logger, Exception e);
}
