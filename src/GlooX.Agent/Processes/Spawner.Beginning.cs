using System.Net.Sockets;
using GlooX.Workers;

namespace GlooX.Processes;

/// <summary>Executables: one that outlives this agent begins when it is told so, others have begun; each may have to say that it is ready.</summary>
internal sealed partial class Spawner
{
    // From: where its outputs ended before it was started. Null: it is ready; else why not, and it is ending.
    private async Task<string?> BeginAsync(DetachedProcessStore? detached, Child child, long[] from, CancellationToken ct)
    {
        bool awaited = child.Request.AwaitsReadiness;
        try
        {
            if (!awaited)
            {
                Ready(detached, child); // before it begins: it is never lost
            }

            child.Process.Control?.Send("go\n");
            if (awaited && await FaultAsync(child, from, ct).ConfigureAwait(false) is { } fault)
            {
                return fault;
            }

            if (awaited)
            {
                Ready(detached, child);
            }

            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException)
        {
            child.Process.KillAll();
            return Unwritten(child, e);
        }
    }

    // Null: it is ready. Else it has ended.
    private async Task<string?> FaultAsync(Child child, long[] from, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct, _stop.Token);
        limit.CancelAfter(child.Request.StartTimeoutMilliseconds);
        try
        {
            if (await Readiness.WaitAsync(child, from, limit.Token).ConfigureAwait(false))
            {
                return null;
            }
        }
        catch (OperationCanceledException)
        {
            child.Process.KillAll();
            await child.Process.Exited.ConfigureAwait(false);
            ct.ThrowIfCancellationRequested();
            _stop.Token.ThrowIfCancellationRequested();
            return $"it was not ready within {child.Request.StartTimeoutMilliseconds} ms: {Readiness.Describe(child.Request)}";
        }

        ExitStatus exit = await child.Process.Exited.ConfigureAwait(false);
        return $"it ended with {exit} before it was ready: {Readiness.Describe(child.Request)}";
    }
}
