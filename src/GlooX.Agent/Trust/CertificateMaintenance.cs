using System.Collections.Concurrent;
using GlooX.Contracts;
using Microsoft.Extensions.Logging;

namespace GlooX.Trust;

/// <summary>
/// Keeps an agent's trust up to date while it runs: follows the certificates' files even when nobody connects, renews those that came from
/// joining, and tells every peer which serial numbers are revoked until it has confirmed them.
/// </summary>
internal sealed partial class CertificateMaintenance(Identity identity, Func<IReadOnlyList<string>> peers, Func<string, IAgentService> service, ILogger logger)
{
    // More than anybody revokes by hand; a peer that sends more is at fault.
    public const int MaxRevoked = 10_000;
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_tellTimeout = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_renewAgain = TimeSpan.FromHours(1);
    private readonly ConcurrentDictionary<string, int> _told = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim _changed = new(0, 1);
    private long _renewNotBefore;

    /// <summary>Revokes, here and in the whole grid.</summary>
    /// <exception cref="ArgumentException">One is no serial number, or they are too many.</exception>
    public void Revoke(string[] serials)
    {
        if (serials.Length + identity.RevokedSerials.Count > MaxRevoked && serials.Except(identity.RevokedSerials, StringComparer.Ordinal).Count() + identity.RevokedSerials.Count > MaxRevoked)
        {
            throw new ArgumentException($"more than {MaxRevoked} revoked serial numbers are not kept", nameof(serials));
        }

        int before = identity.RevokedSerials.Count;
        identity.Revoke(serials);
        if (identity.RevokedSerials.Count > before)
        {
            LogRevoked(logger, string.Join(", ", serials.Take(10)));
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
                string[] revoked = [.. identity.RevokedSerials];
                await Task.WhenAll(peers().Where(p => revoked.Length > _told.GetValueOrDefault(p)).Select(p => TellAsync(p, revoked, ct))).ConfigureAwait(false);
                if (Environment.TickCount64 >= _renewNotBefore)
                {
                    await RenewAsync(ct).ConfigureAwait(false);
                }
            }
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // the agent stops
        }
    }

    private async Task RenewAsync(CancellationToken ct)
    {
        try
        {
            if (await identity.RenewAsync(ct).ConfigureAwait(false) is { } url)
            {
                _renewNotBefore = Environment.TickCount64 + (long)s_renewAgain.TotalMilliseconds;
                LogRenewed(logger, url);
            }
        }
        catch (Exception e) when (e is GlooXException or ArgumentException)
        {
            _renewNotBefore = Environment.TickCount64 + (long)s_renewAgain.TotalMilliseconds;
            LogNotRenewed(logger, identity.Server.NotAfter.ToUniversalTime(), e.Message);
        }
    }

    private async Task TellAsync(string url, string[] revoked, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_tellTimeout);
        try
        {
            await service(url).RevokeAsync(revoked, limit.Token).ConfigureAwait(false);
            _told[url] = revoked.Length;
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

    [LoggerMessage(4101, LogLevel.Warning, "Certificates are revoked from now on: {Serials}")]
    private static partial void LogRevoked(ILogger logger, string serials);

    [LoggerMessage(4102, LogLevel.Information, "The certificates were renewed at {Url}")]
    private static partial void LogRenewed(ILogger logger, string url);

    [LoggerMessage(4103, LogLevel.Warning, "The certificates were not renewed, they end on {Until}: {Reason}")]
    private static partial void LogNotRenewed(ILogger logger, DateTime until, string reason);
}
