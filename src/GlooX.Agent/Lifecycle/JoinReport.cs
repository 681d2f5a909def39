using GlooX.Grid;
using Microsoft.Extensions.Logging;

namespace GlooX.Lifecycle;

/// <summary>
/// Logs how joining goes: after five seconds, and whenever it changes, why no configured peer lets this agent into its grid; then that it has joined.
/// </summary>
internal sealed partial class JoinReport(IMembership grid, ILogger logger, TimeProvider time)
{
    public const string Category = "GlooX.Joining";
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(1);

    /// <summary>Runs until cancelled.</summary>
    public async Task RunAsync(CancellationToken ct)
    {
        long start = time.GetTimestamp();
        string logged = "";
        while (grid.Members.Count(static m => m.Reachable) < 2)
        {
            string reasons = string.Join("; ", grid.PeerStates.Where(static s => !s.IsSelf));
            if (reasons.Length > 0 && reasons != logged && time.GetElapsedTime(start) >= s_patience)
            {
                LogNotJoined(logger, reasons);
                logged = reasons;
            }

            await Task.Delay(TimerCoalescing.Round(s_interval, time), time, ct).ConfigureAwait(false);
        }

        LogJoined(logger, grid.Members.Count, grid.Address);
        await Task.Delay(Timeout.Infinite, ct).ConfigureAwait(false);
    }

    /// <summary>What to do about a call that a peer refused; empty: nothing is known to help.</summary>
    public static string Cure(RpcException refusal, string address) => refusal.Code switch
    {
        RpcError.Tls or RpcError.Unauthorized =>
            $". If this machine has not joined that grid's authority: run 'gloox token' there, and here 'gloox join {address} TOKEN'",
        RpcError.Forbidden => $". Only machines with the role agent are members: run 'gloox token' there, and here 'gloox join {address} TOKEN'",
        _ => "",
    };

    [LoggerMessage(4015, LogLevel.Warning, "This agent has not joined a grid yet. {Reasons}. It goes on trying")]
    private static partial void LogNotJoined(ILogger logger, string reasons);

    [LoggerMessage(4016, LogLevel.Information, "joined the grid of {Count} nodes as {Address}")]
    private static partial void LogJoined(ILogger logger, int count, string? address);
}
