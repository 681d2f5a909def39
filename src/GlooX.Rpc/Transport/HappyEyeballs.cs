using System.Net;
using System.Net.Sockets;

namespace GlooX.Transport;

/// <summary>
/// Connects to a host with several addresses as in RFC 8305 (Happy Eyeballs, version 2): attempts start one after the other, alternating between
/// address families, when the previous attempt has failed or took a while. The first connection wins; the other attempts are cancelled.
/// </summary>
/// <remarks>Not implemented: separate queries for the two families (section 3), because the system's resolver has one answer for both.</remarks>
internal static class HappyEyeballs
{
    /// <summary>"Connection Attempt Delay" (RFC 8305, section 5).</summary>
    public static readonly TimeSpan Delay = TimeSpan.FromMilliseconds(250);

    /// <summary>The resolver's order, best first (RFC 6724), alternating between families so that a broken family does not delay the other.</summary>
    public static IReadOnlyList<IPAddress> Interleave(IReadOnlyList<IPAddress> addresses)
    {
        AddressFamily? first = addresses.Count > 0 ? addresses[0].AddressFamily : null;
        var one = new Queue<IPAddress>(addresses.Where(a => a.AddressFamily == first));
        var other = new Queue<IPAddress>(addresses.Where(a => a.AddressFamily != first));
        var all = new List<IPAddress>(addresses.Count);
        while (all.Count < addresses.Count)
        {
            if (one.TryDequeue(out IPAddress? next))
            {
                all.Add(next);
            }

            if (other.TryDequeue(out next))
            {
                all.Add(next);
            }
        }

        return all;
    }

    /// <summary>Connects to one of the addresses.</summary>
    /// <param name="addresses">In the order of the attempts.</param>
    /// <param name="connect">Makes one attempt.</param>
    /// <param name="time">The clock.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>The result of the first attempt that succeeded.</returns>
    /// <exception cref="SocketException">All attempts failed. The code is "refused" only if all were refused.</exception>
    public static async Task<T> RunAsync<T>(IReadOnlyList<IPAddress> addresses, Func<IPAddress, CancellationToken, Task<T>> connect, TimeProvider time, CancellationToken ct)
        where T : IAsyncDisposable
    {
        if (addresses.Count == 0)
        {
            throw new SocketException((int)SocketError.HostNotFound);
        }

        if (addresses.Count == 1)
        {
            return await connect(addresses[0], ct).ConfigureAwait(false);
        }

        using var end = CancellationTokenSource.CreateLinkedTokenSource(ct);
        var running = new List<Task<T>>();
        Exception? failure = null;
        try
        {
            for (int next = 0; next < addresses.Count || running.Count > 0;)
            {
                if (next < addresses.Count)
                {
                    running.Add(connect(addresses[next++], end.Token));
                }

                if (await FirstAsync(running, next < addresses.Count ? Delay : Timeout.InfiniteTimeSpan, time, ct).ConfigureAwait(false) is not { } first)
                {
                    continue; // the next one joins in
                }

                running.Remove(first);
                try
                {
                    return await first.ConfigureAwait(false);
                }
                catch (SocketException e)
                {
                    failure = failure is null or SocketException { SocketErrorCode: SocketError.ConnectionRefused } ? e : failure;
                }
            }
        }
        finally
        {
            await end.CancelAsync().ConfigureAwait(false);
            foreach (Task<T> late in running)
            {
                await ((Task)late).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                if (late.IsCompletedSuccessfully)
                {
                    await (await late.ConfigureAwait(false)).DisposeAsync().ConfigureAwait(false);
                }
            }
        }

        throw failure!;
    }

    /// <summary>The first attempt that has ended; null: none within that time.</summary>
    private static async Task<Task<T>?> FirstAsync<T>(List<Task<T>> running, TimeSpan patience, TimeProvider time, CancellationToken ct)
    {
        try
        {
            return await Task.WhenAny(running).WaitAsync(patience, time, ct).ConfigureAwait(false);
        }
        catch (TimeoutException)
        {
            return null;
        }
    }
}
