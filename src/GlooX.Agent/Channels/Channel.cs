using System.Runtime.CompilerServices;
using GlooX.Channels;
using GlooX.Channels.Replication;

namespace GlooX;

/// <summary>
/// A channel as its agent sees it: a named map that all nodes of the grid share, with callbacks that fire on every node. Reads are local
/// and take no time. A write is applied here at once and reaches the others by itself; of writes that nodes make to one key at once the
/// last one wins, on all nodes the same. A node that was cut off, or is new, gets everything. All members are thread-safe.
/// </summary>
/// <remarks>
/// Values are whatever calls may carry; null is a value. All views of a channel, of whatever type, are the same channel. After it was
/// removed, its callbacks have ended, and everything else throws <see cref="ChannelError.NotFound"/> until one of that name is created again.
/// </remarks>
/// <typeparam name="T">What its values are; with <see cref="object"/> whatever comes: null, bool, long, double, string, byte[], object[] or a dictionary.</typeparam>
public sealed class Channel<T>
{
    private readonly ChannelHub _hub;

    internal Channel(ChannelHub hub, string name) => (_hub, Name) = (hub, name);

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>What was fixed when it was created.</summary>
    /// <exception cref="ChannelException">It was removed.</exception>
    public ChannelOptions Options => _hub.Spec(Name).ToOptions();

    /// <summary>How many keys it has.</summary>
    /// <exception cref="ChannelException">It was removed.</exception>
    public int Count => _hub.Count(Name);

    /// <summary>Sets a key.</summary>
    /// <param name="key">The key.</param>
    /// <param name="value">The value.</param>
    /// <param name="options">Null: the channel's.</param>
    /// <param name="ct">Gives up waiting; the write is made all the same.</param>
    /// <returns>Completes, usually at once, when the write is made here and as many have confirmed it as asked for. It waits while other nodes lag behind, for two seconds at most.</returns>
    /// <exception cref="ChannelException">The key or value is not allowed, the channel is full or gone, or others have not confirmed in time.</exception>
    public ValueTask SetAsync(string key, T? value, ChannelWriteOptions? options = null, CancellationToken ct = default)
    {
        ValueTask<bool> set = _hub.WriteAsync(Name, key, ChannelValue.Write(value), options ?? ChannelWriteOptions.Default, null, ct);
        return set.IsCompletedSuccessfully ? default : new ValueTask(set.AsTask());
    }

    /// <summary>Sets many keys in their order, as one message; the checks are made before the first.</summary>
    /// <inheritdoc cref="SetAsync"/>
    /// <param name="entries">The keys and their values.</param>
    /// <param name="options">Null: the channel's.</param>
    /// <param name="ct">Gives up waiting; the writes are made all the same.</param>
    public ValueTask SetManyAsync(IEnumerable<KeyValuePair<string, T?>> entries, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        _hub.WriteManyAsync(Name, [.. entries.Select(e => KeyValuePair.Create(e.Key, ChannelValue.Write(e.Value)))], options ?? ChannelWriteOptions.Default, ct);

    /// <summary>Sets all that a dictionary holds and leaves other keys alone; as <see cref="SetManyAsync"/>.</summary>
    /// <inheritdoc cref="SetManyAsync"/>
    public ValueTask UpdateAsync(IReadOnlyDictionary<string, T?> entries, ChannelWriteOptions? options = null, CancellationToken ct = default) => SetManyAsync(entries, options, ct);

    /// <summary>
    /// Sets a key if it holds, here and now, the write that is expected. Optimistic: nodes that do so at the same moment both succeed, and the
    /// last one wins. It spares lost updates among callers of one node, and most of those among nodes; it is no lock.
    /// </summary>
    /// <param name="key">The key.</param>
    /// <param name="value">The value.</param>
    /// <param name="expected">From <see cref="TryGet(string, out T, out ChannelVersion)"/>; default: that the key has no value.</param>
    /// <param name="options">Null: the channel's.</param>
    /// <param name="ct">Gives up waiting; the write is made all the same.</param>
    /// <returns>False: it holds something else, and nothing was done.</returns>
    /// <exception cref="ChannelException">As with <see cref="SetAsync"/>.</exception>
    public ValueTask<bool> SetIfAsync(string key, T? value, ChannelVersion expected, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        _hub.WriteAsync(Name, key, ChannelValue.Write(value), options ?? ChannelWriteOptions.Default, new Stamp(expected.Time, expected.Node), ct);

    /// <summary>Deletes a key, or a counter.</summary>
    /// <param name="key">The key.</param>
    /// <param name="options">Null: the channel's.</param>
    /// <param name="ct">Gives up waiting; the write is made all the same.</param>
    /// <returns>False: there was none here.</returns>
    /// <exception cref="ChannelException">The channel is gone, or others have not confirmed in time.</exception>
    public ValueTask<bool> DeleteAsync(string key, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        _hub.WriteAsync(Name, key, null, options ?? ChannelWriteOptions.Default, null, ct);

    /// <summary>
    /// Adds to a counter, which begins at 0. However many nodes add at once, cut off or not, in the end every node has the sum of all. A
    /// counter reads as a number, and whoever asked for sets of its key hears of each sum.
    /// </summary>
    /// <param name="key">The key; it may hold no other value.</param>
    /// <param name="delta">What to add; may be negative.</param>
    /// <param name="options">Null: the channel's. Counters live for ever: its time and <see cref="ChannelWriteOptions.Ephemeral"/> do not count.</param>
    /// <param name="ct">Gives up waiting; it is added all the same.</param>
    /// <returns>The sum as far as this node knows it.</returns>
    /// <exception cref="ChannelException">The key holds a value, or as with <see cref="SetAsync"/>.</exception>
    public ValueTask<long> AddAsync(string key, long delta = 1, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        _hub.AddAsync(Name, key, delta, options ?? ChannelWriteOptions.Default, ct);

    /// <summary>A counter's sum; 0 if there is none.</summary>
    /// <param name="key">The key.</param>
    /// <returns>The sum as far as this node knows it.</returns>
    /// <exception cref="ChannelException">The channel is gone.</exception>
    public long Sum(string key) => _hub.Sum(Name, key);

    /// <summary>What a key holds; the default of the type if nothing.</summary>
    /// <param name="key">The key.</param>
    /// <returns>Its value.</returns>
    /// <exception cref="ChannelException">The channel is gone.</exception>
    public T? Get(string key) => TryGet(key, out T? value) ? value : default;

    /// <summary>What a key holds.</summary>
    /// <param name="key">The key.</param>
    /// <param name="value">Its value.</param>
    /// <returns>False: it has none.</returns>
    /// <exception cref="ChannelException">The channel is gone.</exception>
    public bool TryGet(string key, out T? value) => TryGet(key, out value, out _);

    /// <summary>What a key holds, and which write that is.</summary>
    /// <param name="key">The key.</param>
    /// <param name="value">Its value.</param>
    /// <param name="version">For <see cref="SetIfAsync"/>.</param>
    /// <returns>False: it has none.</returns>
    /// <exception cref="ChannelException">The channel is gone.</exception>
    public bool TryGet(string key, out T? value, out ChannelVersion version)
    {
        bool exists = _hub.TryGet(Name, key, out byte[] bytes, out Stamp stamp);
        (value, version) = exists ? (ChannelValue.Read<T>(bytes), stamp.ToVersion()) : (default, default);
        return exists;
    }

    /// <summary>All keys and values of one moment on this node.</summary>
    /// <returns>A copy.</returns>
    /// <exception cref="ChannelException">The channel is gone.</exception>
    public Dictionary<string, T?> ToDictionary() =>
        _hub.Snapshot(Name, Keys.All).ToDictionary(c => c.Key, c => ChannelValue.Read<T>(c.Value), StringComparer.Ordinal);

    /// <summary>
    /// Calls a handler whenever a key is set, on whichever node, also when the value is the same as before. In the order of each key, one
    /// call at a time, on the thread pool. A handler that throws is logged and goes on. One that is slow holds up nobody else: beyond 16,384
    /// waiting changes it is told only the last of each key.
    /// </summary>
    /// <param name="key">The key.</param>
    /// <param name="handler">Gets the value.</param>
    /// <param name="onChange">Only when the value is another than before, compared as serialized.</param>
    /// <returns>Disposing it ends the calls.</returns>
    /// <exception cref="ChannelException">The channel is gone.</exception>
    public IDisposable OnSet(string key, Action<T?> handler, bool onChange = false)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return OnSet(key, (_, value) => handler(value), onChange);
    }

    /// <inheritdoc cref="OnSet(string, Action{T}, bool)"/>
    /// <param name="keys">A key, all, or those with a prefix.</param>
    /// <param name="handler">Gets the key and the value.</param>
    /// <param name="onChange">Only when the value is another than before, compared as serialized.</param>
    public IDisposable OnSet(Keys keys, Action<string, T?> handler, bool onChange = false)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return _hub.Subscribe(Name, keys, sets: true, onChange, change =>
        {
            handler(change.Key, ChannelValue.Read<T>(change.Value));
            return default;
        });
    }

    /// <inheritdoc cref="OnSet(Keys, Action{string, T}, bool)"/>
    public IDisposable OnSet(Keys keys, Func<string, T?, Task> handler, bool onChange = false)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return _hub.Subscribe(Name, keys, sets: true, onChange, change => new ValueTask(handler(change.Key, ChannelValue.Read<T>(change.Value))));
    }

    /// <summary>Calls a handler whenever a key is deleted, for whatever reason: on whichever node, or because its time or its node is over. As <see cref="OnSet(string, Action{T}, bool)"/>.</summary>
    /// <param name="keys">A key, all, or those with a prefix.</param>
    /// <param name="handler">Gets the key.</param>
    /// <returns>Disposing it ends the calls.</returns>
    /// <exception cref="ChannelException">The channel is gone.</exception>
    public IDisposable OnDelete(Keys keys, Action<string> handler)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return _hub.Subscribe(Name, keys, sets: false, onlyChanges: false, change =>
        {
            handler(change.Key);
            return default;
        });
    }

    /// <summary>All that is there now, as sets, and then every change. Beyond 16,384 changes that wait, of each key only the last comes.</summary>
    /// <param name="keys">Which keys; default: all.</param>
    /// <param name="ct">Ends it, with <see cref="OperationCanceledException"/>.</param>
    /// <returns>The changes; each enumeration begins anew. It ends when the agent stops.</returns>
    /// <exception cref="ChannelException">The channel is gone, or goes.</exception>
    public async IAsyncEnumerable<ChannelChange<T>> WatchAsync(Keys keys = default, [EnumeratorCancellation] CancellationToken ct = default)
    {
        var queue = new ChangeQueue(keys, sets: true, deletes: true, onlyChanges: false);
        try
        {
            foreach (Change change in _hub.Read(Name, keys, queue, withSnapshot: true))
            {
                ct.ThrowIfCancellationRequested();
                yield return Public(change);
            }

            while (await queue.WaitAsync(ct).ConfigureAwait(false))
            {
                while (queue.TryTake(out Change change))
                {
                    yield return Public(change);
                }
            }
        }
        finally
        {
            _hub.Stop(queue);
        }

        _ = _hub.Count(Name); // throws if that is why it ended
    }

    /// <summary>Waits until a key has a value that fulfils a condition; it may do so already.</summary>
    /// <param name="key">The key.</param>
    /// <param name="predicate">The condition; null: any value.</param>
    /// <param name="ct">Gives up; without it, it may wait for ever.</param>
    /// <returns>The value.</returns>
    /// <exception cref="ChannelException">The channel is gone, or goes.</exception>
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

    private static ChannelChange<T> Public(Change change) =>
        new(change.Key, change.Kind == ChangeKind.Delete, ChannelValue.Read<T>(change.Value), change.Version.ToVersion());
}
