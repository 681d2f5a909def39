using Microsoft.Extensions.Logging;

namespace GlooX.Trust;

/// <summary>
/// Keeps an agent's certificates up to date while it runs: follows their files even when nobody connects, and renews those that came from joining. Says
/// once what keeps clients from the authority's key, as soon as there are others that trust that authority.
/// </summary>
/// <param name="identity">The agent's.</param>
/// <param name="keyProtection">What keeps the code that clients send from a key that this user can read; null: nothing.</param>
/// <param name="logger">Where it logs.</param>
internal sealed partial class CertificateMaintenance(Identity identity, string? keyProtection, ILogger logger)
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_renewAgain = TimeSpan.FromHours(1);
    private long _renewNotBefore;
    private bool _saidOfKey;

    /// <summary>Until cancelled.</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        while (!ct.IsCancellationRequested)
        {
            SayOfKey();
            if (Environment.TickCount64 >= _renewNotBefore)
            {
                await RenewAsync(ct).ConfigureAwait(false);
            }

            await Task.Delay(TimerCoalescing.Round(s_interval, TimeProvider.System), ct).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    private void SayOfKey()
    {
        if (_saidOfKey || identity.AuthorityKey == AuthorityKeyState.Elsewhere || !identity.HasJoiners)
        {
            return;
        }

        _saidOfKey = true;
        if (identity.AuthorityKey == AuthorityKeyState.Locked)
        {
            LogKeySafe(logger, "it is under a passphrase");
        }
        else if (keyProtection is not null)
        {
            LogKeySafe(logger, keyProtection);
        }
        else
        {
            LogKeyOpen(logger, Path.Combine(GlooXHome.Path, "ca.key"));
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
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            // the agent stops
        }
    }

    [LoggerMessage(4105, LogLevel.Warning,
        "Whoever may spawn at this agent can read the key of the authority that other machines trust, {Key}: what is spawned runs as the same user. "
        + "Put the key under a passphrase (gloox authority lock), give it a user of its own (gloox authority --install), "
        + "have processes run as other users (--only-users), or spawn nothing here (--no-spawn); see docs/theft.md")]
    private static partial void LogKeyOpen(ILogger logger, string key);

    [LoggerMessage(4106, LogLevel.Information, "The authority's key is on this machine; clients cannot read it: {Why}")]
    private static partial void LogKeySafe(ILogger logger, string why);

    [LoggerMessage(4102, LogLevel.Information, "The certificates were renewed at {Url}")]
    private static partial void LogRenewed(ILogger logger, string url);

    [LoggerMessage(4103, LogLevel.Warning, "The certificates were not renewed, they end on {Until}: {Reason}")]
    private static partial void LogNotRenewed(ILogger logger, DateTime until, string reason);
}
