using GlooX.Tls;
using Microsoft.Extensions.Logging;

namespace GlooX.Server;

/// <summary>
/// Records of who joined a server's authority, renewed a certificate, or was refused, in the category <c>GlooX.Audit</c> of the server's log. Of what was
/// refused up to 100 are written in a minute, and the next one says how many were not: nobody hides an act behind refusals. Thread-safe.
/// </summary>
internal sealed partial class RpcAudit(ILogger logger, TimeProvider? time = null)
{
    /// <summary>The category of the log.</summary>
    public const string Category = "GlooX.Audit";

    private const int MostRefusals = 100;
    private const int MostCharacters = 300;
    private static readonly TimeSpan s_window = TimeSpan.FromMinutes(1);
    private readonly TimeProvider _time = time ?? TimeProvider.System;
    private readonly Lock _lock = new();
    private long _began;
    private int _written;
    private int _unwritten;

    /// <summary>A call that was refused before anything of it was read.</summary>
    public void Refused(Peer peer, string address, string method, string reason)
    {
        if (MayWrite(out int unwritten))
        {
            string more = unwritten == 0 ? "" : $" ({unwritten} refusals before this one are not recorded)";
            LogRefused(logger, Serial(peer), peer.Node ?? "", Roles(peer), address, Cut(method), "", $"refused: {Cut(reason)}{more}");
        }
    }

    /// <summary>A machine joined, or renewed its certificates.</summary>
    public void Joined(Peer peer, string address, string node, string role) =>
        LogJoined(logger, Serial(peer), peer.Node ?? "", Roles(peer), address, Method(peer), $"node {node} as {role}", "done");

    /// <summary>A machine did not join, or its certificates were not renewed.</summary>
    public void NotJoined(Peer peer, string address, string reason) => Refused(peer, address, Method(peer), reason);

    private static string Method(Peer peer) => peer.Serials.Count > 0 ? "renew" : "join";

    private static string Serial(Peer peer) => peer.Serials.Count > 0 ? peer.Serials[0] : "";

    private static string Roles(Peer peer) => peer.Roles.ToString().ToLowerInvariant();

    private static string Cut(string text)
    {
        string start = text.Length <= MostCharacters ? text : text[..MostCharacters];
        return start.Any(char.IsControl) ? string.Concat(start.Select(static c => char.IsControl(c) ? $"\\x{(int)c:x2}" : c.ToString())) : start;
    }

    private bool MayWrite(out int unwritten)
    {
        lock (_lock)
        {
            if (_began == 0 || _time.GetElapsedTime(_began) >= s_window)
            {
                (_began, _written) = (_time.GetTimestamp(), 0);
            }

            if (_written == MostRefusals)
            {
                _unwritten++;
                unwritten = 0;
                return false;
            }

            _written++;
            (unwritten, _unwritten) = (_unwritten, 0);
            return true;
        }
    }

    [LoggerMessage(1111, LogLevel.Information, "{Method}{Target}: {Outcome}; by {Node} as {Roles}, certificate {Serial}, from {Address}")]
    private static partial void LogRefused(ILogger logger, string serial, string node, string roles, string address, string method, string target, string outcome);

    [LoggerMessage(1112, LogLevel.Information, "{Method} of {Target}: {Outcome}; by {Node} as {Roles}, certificate {Serial}, from {Address}")]
    private static partial void LogJoined(ILogger logger, string serial, string node, string roles, string address, string method, string target, string outcome);
}
