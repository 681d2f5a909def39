using System.Net.Sockets;

namespace GlooX.Grid;

/// <summary>What a probe proves.</summary>
internal enum Reach
{
    /// <summary>The one that was asked for answered.</summary>
    Alive,

    /// <summary>It does not exist any more: its port refuses, or another incarnation answers.</summary>
    Gone,

    /// <summary>Nothing is proven.</summary>
    Silent,
}

internal sealed record ProbeResult(Reach Reach, string Why, ProbeReply? Reply)
{
    public const string Refused = "connection refused";
    public const string AnotherIncarnation = "another incarnation answers";

    public bool IsRefused => Reach == Reach.Gone && Reply is null;
}

/// <summary>Asks other agents who they are. A failure is a result, never an exception.</summary>
internal sealed class Prober(IGridTransport transport, Standing self, PeerBook peers, TimeSpan timeout, TimeProvider time)
{
    /// <param name="address">Whom.</param>
    /// <param name="incarnation">The one that is meant, or null for whoever is there.</param>
    /// <param name="ct">Only this throws.</param>
    public async Task<ProbeResult> AskAsync(string address, string? incarnation, CancellationToken ct)
    {
        ProbeResult result;
        using var limit = new CancellationTokenSource(timeout, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, ct);
        try
        {
            ProbeReply reply = await transport.ProbeAsync(address, self.Request(), both.Token).ConfigureAwait(false);
            self.AdoptHost(reply.ReachedFrom);
            result = incarnation is not null && reply.Incarnation != incarnation
                ? new ProbeResult(Reach.Gone, ProbeResult.AnotherIncarnation, reply)
                : new ProbeResult(Reach.Alive, reply.State.ToString(), reply);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            throw;
        }
        catch (OperationCanceledException)
        {
            result = new ProbeResult(Reach.Silent, "no answer", null);
        }
#pragma warning disable CA1031 // Whatever the transport fails with, it means: no answer. The reason is kept for the user.
        catch (Exception e)
#pragma warning restore CA1031
        {
            result = IsRefused(e)
                ? new ProbeResult(Reach.Gone, ProbeResult.Refused, null)
                : new ProbeResult(Reach.Silent, e.Message, null);
        }

        peers.Record(address, result, isSelf: result.Reply is { } answer && self.IsMe(answer));
        return result;
    }

    /// <summary>Refused, here or somewhere below: the only failure that proves anything.</summary>
    public static bool IsRefused(Exception? e)
    {
        for (; e is not null; e = e.InnerException)
        {
            if (e is SocketException { SocketErrorCode: SocketError.ConnectionRefused })
            {
                return true;
            }
        }

        return false;
    }
}
