using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using GlooX.Channels;
using GlooX.Contracts;
using Microsoft.Extensions.Logging;

#pragma warning disable CS1574 // the documentation lies with the agent's channel until both share an interface

namespace GlooX;

/// <summary>
/// A channel as a client sees it: everything is a call to an agent, which does it as <see cref="Channel{T}"/> says. Callbacks run in this
/// process. When the connection is lost, they go on with the next: what was missed in between is told as its last state. Thread-safe.
/// </summary>
/// <typeparam name="T">As with <see cref="Channel{T}"/>.</typeparam>
public sealed class ClientChannel<T>
{
    private static readonly TimeSpan s_again = TimeSpan.FromMilliseconds(200);
    private readonly IChannelService _service;
    private readonly ILogger _logger;

    internal ClientChannel(IChannelService service, string name, ILogger logger)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        (_service, Name, _logger) = (service, name, logger);
    }

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <inheritdoc cref="Channel{T}.SetAsync"/>
    /// <exception cref="RpcException">The agent does not answer; whether the write was made is not known.</exception>
    public async Task SetAsync(string key, T? value, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        Check(await _service.WriteAsync(ChannelWrite.Of(Name, key, ChannelValue.Write(value), options), ct).ConfigureAwait(false));

    /// <inheritdoc cref="Channel{T}.SetManyAsync"/>
    /// <exception cref="RpcException">The agent does not answer; whether the writes were made is not known.</exception>
    public async Task SetManyAsync(IEnumerable<KeyValuePair<string, T?>> entries, ChannelWriteOptions? options = null, CancellationToken ct = default)
    {
        KeyValuePair<string, T?>[] all = [.. entries];
        Check(await _service.WriteManyAsync(ChannelWrite.Of(Name, "", null, options), [.. all.Select(e => e.Key)], [.. all.Select(e => ChannelValue.Write(e.Value))], ct).ConfigureAwait(false));
    }

    /// <inheritdoc cref="Channel{T}.UpdateAsync"/>
    /// <exception cref="RpcException">The agent does not answer; whether the writes were made is not known.</exception>
    public Task UpdateAsync(IReadOnlyDictionary<string, T?> entries, ChannelWriteOptions? options = null, CancellationToken ct = default) => SetManyAsync(entries, options, ct);

    /// <inheritdoc cref="Channel{T}.SetIfAsync"/>
    /// <exception cref="RpcException">The agent does not answer; whether the write was made is not known.</exception>
    public async Task<bool> SetIfAsync(string key, T? value, ChannelVersion expected, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        Check(await _service.WriteAsync(ChannelWrite.Of(Name, key, ChannelValue.Write(value), options, expected), ct).ConfigureAwait(false)).Number != 0;

    /// <inheritdoc cref="Channel{T}.DeleteAsync"/>
    /// <exception cref="RpcException">The agent does not answer; whether the write was made is not known.</exception>
    public async Task<bool> DeleteAsync(string key, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        Check(await _service.WriteAsync(ChannelWrite.Of(Name, key, null, options), ct).ConfigureAwait(false)).Number != 0;

    /// <inheritdoc cref="Channel{T}.AddAsync"/>
    /// <exception cref="RpcException">The agent does not answer; whether it was added is not known.</exception>
    public async Task<long> AddAsync(string key, long delta = 1, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        Check(await _service.AddAsync(ChannelWrite.Of(Name, key, null, options), delta, ct).ConfigureAwait(false)).Number;

    /// <summary>A counter's sum; 0 if there is none.</summary>
    /// <param name="key">The key.</param>
    /// <param name="ct">Gives up.</param>
    /// <returns>The sum as far as the agent knows it.</returns>
    /// <exception cref="ChannelException">The channel is gone.</exception>
    /// <exception cref="RpcException">The agent does not answer.</exception>
    public async Task<long> SumAsync(string key, CancellationToken ct = default) => Check(await _service.GetAsync(Name, key, ct).ConfigureAwait(false)).Number;

    /// <summary>What a key holds; the default of the type if nothing.</summary>
    /// <param name="key">The key.</param>
    /// <param name="ct">Gives up.</param>
    /// <returns>Its value.</returns>
    /// <exception cref="ChannelException">The channel is gone.</exception>
    /// <exception cref="RpcException">The agent does not answer.</exception>
    public async Task<T?> GetAsync(string key, CancellationToken ct = default) => (await TryGetAsync(key, ct).ConfigureAwait(false)).Value;

    /// <summary>What a key holds, and which write that is, for <see cref="SetIfAsync"/>.</summary>
    /// <param name="key">The key.</param>
    /// <param name="ct">Gives up.</param>
    /// <returns>Whether it has a value, the value, and its version.</returns>
    /// <exception cref="ChannelException">The channel is gone.</exception>
    /// <exception cref="RpcException">The agent does not answer.</exception>
    public async Task<(bool Exists, T? Value, ChannelVersion Version)> TryGetAsync(string key, CancellationToken ct = default)
    {
        ChannelReply reply = Check(await _service.GetAsync(Name, key, ct).ConfigureAwait(false));
        return reply.Value is { } bytes ? (true, ChannelValue.Read<T>(bytes), new ChannelVersion(reply.Time, reply.Node)) : default;
    }

    /// <summary>How many keys it has.</summary>
    /// <param name="ct">Gives up.</param>
    /// <returns>The number.</returns>
    /// <exception cref="ChannelException">The channel is gone.</exception>
    /// <exception cref="RpcException">The agent does not answer.</exception>
    public async Task<int> CountAsync(CancellationToken ct = default) => (int)Check(await _service.CountAsync(Name, ct).ConfigureAwait(false)).Number;

    /// <summary>All keys and values of one moment at the agent.</summary>
    /// <param name="ct">Gives up.</param>
    /// <returns>A copy.</returns>
    /// <exception cref="ChannelException">The channel is gone.</exception>
    /// <exception cref="RpcException">The agent does not answer.</exception>
    public async Task<Dictionary<string, T?>> ToDictionaryAsync(CancellationToken ct = default)
    {
        var all = new Dictionary<string, T?>(StringComparer.Ordinal);
        await foreach (ChannelItem[] items in ItemsAsync(Keys.All, follow: false, ct).ConfigureAwait(false))
        {
            foreach (ChannelItem item in items)
            {
                all[item.Key] = ChannelValue.Read<T>(item.Value);
            }
        }

        return all;
    }

    /// <summary>All that is there now, as sets, and then every change.</summary>
    /// <param name="keys">Which keys; default: all.</param>
    /// <param name="ct">Ends it, with <see cref="OperationCanceledException"/>.</param>
    /// <returns>The changes; each enumeration begins anew.</returns>
    /// <exception cref="ChannelException">The channel is gone, or goes.</exception>
    /// <exception cref="RpcException">The agent does not answer, or the connection to it broke.</exception>
    public async IAsyncEnumerable<ChannelChange<T>> WatchAsync(Keys keys = default, [EnumeratorCancellation] CancellationToken ct = default)
    {
        await foreach (ChannelItem[] items in ItemsAsync(keys, follow: true, ct).ConfigureAwait(false))
        {
            foreach (ChannelItem item in items)
            {
                yield return Public(item);
            }
        }

        throw new ChannelException(ChannelError.NotFound, Name, "it was removed");
    }

    /// <summary>Waits until a key has a value that fulfils a condition; it may do so already.</summary>
    /// <param name="key">The key.</param>
    /// <param name="predicate">The condition; null: any value.</param>
    /// <param name="ct">Gives up; without it, it may wait for ever.</param>
    /// <returns>The value.</returns>
    /// <exception cref="ChannelException">The channel is gone, or goes.</exception>
    /// <exception cref="RpcException">The agent does not answer, or the connection to it broke.</exception>
    public async Task<T?> WaitForAsync(string key, Func<T?, bool>? predicate = null, CancellationToken ct = default)
    {
        await foreach (ChannelChange<T> change in WatchAsync(key, ct).ConfigureAwait(false))
        {
            if (!change.IsDelete && predicate?.Invoke(change.Value) is not false)
            {
                return change.Value;
            }
        }

        throw new ChannelException(ChannelError.NotFound, Name, $"it went while '{key}' was waited for");
    }

    /// <summary>
    /// Calls a handler whenever a key is set, on whichever node. In the order of each key and one call at a time. A handler that throws is
    /// logged and goes on, as does one for which a value of another type comes. After a lost connection, or a restart of the agent, it is told what has been set
    /// in between, each key once. Removing the channel ends it; where that happened while the connection was lost, it waits for a new one.
    /// </summary>
    /// <param name="keys">A key, all, or those with a prefix.</param>
    /// <param name="handler">Gets the key and the value.</param>
    /// <param name="ct">Gives up.</param>
    /// <returns>Once the agent has it: from then on nothing is missed. Disposing it ends the calls.</returns>
    /// <exception cref="ChannelException">The channel is gone.</exception>
    /// <exception cref="RpcException">The agent does not answer.</exception>
    public Task<IAsyncDisposable> OnSetAsync(Keys keys, Action<string, T?> handler, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return ListenAsync(keys, change =>
        {
            if (!change.IsDelete)
            {
                handler(change.Key, change.Value);
            }
        }, ct);
    }

    /// <summary>Calls a handler whenever a key is deleted, for whatever reason; as <see cref="OnSetAsync"/>.</summary>
    /// <param name="keys">A key, all, or those with a prefix.</param>
    /// <param name="handler">Gets the key.</param>
    /// <param name="ct">Gives up.</param>
    /// <returns>Once the agent has it: from then on nothing is missed. Disposing it ends the calls.</returns>
    /// <exception cref="ChannelException">The channel is gone.</exception>
    /// <exception cref="RpcException">The agent does not answer.</exception>
    public Task<IAsyncDisposable> OnDeleteAsync(Keys keys, Action<string> handler, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return ListenAsync(keys, change =>
        {
            if (change.IsDelete)
            {
                handler(change.Key);
            }
        }, ct);
    }

    private async Task<IAsyncDisposable> ListenAsync(Keys keys, Action<ChannelChange<T>> handle, CancellationToken ct)
    {
        Check(await _service.CountAsync(Name, ct).ConfigureAwait(false));
        var listener = new Listener(this, keys, handle);
        await listener.StartAsync(ct).ConfigureAwait(false);
        return listener;
    }

    private async IAsyncEnumerable<ChannelItem[]> ItemsAsync(Keys keys, bool follow, [EnumeratorCancellation] CancellationToken ct)
    {
        Check(await _service.CountAsync(Name, ct).ConfigureAwait(false)); // a missing channel is told by its own error
        await foreach (ChannelItem[] items in _service.WatchAsync(Name, keys.Text, keys.IsPrefix, follow, ct).ConfigureAwait(false))
        {
            yield return items;
        }
    }

    private ChannelReply Check(ChannelReply reply) => reply.OrThrow(Name);

    private static ChannelChange<T> Public(ChannelItem item) => new(item.Key, item.IsDelete, ChannelValue.Read<T>(item.Value), new ChannelVersion(item.Time, item.Node));

    /// <summary>
    /// Follows the channel across connections and restarts of the agent. It keeps which write of each key was told last, to tell each once. A
    /// channel that is missing after the connection was lost may be on its way, to an agent that has just started again: it is waited for.
    /// </summary>
    private sealed class Listener(ClientChannel<T> channel, Keys keys, Action<ChannelChange<T>> handle) : IAsyncDisposable
    {
        private readonly CancellationTokenSource _stop = new();
        private readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly Dictionary<string, Told> _told = new(StringComparer.Ordinal);
        private Task _running = Task.CompletedTask;

        public async Task StartAsync(CancellationToken ct)
        {
            _running = Task.Run(RunAsync, CancellationToken.None);
            try
            {
                await _started.Task.WaitAsync(ct).ConfigureAwait(false);
            }
            catch
            {
                await DisposeAsync().ConfigureAwait(false);
                throw;
            }
        }

        public async ValueTask DisposeAsync()
        {
            if (!_stop.IsCancellationRequested)
            {
                await _stop.CancelAsync().ConfigureAwait(false);
            }

            await _running.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        private async Task RunAsync()
        {
            while (!_stop.IsCancellationRequested)
            {
                try
                {
                    await FollowAsync().ConfigureAwait(false);
                    return; // the channel was removed
                }
                catch (OperationCanceledException) when (_stop.IsCancellationRequested)
                {
                    return;
                }
                catch (Exception e) when (!_started.Task.IsCompleted)
                {
                    _started.TrySetException(e);
                    return;
                }
                catch (Exception e) when (e is RpcException or ChannelException)
                {
                    await Task.Delay(s_again, _stop.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                }
            }
        }

        private async Task FollowAsync()
        {
            bool isFirst = !_started.Task.IsCompleted;
            HashSet<string>? present = new(StringComparer.Ordinal);
            await foreach (ChannelItem[] items in channel.ItemsAsync(keys, follow: true, _stop.Token).ConfigureAwait(false))
            {
                if (items.Length == 0 && present is not null)
                {
                    foreach (string gone in _told.Keys.Except(present, StringComparer.Ordinal).ToArray())
                    {
                        _told.Remove(gone);
                        Tell(gone, () => new ChannelChange<T>(gone, IsDelete: true, default, default));
                    }

                    present = null;
                    _started.TrySetResult();
                    continue;
                }

                foreach (ChannelItem item in items)
                {
                    present?.Add(item.Key);
                    bool isKnown = _told.TryGetValue(item.Key, out Told told) && told.Covers(item);
                    if (item.IsDelete)
                    {
                        _told.Remove(item.Key);
                    }
                    else
                    {
                        _told[item.Key] = Told.Of(item);
                    }

                    // What was there when it began is no news.
                    if (present is null || (!isFirst && !isKnown))
                    {
                        Tell(item.Key, () => Public(item));
                    }
                }
            }
        }

        // Reading the value may fail as well: it may be of another type.
        private void Tell(string key, Func<ChannelChange<T>> change)
        {
            try
            {
                handle(change());
            }
            catch (Exception e)
            {
                channel._logger.HandlerThrew(channel.Name, key, e);
            }
        }
    }

    /// <summary>What was told last of a key. Of what is there, sums of counters come without a write: they are known by their value.</summary>
    [StructLayout(LayoutKind.Auto)]
    private readonly record struct Told(ulong Time, ulong Node, ulong Value)
    {
        private static ulong HashOf(byte[] value) => BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(value));

        public static Told Of(ChannelItem item) => new(item.Time, item.Node, HashOf(item.Value));

        public bool Covers(ChannelItem item) => (item.Time, item.Node) == default ? Value == HashOf(item.Value) : (Time, Node) == (item.Time, item.Node);
    }
}
