using System.Net.Sockets;
using GlooX.Contracts;
using GlooX.Processes;

namespace GlooX.Trust;

/// <summary>
/// Tells the processes of an agent what is revoked. Each is given that with its assignment; later it hears it over its private line, or, if an agent
/// before this one started it, by a call.
/// </summary>
internal sealed class ProcessRevocations(Identity identity, Func<IEnumerable<Child>> children)
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(2);

    /// <summary>Tells those that were told something else before. A process that does not read its line keeps nobody waiting.</summary>
    public async Task TellAsync(IReadOnlyList<Revocation> revoked, CancellationToken ct)
    {
        string[]? lines = null;
        List<Task> calls = [];
        foreach (Child child in children().Where(static c => c.IsReady && c.Url.Length > 0 && !c.Process.Exited.IsCompleted))
        {
            ProcessRun run = child.Run;
            if (run.Told == revoked || !run.Telling.IsCompleted || (run.Told is null && (run.Process.Control is not null || revoked.Count == 0)))
            {
                continue; // it knows, is being told, or is given all with its assignment
            }

            lines ??= [.. revoked.Select(static r => r.ToString())];
            if (run.Process.Control is { } line)
            {
                run.Telling = TellAsync(run, line, lines, revoked);
            }
            else
            {
                calls.Add(CallAsync(run, child.Url, lines, revoked, ct));
            }
        }

        await Task.WhenAll(calls).ConfigureAwait(false);
    }

    private static async Task TellAsync(ProcessRun run, Workers.Control line, string[] lines, IReadOnlyList<Revocation> revoked)
    {
        try
        {
            await line.SendAsync(lines, CancellationToken.None).ConfigureAwait(false); // a part of a message would be worse than none; it ends with the process
            run.Told = revoked;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // the process has ended
        }
    }

    private async Task CallAsync(ProcessRun run, string url, string[] lines, IReadOnlyList<Revocation> revoked, CancellationToken ct)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(ct);
        limit.CancelAfter(s_timeout);
        try
        {
            var options = new RpcClientOptions
            {
                Identity = identity.AsAgent(),
                ServerRole = RpcRole.Child,
                ServerName = identity.Node is { } node ? $"gloox://node/{node}" : null,
            };
            var client = new RpcClient(url, options);
            await using (client.ConfigureAwait(false))
            {
                await client.As<IWorkerTrust>(IWorkerTrust.ServiceName).RevokedAsync(lines, limit.Token).ConfigureAwait(false);
            }

            run.Told = revoked;
        }
        catch (Exception e) when (e is RpcException || (e is OperationCanceledException && !ct.IsCancellationRequested))
        {
            // it is told again at the next turn, or it has ended
        }
    }
}
