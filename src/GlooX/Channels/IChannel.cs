namespace GlooX;

/// <summary>
/// A channel: a named map that all nodes of the grid share, with callbacks that run on every node that asked for them. A write is
/// applied on one node at once and reaches the others by itself. Of writes that nodes make to one key at the same time the last one
/// wins, on all nodes the same. A node that was cut off, or is new, gets everything.
/// </summary>
/// <remarks>
/// <para>Values are whatever calls may carry; null is a value. All views of a channel, of whatever type, are the same channel.</para>
/// <para>On an agent, reads are local and complete at once. For a client, every operation is a call to its agent and also throws
/// <see cref="RpcException"/> when that does not answer; whether a write was made is then unknown.</para>
/// <para>When the channel is removed, its callbacks end, and everything else throws a <see cref="ChannelException"/> with
/// <see cref="ChannelError.NotFound"/> until a channel of that name is created again.</para>
/// <para>All members are thread-safe.</para>
/// </remarks>
/// <typeparam name="T">The type of its values. With <see cref="object"/>: null, bool, long, double, string, byte[], object[] or a
/// dictionary.</typeparam>
public interface IChannel<T>
{
    /// <summary>The channel's name.</summary>
    string Name { get; }

    /// <summary>The options that were fixed when the channel was created.</summary>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>The options.</returns>
    /// <exception cref="ChannelException">The channel does not exist.</exception>
    ValueTask<ChannelOptions> OptionsAsync(CancellationToken ct = default);

    /// <summary>The number of keys that have a value.</summary>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>The number on the node that is asked.</returns>
    /// <exception cref="ChannelException">The channel does not exist.</exception>
    ValueTask<int> CountAsync(CancellationToken ct = default);

    /// <summary>Sets a key.</summary>
    /// <param name="key">The key.</param>
    /// <param name="value">The value.</param>
    /// <param name="options">Options of this write; those of the channel when null.</param>
    /// <param name="ct">Cancels the waiting; the write is made all the same.</param>
    /// <returns>Completes, usually at once, when the write is made and confirmed as the options say. Waits at most 2 s for nodes that lag
    /// behind.</returns>
    /// <exception cref="ChannelException">The key or value is not allowed, the channel is full or does not exist, the disk did not take the
    /// write, or nodes did not confirm it in time.</exception>
    ValueTask SetAsync(string key, T? value, ChannelWriteOptions? options = null, CancellationToken ct = default);

    /// <summary>
    /// Sets many keys in their order as one message, such as all keys of a dictionary. All are checked before the first is set.
    /// </summary>
    /// <param name="entries">The keys and their values.</param>
    /// <param name="options">Options of these writes; those of the channel when null.</param>
    /// <param name="ct">Cancels the waiting; the writes are made all the same.</param>
    /// <returns>As <see cref="SetAsync"/>.</returns>
    /// <exception cref="ChannelException">As with <see cref="SetAsync"/>.</exception>
    ValueTask SetManyAsync(
        IEnumerable<KeyValuePair<string, T?>> entries, ChannelWriteOptions? options = null, CancellationToken ct = default);

    /// <summary>
    /// Sets a key if it holds the expected write on the node that is asked. Optimistic: two nodes that do so at the same moment both
    /// succeed, and the last one wins. Prevents lost updates among callers of one node and most of those among nodes; not a lock.
    /// </summary>
    /// <param name="key">The key.</param>
    /// <param name="value">The value.</param>
    /// <param name="expected">The version from <see cref="TryGetAsync"/>; default: the key has no value.</param>
    /// <param name="options">Options of this write; those of the channel when null.</param>
    /// <param name="ct">Cancels the waiting; the write is made all the same.</param>
    /// <returns>False when the key holds another write; nothing was done.</returns>
    /// <exception cref="ChannelException">As with <see cref="SetAsync"/>.</exception>
    ValueTask<bool> SetIfAsync(
        string key, T? value, ChannelVersion expected, ChannelWriteOptions? options = null, CancellationToken ct = default);

    /// <summary>Deletes a key, or a counter.</summary>
    /// <param name="key">The key.</param>
    /// <param name="options">Options of this write; those of the channel when null.</param>
    /// <param name="ct">Cancels the waiting; the deletion is made all the same.</param>
    /// <returns>False when the key had no value on the node that is asked.</returns>
    /// <exception cref="ChannelException">As with <see cref="SetAsync"/>.</exception>
    ValueTask<bool> DeleteAsync(string key, ChannelWriteOptions? options = null, CancellationToken ct = default);

    /// <summary>
    /// Adds to a counter, which begins at 0. However many nodes add at once, cut off or not, in the end every node has the sum of all.
    /// A counter reads as a number, and callbacks for sets of its key are told each sum.
    /// </summary>
    /// <param name="key">The key; it may hold no other value.</param>
    /// <param name="delta">What to add; may be negative.</param>
    /// <param name="options">Options of this write; those of the channel when null. Counters never expire: time to live and
    /// <see cref="ChannelWriteOptions.Ephemeral"/> do not count.</param>
    /// <param name="ct">Cancels the waiting; the number is added all the same.</param>
    /// <returns>The sum as far as the node that is asked knows it.</returns>
    /// <exception cref="ChannelException">The key holds a value, or as with <see cref="SetAsync"/>.</exception>
    ValueTask<long> AddAsync(string key, long delta = 1, ChannelWriteOptions? options = null, CancellationToken ct = default);

    /// <summary>The sum of a counter.</summary>
    /// <param name="key">The key.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>The sum as far as the node that is asked knows it; 0 when there is no counter.</returns>
    /// <exception cref="ChannelException">The channel does not exist.</exception>
    ValueTask<long> SumAsync(string key, CancellationToken ct = default);

    /// <summary>The value of a key.</summary>
    /// <param name="key">The key.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>The value; the default of the type when the key has none.</returns>
    /// <exception cref="ChannelException">The channel does not exist.</exception>
    ValueTask<T?> GetAsync(string key, CancellationToken ct = default);

    /// <summary>The value of a key and its version, for <see cref="SetIfAsync"/>.</summary>
    /// <param name="key">The key.</param>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>Whether the key has a value, the value, and its version.</returns>
    /// <exception cref="ChannelException">The channel does not exist.</exception>
    ValueTask<(bool Exists, T? Value, ChannelVersion Version)> TryGetAsync(string key, CancellationToken ct = default);

    /// <summary>All keys and values of one moment on the node that is asked.</summary>
    /// <param name="ct">Cancels the operation.</param>
    /// <returns>A copy.</returns>
    /// <exception cref="ChannelException">The channel does not exist.</exception>
    ValueTask<Dictionary<string, T?>> ToDictionaryAsync(CancellationToken ct = default);

    /// <summary>
    /// Calls a handler whenever a key is set, on whichever node. In the order of each key, one call at a time. A handler that throws is
    /// logged and called again for the next change. A slow handler delays no other: beyond 16,384 waiting changes it is told only the
    /// last of each key. Across a lost connection or a restart of the agent a client's handler is told what was missed, each key once.
    /// </summary>
    /// <param name="keys">A key, all keys, or those with a prefix.</param>
    /// <param name="handler">Receives the key and the value.</param>
    /// <param name="onChange">True: only when the value differs from the one before, compared as serialized.</param>
    /// <param name="ct">Cancels the subscribing.</param>
    /// <returns>The subscription, from which on no set is missed. Disposing it ends the calls.</returns>
    /// <exception cref="ChannelException">The channel does not exist.</exception>
    ValueTask<IAsyncDisposable> OnSetAsync(Keys keys, Action<string, T?> handler, bool onChange = false, CancellationToken ct = default);

    /// <inheritdoc cref="OnSetAsync(Keys, Action{string, T}, bool, CancellationToken)"/>
    ValueTask<IAsyncDisposable> OnSetAsync(
        Keys keys, Func<string, T?, Task> handler, bool onChange = false, CancellationToken ct = default);

    /// <summary>
    /// Calls a handler whenever a key is deleted: by any client on any node, or because its time to live or its node has ended. Otherwise
    /// as <see cref="OnSetAsync(Keys, Action{string, T}, bool, CancellationToken)"/>.
    /// </summary>
    /// <param name="keys">A key, all keys, or those with a prefix.</param>
    /// <param name="handler">Receives the key.</param>
    /// <param name="ct">Cancels the subscribing.</param>
    /// <returns>The subscription. Disposing it ends the calls.</returns>
    /// <exception cref="ChannelException">The channel does not exist.</exception>
    ValueTask<IAsyncDisposable> OnDeleteAsync(Keys keys, Action<string> handler, CancellationToken ct = default);

    /// <summary>
    /// Everything that is there now, as sets, and then every change. Beyond 16,384 waiting changes, of each key only the last comes.
    /// </summary>
    /// <param name="keys">Which keys; default: all.</param>
    /// <param name="ct">Ends the enumeration with <see cref="OperationCanceledException"/>.</param>
    /// <returns>The changes; each enumeration begins anew. Ends when the agent stops; a client's enumeration then throws
    /// <see cref="RpcException"/>.</returns>
    /// <exception cref="ChannelException">The channel does not exist, or is removed meanwhile.</exception>
    IAsyncEnumerable<ChannelChange<T>> WatchAsync(Keys keys = default, CancellationToken ct = default);

    /// <summary>Waits until a key has a value that fulfils a condition, which it may do already.</summary>
    /// <param name="key">The key.</param>
    /// <param name="predicate">The condition; any value when null.</param>
    /// <param name="ct">Cancels the operation; without it, the wait has no limit.</param>
    /// <returns>The value.</returns>
    /// <exception cref="ChannelException">The channel does not exist, or is removed meanwhile.</exception>
    Task<T?> WaitForAsync(string key, Func<T?, bool>? predicate = null, CancellationToken ct = default);
}
