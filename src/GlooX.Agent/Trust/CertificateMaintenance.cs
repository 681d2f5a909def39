using Microsoft.Extensions.Logging;

namespace GlooX.Trust;

/// <summary>Keeps an agent's certificates up to date while it runs: follows their files even when nobody connects, and renews those that came from joining.</summary>
internal sealed partial class CertificateMaintenance(Identity identity, ILogger logger)
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(2);
    private static readonly TimeSpan s_renewAgain = TimeSpan.FromHours(1);
    private long _renewNotBefore;

    /// <summary>Until cancelled.</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        while (!ct.IsCancellationRequested)
        {
            if (Environment.TickCount64 >= _renewNotBefore)
            {
                await RenewAsync(ct).ConfigureAwait(false);
            }

            await Task.Delay(TimerCoalescing.Round(s_interval, TimeProvider.System), ct).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
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

    [LoggerMessage(4102, LogLevel.Information, "The certificates were renewed at {Url}")]
    private static partial void LogRenewed(ILogger logger, string url);

    [LoggerMessage(4103, LogLevel.Warning, "The certificates were not renewed, they end on {Until}: {Reason}")]
    private static partial void LogNotRenewed(ILogger logger, DateTime until, string reason);
}
