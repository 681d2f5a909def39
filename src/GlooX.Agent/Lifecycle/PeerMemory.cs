using System.Globalization;
using System.Text;
using GlooX.Grid;

namespace GlooX.Lifecycle;

/// <summary>
/// Keeps the addresses of the other agents in the state file, so that an agent that starts again finds its grid without a peer being named.
/// An address is forgotten when its agent was no member for <see cref="Remember"/>. For one caller at a time.
/// </summary>
internal sealed class PeerMemory(IMembership grid, AgentState state, TimeProvider time)
{
    private static readonly TimeSpan s_refresh = TimeSpan.FromHours(1);
    private readonly Dictionary<string, DateTimeOffset> _seen = new(StringComparer.Ordinal);
    private bool _isRestored;

    /// <summary>For how long an agent that is no member is remembered.</summary>
    public static TimeSpan Remember { get; } = TimeSpan.FromHours(24);

    /// <summary>How often <see cref="SaveAsync"/> is due, beside each change of the grid.</summary>
    public static TimeSpan Interval { get; } = TimeSpan.FromMinutes(5);

    /// <summary>Tells the membership the addresses of before, the first time; writes what has changed.</summary>
    /// <exception cref="IOException">The state file cannot be read or written.</exception>
    public Task SaveAsync(CancellationToken ct)
    {
        if (!_isRestored)
        {
            Restore();
            _isRestored = true;
        }

        DateTimeOffset now = time.GetUtcNow();
        foreach (string address in grid.Members.Where(m => m.Reachable && m.Address != grid.Address).Select(static m => m.Address))
        {
            if (!_seen.TryGetValue(address, out DateTimeOffset seen) || now - seen >= s_refresh)
            {
                state.Put(AgentState.PeerKind, address,
                    Encoding.ASCII.GetBytes(now.ToUnixTimeSeconds().ToString(CultureInfo.InvariantCulture)));
                _seen[address] = now;
            }
        }

        foreach (string address in _seen.Where(s => now - s.Value > Remember).Select(static s => s.Key).ToArray())
        {
            state.Delete(AgentState.PeerKind, address);
            _seen.Remove(address);
        }

        return Task.CompletedTask;
    }

    private void Restore()
    {
        foreach ((string address, byte[]? value) in state.List(AgentState.PeerKind))
        {
            if (value is null || !long.TryParse(
                Encoding.ASCII.GetString(value), NumberStyles.None, CultureInfo.InvariantCulture, out long seconds)
                || !HostPort.TryParse(address, out _) || time.GetUtcNow() - DateTimeOffset.FromUnixTimeSeconds(seconds) > Remember)
            {
                state.Delete(AgentState.PeerKind, address);
                continue;
            }

            _seen[address] = DateTimeOffset.FromUnixTimeSeconds(seconds);
            grid.Learn(address);
        }
    }
}
