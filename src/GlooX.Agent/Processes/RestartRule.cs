using System.Runtime.InteropServices;

namespace GlooX.Processes;

/// <summary>What happens to a process that has ended.</summary>
internal enum RestartVerdict
{
    /// <summary>Nothing: its policy does not want it started again.</summary>
    Done,

    /// <summary>It is started again after a pause.</summary>
    Again,

    /// <summary>It ended too often.</summary>
    GiveUp,
}

/// <summary>What happens to a process that has ended, and after which pause it is restarted.</summary>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct RestartDecision(RestartVerdict Verdict, TimeSpan Pause);

/// <summary>
/// Says what becomes of one process each time it has ended. It has neither a clock nor a process: it is told of both. Times are those of
/// any clock that does not go back. Not thread-safe.
/// </summary>
/// <param name="policy">A policy without fault.</param>
/// <param name="restarts">When it was restarted before, in order.</param>
internal sealed class RestartRule(RestartPolicy policy, IEnumerable<TimeSpan>? restarts = null)
{
    private const int MostDoublings = 32;
    private readonly int _most = Math.Max(policy.MaxRestarts ?? 0, MostDoublings);
    private readonly Queue<TimeSpan> _restarts = new(restarts ?? []);

    /// <summary>The restarts that count, in order.</summary>
    public IReadOnlyCollection<TimeSpan> Restarts => _restarts;

    /// <summary>It was started again, or that was tried.</summary>
    public void Restarted(TimeSpan at)
    {
        Forget(at);
        _restarts.Enqueue(at);
        if (_restarts.Count > _most)
        {
            _restarts.Dequeue(); // makes no difference to any decision
        }
    }

    /// <summary>It has ended, or could not be started.</summary>
    /// <param name="at">The time.</param>
    /// <param name="status">How the process ended.</param>
    /// <param name="chance">0 to 1: by how much of the jitter the pause is shorter.</param>
    public RestartDecision Exited(TimeSpan at, ExitStatus status, double chance)
    {
        if (policy.Mode == RestartMode.Never || (policy.Mode == RestartMode.OnFailure && status == default))
        {
            return new RestartDecision(RestartVerdict.Done, TimeSpan.Zero);
        }

        Forget(at);
        if (_restarts.Count >= policy.MaxRestarts)
        {
            return new RestartDecision(RestartVerdict.GiveUp, TimeSpan.Zero);
        }

        double full = Math.Min(
            policy.LongestPause.TotalMilliseconds,
            policy.FirstPause.TotalMilliseconds * Math.Pow(2, Math.Min(_restarts.Count, MostDoublings)));
        return new RestartDecision(RestartVerdict.Again, TimeSpan.FromMilliseconds(full * (1 - (policy.Jitter * chance))));
    }

    private void Forget(TimeSpan now)
    {
        while (_restarts.TryPeek(out TimeSpan first) && now - first >= policy.Window)
        {
            _restarts.Dequeue();
        }
    }
}
