using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using GlooX.Contracts;
using Microsoft.Extensions.Logging;

namespace GlooX.Channels;

/// <summary>
/// A channel as a client sees it: each operation is a call to an agent. Callbacks run in this process; when the connection is lost, they
/// go on with the next one, and what was missed in between is told as its last state.
/// </summary>
internal sealed class ClientChannel<T> : IChannel<T>
{
    private static readonly TimeSpan s_again = TimeSpan.FromMilliseconds(200);
    private readonly IChannelService _service;
    private readonly ILogger _logger;

    public ClientChannel(IChannelService service, string name, ILogger logger)
    {
        ArgumentException.ThrowIfNullOrEmpty(name);
        (_service, Name, _logger) = (service, name, logger);
    }

    public string Name { get; }

    public async ValueTask<ChannelOptions> OptionsAsync(CancellationToken ct = default) =>
        await _service.OptionsAsync(Name, ct).ConfigureAwait(false)
            ?? throw new ChannelException(ChannelError.NotFound, Name, "it does not exist");

    public async ValueTask<int> CountAsync(CancellationToken ct = default) =>
        (int)Check(await _service.CountAsync(Name, ct).ConfigureAwait(false)).Number;

    public async ValueTask SetAsync(string key, T? value, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        Check(await _service.WriteAsync(ChannelWrite.Of(Name, key, ChannelValue.Write(value), options), ct).ConfigureAwait(false));

    public async ValueTask SetManyAsync(
        IEnumerable<KeyValuePair<string, T?>> entries, ChannelWriteOptions? options = null, CancellationToken ct = default)
    {
        KeyValuePair<string, T?>[] all = [.. entries];
        byte[][] values = [.. all.Select(e => ChannelValue.Write(e.Value))];
        Check(await _service.WriteManyAsync(ChannelWrite.Of(Name, "", null, options), [.. all.Select(e => e.Key)], values, ct)
            .ConfigureAwait(false));
    }

    public async ValueTask<bool> SetIfAsync(
        string key, T? value, ChannelVersion expected, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        Check(await _service.WriteAsync(ChannelWrite.Of(Name, key, ChannelValue.Write(value), options, expected), ct)
            .ConfigureAwait(false)).Number != 0;

    public async ValueTask<bool> DeleteAsync(string key, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        Check(await _service.WriteAsync(ChannelWrite.Of(Name, key, null, options), ct).ConfigureAwait(false)).Number != 0;

    public async ValueTask<long> AddAsync(
        string key, long delta = 1, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        Check(await _service.AddAsync(ChannelWrite.Of(Name, key, null, options), delta, ct).ConfigureAwait(false)).Number;

    public async ValueTask<long> SumAsync(string key, CancellationToken ct = default) =>
        Check(await _service.GetAsync(Name, key, ct).ConfigureAwait(false)).Number;

    public async ValueTask<T?> GetAsync(string key, CancellationToken ct = default) =>
        (await TryGetAsync(key, ct).ConfigureAwait(false)).Value;

    public async ValueTask<(bool Exists, T? Value, ChannelVersion Version)> TryGetAsync(string key, CancellationToken ct = default)
    {
        ChannelReply reply = Check(await _service.GetAsync(Name, key, ct).ConfigureAwait(false));
        return reply.Value is { } bytes ? (true, ChannelValue.Read<T>(bytes), new ChannelVersion(reply.Time, reply.Node)) : default;
    }

    public async ValueTask<Dictionary<string, T?>> ToDictionaryAsync(CancellationToken ct = default)
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

    public async Task<T?> WaitForAsync(string key, Func<T?, bool>? predicate = null, CancellationToken ct = default)
    {
        await foreach (ChannelChange<T> change in WatchAsync(key, ct).ConfigureAwait(false))
        {
            if (!change.IsDelete && predicate?.Invoke(change.Value) is not false)
            {
                return change.Value;
            }
        }

        throw new ChannelException(ChannelError.NotFound, Name, $"it was removed while '{key}' was waited for");
    }

    public ValueTask<IAsyncDisposable> OnSetAsync(
        Keys keys, Action<string, T?> handler, bool onChange = false, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return OnSetAsync(keys, (key, value) =>
        {
            handler(key, value);
            return Task.CompletedTask;
        }, onChange, ct);
    }

    public ValueTask<IAsyncDisposable> OnSetAsync(
        Keys keys, Func<string, T?, Task> handler, bool onChange = false, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return ListenAsync(keys, onChange, change => change.IsDelete ? Task.CompletedTask : handler(change.Key, change.Value), ct);
    }

    public ValueTask<IAsyncDisposable> OnDeleteAsync(Keys keys, Action<string> handler, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return ListenAsync(keys, onChange: false, change =>
        {
            if (change.IsDelete)
            {
                handler(change.Key);
            }

            return Task.CompletedTask;
        }, ct);
    }

    private async ValueTask<IAsyncDisposable> ListenAsync(
        Keys keys, bool onChange, Func<ChannelChange<T>, Task> handle, CancellationToken ct)
    {
        Check(await _service.CountAsync(Name, ct).ConfigureAwait(false));
        var listener = new Listener(this, keys, onChange, handle);
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

    private static ChannelChange<T> Public(ChannelItem item) =>
        new(item.Key, item.IsDelete, ChannelValue.Read<T>(item.Value), new ChannelVersion(item.Time, item.Node));

    /// <summary>
    /// Follows the channel across connections and restarts of the agent. It keeps which write of each key was told last, to tell each once.
    /// A channel that is missing after the connection was lost may be on its way, to an agent that has just started again: it is waited
    /// for.
    /// </summary>
    private sealed class Listener(ClientChannel<T> channel, Keys keys, bool onChange, Func<ChannelChange<T>, Task> handle)
        : IAsyncDisposable
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
                        await TellAsync(gone, () => new ChannelChange<T>(gone, IsDelete: true, default, default)).ConfigureAwait(false);
                    }

                    present = null;
                    _started.TrySetResult();
                    continue;
                }

                foreach (ChannelItem item in items)
                {
                    present?.Add(item.Key);
                    bool isTold = _told.TryGetValue(item.Key, out Told told);
                    bool isKnown = isTold && told.Covers(item);
                    bool isSame = onChange && isTold && !item.IsDelete && told.Value == Told.Of(item).Value;
                    if (item.IsDelete)
                    {
                        _told.Remove(item.Key);
                    }
                    else
                    {
                        _told[item.Key] = Told.Of(item);
                    }

                    // What was there when it began is no news.
                    if (!isSame && (present is null || (!isFirst && !isKnown)))
                    {
                        await TellAsync(item.Key, () => Public(item)).ConfigureAwait(false);
                    }
                }
            }
        }

        // Reading the value may fail as well: it may be of another type.
        private async Task TellAsync(string key, Func<ChannelChange<T>> change)
        {
            try
            {
                await handle(change()).ConfigureAwait(false);
            }
            catch (Exception e)
            {
                channel._logger.HandlerThrew(channel.Name, key, e);
            }
        }
    }

    /// <summary>
    /// What was told last of a key. Of what is there, sums of counters come without a write: they are known by their value.
    /// </summary>
    [StructLayout(LayoutKind.Auto)]
    private readonly record struct Told(ulong Time, ulong Node, ulong Value)
    {
        private static ulong HashOf(byte[] value) => BinaryPrimitives.ReadUInt64LittleEndian(SHA256.HashData(value));

        public static Told Of(ChannelItem item) => new(item.Time, item.Node, HashOf(item.Value));

        public bool Covers(ChannelItem item) =>
            (item.Time, item.Node) == default ? Value == HashOf(item.Value) : (Time, Node) == (item.Time, item.Node);
    }
}
