using System.Net.Sockets;

namespace GlooX.Grid;

/// <summary>What a probe proves.</summary>
internal enum ProbeOutcome
{
    /// <summary>The probed agent answered.</summary>
    Alive,

    /// <summary>The probed engine no longer exists: its port refuses, or another incarnation answers.</summary>
    Dead,

    /// <summary>Nothing is proven.</summary>
    Silent,
}

internal sealed record ProbeResult(ProbeOutcome Outcome, string Why, ProbeReply? Reply)
{
    public const string Refused = "connection refused";
    public const string AnotherIncarnation = "another incarnation answers";

    public bool IsRefused => Outcome == ProbeOutcome.Dead && Reply is null;
}

/// <summary>Probes other agents. A failure is a result; only cancellation throws. Thread-safe.</summary>
internal sealed class Prober(IGridTransport transport, LocalNode self, KnownPeers peers, TimeSpan timeout, TimeProvider time)
    : IAsyncDisposable
{
    // A discovery probe runs this many times longer than its caller waits.
    private const int DiscoveryTimeoutFactor = 10;

    // Discovery probes whose result was not fetched are dropped when there are more than this.
    private const int MaxUnclaimed = 1000;

    private readonly CancellationTokenSource _stop = new(); // not disposed: it has no timer, and may be cancelled twice
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Task<ProbeReply>> _discoveries = new(StringComparer.Ordinal);

    /// <summary>
    /// Probes an agent that may be in another grid. A probe that takes longer than the timeout continues, and the next call for the
    /// address gets its answer: on a very busy machine no probe would otherwise complete. An answer may thus be as old as the last call.
    /// </summary>
    public Task<ProbeResult> ProbeForDiscoveryAsync(string address, CancellationToken ct) => JudgeAsync(
        address,
        null,
        isDiscovery: true,
        async () =>
        {
            Task<ProbeReply> probe = DiscoveryOf(address);
            try
            {
                return await probe.WaitAsync(timeout, time, ct).ConfigureAwait(false);
            }
            finally
            {
                lock (_gate)
                {
                    if (probe.IsCompleted && _discoveries.GetValueOrDefault(address) == probe)
                    {
                        _discoveries.Remove(address);
                    }
                }
            }
        },
        ct);

    /// <summary>Probes an agent for proof of life or death.</summary>
    /// <param name="address">The agent's address.</param>
    /// <param name="incarnation">The engine that is meant; null for any.</param>
    /// <param name="ct">Cancels the operation.</param>
    public Task<ProbeResult> ProbeAsync(string address, string? incarnation, CancellationToken ct) => JudgeAsync(
        address,
        incarnation,
        isDiscovery: false,
        async () =>
        {
            using var limit = new CancellationTokenSource(timeout, time);
            using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, ct);
            return await transport.ProbeAsync(address, self.Request(), both.Token).ConfigureAwait(false);
        },
        ct);

    /// <summary>Whether the exception or an inner one is a refused connection, the only failure that proves anything.</summary>
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

    /// <summary>Ends the discovery probes that are still running.</summary>
    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        Task[] running;
        lock (_gate)
        {
            running = [.. _discoveries.Values];
        }

        await Task.WhenAll(running).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private Task<ProbeReply> DiscoveryOf(string address)
    {
        lock (_gate)
        {
            if (!_discoveries.TryGetValue(address, out Task<ProbeReply>? probe))
            {
                if (_discoveries.Count >= MaxUnclaimed)
                {
                    foreach ((string unclaimed, _) in _discoveries.Where(d => d.Value.IsCompleted).ToList())
                    {
                        _discoveries.Remove(unclaimed);
                    }
                }

                _discoveries[address] = probe = DiscoverAsync(address);
                _ = probe.ContinueWith(static p => p.Exception, TaskScheduler.Default); // observed here: its result may never be fetched
            }

            return probe;
        }
    }

    private async Task<ProbeReply> DiscoverAsync(string address)
    {
        using var limit = new CancellationTokenSource(timeout * DiscoveryTimeoutFactor, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, _stop.Token);
        return await transport.ProbeAsync(address, self.Request(), both.Token).ConfigureAwait(false);
    }

    private async Task<ProbeResult> JudgeAsync(
        string address, string? incarnation, bool isDiscovery, Func<Task<ProbeReply>> probe, CancellationToken ct)
    {
        ProbeResult result;
        try
        {
            ProbeReply reply = await probe().ConfigureAwait(false);
            self.AdoptHost(reply.ReachedFrom);
            result = incarnation is not null && reply.Incarnation != incarnation
                ? new ProbeResult(ProbeOutcome.Dead, ProbeResult.AnotherIncarnation, reply)
                : new ProbeResult(ProbeOutcome.Alive, reply.State.ToString(), reply);
        }
        catch (OperationCanceledException) when (ct.IsCancellationRequested)
        {
            throw;
        }
        catch (Exception e) when (e is OperationCanceledException or TimeoutException)
        {
            result = new ProbeResult(ProbeOutcome.Silent, "no answer", null);
        }
#pragma warning disable CA1031 // Any failure of the transport means: no answer. The reason is kept for the user.
        catch (Exception e)
#pragma warning restore CA1031
        {
            result = IsRefused(e)
                ? new ProbeResult(ProbeOutcome.Dead, ProbeResult.Refused, null)
                : new ProbeResult(ProbeOutcome.Silent, e.Message, null);
        }

        peers.Record(address, result, isSelf: result.Reply is { } answer && self.IsSelf(answer), isDiscovery);
        return result;
    }
}
