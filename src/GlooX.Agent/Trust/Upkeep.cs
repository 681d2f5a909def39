using System.Collections.Concurrent;
using GlooX.Contracts;
using GlooX.Tls;
using GlooX.Tls.Join;
using Microsoft.Extensions.Logging;

namespace GlooX.Trust;

/// <summary>
/// Keeps an agent's trust up to date while it runs: follows the certificates' files even when nobody connects, renews those that came from
/// joining, and tells every peer which serial numbers are denied until it has confirmed them.
/// </summary>
internal sealed partial class Upkeep(Identity identity, Func<IReadOnlyList<string>> peers, Func<string, IAgentService> service, ILogger logger)
{
    // More than anybody revokes by hand; a peer that sends more is at fault.
    public const int MaxDenied = 10_000;
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_tellTimeout = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_renewAgain = TimeSpan.FromHours(1);
    private readonly ConcurrentDictionary<string, int> _told = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim _changed = new(0, 1);
    private long _renewNotBefore;

    /// <summary>Denies, here and in the whole grid.</summary>
    /// <exception cref="ArgumentException">One is no serial number, or they are too many.</exception>
    public void Deny(string[] serials)
    {
        if (serials.Length + identity.DeniedSerials.Count > MaxDenied && serials.Except(identity.DeniedSerials, StringComparer.Ordinal).Count() + identity.DeniedSerials.Count > MaxDenied)
        {
            throw new ArgumentException($"more than {MaxDenied} denied serial numbers are not kept", nameof(serials));
        }

        int before = identity.DeniedSerials.Count;
        identity.Deny(serials);
        if (identity.DeniedSerials.Count > before)
        {
            LogDenied(logger, string.Join(", ", serials.Take(10)));
            Wake();
        }
    }

    public void OnGridChange(GridChange change)
    {
        if (change.Kind is GridChangeKind.Removed or GridChangeKind.Joined)
        {
            _told.TryRemove(change.Member.Address, out _); // another process may have its address now
        }

        Wake();
    }

    /// <summary>Until cancelled.</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        try
        {
            while (true)
            {
                await _changed.WaitAsync(TimerCoalescing.Round(s_interval, TimeProvider.System), ct).ConfigureAwait(false);
                IdentityParts parts = identity.Current;
                string[] denied = [.. parts.Denials.Serials];
                await Task.WhenAll(peers().Where(p => denied.Length > _told.GetValueOrDefault(p)).Select(p => TellAsync(p, denied, ct))).ConfigureAwait(false);
                if (identity.Store is { } store && Environment.TickCount64 >= _renewNotBefore && store.ShouldRenew(parts))
                {
                    await RenewAsync(store, ct).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // the agent stops
        }
    }

    private async Task RenewAsync(IdentityStore store, CancellationToken ct)
    {
        _renewNotBefore = Environment.TickCount64 + (long)s_renewAgain.TotalMilliseconds;
        try
        {
            await JoinClient.RenewAsync(store, identity, [.. identity.Current.Hosts], ct).ConfigureAwait(false);
            LogRenewed(logger, store.JoinedAt);
        }
        catch (Exception e) when (e is GlooXException or ArgumentException)
        {
            LogNotRenewed(logger, store.JoinedAt, identity.Server.NotAfter.ToUniversalTime(), e.Message);
        }
    }

    private async Task TellAsync(string url, string[] denied, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_tellTimeout);
        try
        {
            await service(url).DenyAsync(denied, limit.Token).ConfigureAwait(false);
            _told[url] = denied.Length;
        }
        catch (Exception e) when (e is RpcException or ObjectDisposedException || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            // it is told again at the next turn, or it is gone
        }
    }

    private void Wake()
    {
        try
        {
            _changed.Release();
        }
        catch (SemaphoreFullException)
        {
            // a turn is due already
        }
    }

    [LoggerMessage(4001, LogLevel.Warning, "Certificates are denied from now on: {Serials}")]
    private static partial void LogDenied(ILogger logger, string serials);

    [LoggerMessage(4002, LogLevel.Information, "The certificates were renewed at {Url}")]
    private static partial void LogRenewed(ILogger logger, string? url);

    [LoggerMessage(4003, LogLevel.Warning, "The certificates were not renewed at {Url}, they end on {Until}: {Reason}")]
    private static partial void LogNotRenewed(ILogger logger, string? url, DateTime until, string reason);
}
