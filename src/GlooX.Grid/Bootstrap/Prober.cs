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
internal sealed class Prober(IGridTransport transport, Standing self, PeerBook peers, TimeSpan timeout, TimeProvider time) : IAsyncDisposable
{
    // How many times longer than whoever asks a patient probe lasts.
    private const int Patience = 10;

    private readonly CancellationTokenSource _stop = new(); // never disposed: it has no timer, and may be cancelled twice
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Task<ProbeReply>> _patient = new(StringComparer.Ordinal);

    /// <summary>
    /// As <see cref="AskAsync"/>, for one who looks for a grid, not for proof about a member. A probe that takes longer goes on, and whoever
    /// asks next gets its answer: at a machine that is far too busy for the usual time, no probe would ever come to its end else. The answer
    /// may then be as old as the last question.
    /// </summary>
    /// <param name="address">Whom.</param>
    /// <param name="ct">Only this throws.</param>
    public Task<ProbeResult> AskPatientlyAsync(string address, CancellationToken ct) => JudgeAsync(
        address,
        null,
        isLook: true,
        async () =>
        {
            Task<ProbeReply>? probe;
            lock (_gate)
            {
                if (!_patient.TryGetValue(address, out probe))
                {
                    _patient[address] = probe = ProbeLongAsync(address);
                    _ = probe.ContinueWith(static p => p.Exception, TaskScheduler.Default); // perhaps nobody asks again
                }
            }

            try
            {
                return await probe.WaitAsync(timeout, time, ct).ConfigureAwait(false);
            }
            finally
            {
                lock (_gate)
                {
                    if (probe.IsCompleted && _patient.GetValueOrDefault(address) == probe)
                    {
                        _patient.Remove(address);
                    }
                }
            }
        },
        ct);

    /// <param name="address">Whom.</param>
    /// <param name="incarnation">The one that is meant, or null for whoever is there.</param>
    /// <param name="ct">Only this throws.</param>
    public Task<ProbeResult> AskAsync(string address, string? incarnation, CancellationToken ct) => JudgeAsync(
        address,
        incarnation,
        isLook: false,
        async () =>
        {
            using var limit = new CancellationTokenSource(timeout, time);
            using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, ct);
            return await transport.ProbeAsync(address, self.Request(), both.Token).ConfigureAwait(false);
        },
        ct);

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

    /// <summary>Ends the probes that nobody waits for.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        Task[] patient;
        lock (_gate)
        {
            patient = [.. _patient.Values];
        }

        await Task.WhenAll(patient).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private async Task<ProbeReply> ProbeLongAsync(string address)
    {
        using var limit = new CancellationTokenSource(timeout * Patience, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, _stop.Token);
        return await transport.ProbeAsync(address, self.Request(), both.Token).ConfigureAwait(false);
    }

    private async Task<ProbeResult> JudgeAsync(string address, string? incarnation, bool isLook, Func<Task<ProbeReply>> ask, CancellationToken ct)
    {
        ProbeResult result;
        try
        {
            ProbeReply reply = await ask().ConfigureAwait(false);
            self.AdoptHost(reply.ReachedFrom);
            result = incarnation is not null && reply.Incarnation != incarnation
                ? new ProbeResult(Reach.Gone, ProbeResult.AnotherIncarnation, reply)
                : new ProbeResult(Reach.Alive, reply.State.ToString(), reply);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            throw;
        }
        catch (Exception e) when (e is OperationCanceledException or TimeoutException)
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

        peers.Record(address, result, isSelf: result.Reply is { } answer && self.IsMe(answer), isLook);
        return result;
    }
}
