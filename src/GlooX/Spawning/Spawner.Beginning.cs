using System.Net.Sockets;

namespace GlooX.Spawning;

/// <summary>Executables: one that outlives this agent begins when it is told so, others have begun; each may have to say that it is ready.</summary>
internal sealed partial class Spawner
{
    private async Task<SpawnReply> BeginAsync(OutlivingFolder? outliving, string id, string log, Child child, string node, CancellationToken ct)
    {
        SpawnRequest request = child.Request;
        bool awaited = Readiness.IsAwaited(request);
        try
        {
            if (!awaited)
            {
                Ready(outliving, child); // before it begins: it is never lost
            }

            child.Process.Control?.Send("go\n");
            if (awaited)
            {
                if (await FaultAsync(child, log, ct).ConfigureAwait(false) is { } fault)
                {
                    return SpawnReply.Failed(node, fault);
                }

                Ready(outliving, child);
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException)
        {
            child.Process.KillAll();
            return SpawnReply.Failed(node, $"{child.Name} cannot be written down, so that it would outlive its agent unknown: {e.Message}");
        }

        child.IsReady = true;
        return new SpawnReply(id, child.Process.Pid, node, "", "", false) { Started = child.Started };
    }

    // Null: it is ready. Else it has ended.
    private async Task<string?> FaultAsync(Child child, string log, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct, _stop.Token);
        limit.CancelAfter(child.Request.StartTimeoutMilliseconds);
        try
        {
            if (await Readiness.WaitAsync(child.Request, child.Guard.Folder, child.Output, child.Process.Exited, limit.Token).ConfigureAwait(false))
            {
                return null;
            }
        }
        catch (OperationCanceledException)
        {
            child.Process.KillAll();
            await child.Process.Exited.ConfigureAwait(false);
            ct.ThrowIfCancellationRequested();
            return _stop.IsCancellationRequested
                ? $"{child.Name} was not ready when its agent was shut down"
                : $"{child.Name} was not ready within {child.Request.StartTimeoutMilliseconds} ms: {Readiness.Describe(child.Request)}{ChildOutput.LastLines(log)}";
        }

        ExitStatus exit = await child.Process.Exited.ConfigureAwait(false);
        return $"{child.Name} ended with {exit} before it was ready: {Readiness.Describe(child.Request)}{ChildOutput.LastLines(log)}";
    }
}
