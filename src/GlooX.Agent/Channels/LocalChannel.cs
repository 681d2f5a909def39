using System.Runtime.CompilerServices;
using GlooX.Channels.Replication;

namespace GlooX.Channels;

/// <summary>A channel on its agent: reads are local.</summary>
internal sealed class LocalChannel<T>(ChannelHub hub, string name) : IChannel<T>
{
    public string Name => name;

    public ValueTask<ChannelOptions> OptionsAsync(CancellationToken ct = default) => new(hub.Spec(name).ToOptions());

    public ValueTask<int> CountAsync(CancellationToken ct = default) => new(hub.Count(name));

    public ValueTask SetAsync(string key, T? value, ChannelWriteOptions? options = null, CancellationToken ct = default)
    {
        ValueTask<bool> set = hub.WriteAsync(name, key, ChannelValue.Write(value), options ?? ChannelWriteOptions.Default, null, ct);
        return set.IsCompletedSuccessfully ? default : new ValueTask(set.AsTask());
    }

    public ValueTask SetManyAsync(IEnumerable<KeyValuePair<string, T?>> entries, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        hub.WriteManyAsync(name, [.. entries.Select(e => KeyValuePair.Create(e.Key, ChannelValue.Write(e.Value)))], options ?? ChannelWriteOptions.Default, ct);

    public ValueTask<bool> SetIfAsync(string key, T? value, ChannelVersion expected, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        hub.WriteAsync(name, key, ChannelValue.Write(value), options ?? ChannelWriteOptions.Default, new Stamp(expected.Time, expected.Node), ct);

    public ValueTask<bool> DeleteAsync(string key, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        hub.WriteAsync(name, key, null, options ?? ChannelWriteOptions.Default, null, ct);

    public ValueTask<long> AddAsync(string key, long delta = 1, ChannelWriteOptions? options = null, CancellationToken ct = default) =>
        hub.AddAsync(name, key, delta, options ?? ChannelWriteOptions.Default, ct);

    public ValueTask<long> SumAsync(string key, CancellationToken ct = default) => new(hub.Sum(name, key));

    public ValueTask<T?> GetAsync(string key, CancellationToken ct = default) =>
        new(hub.TryGet(name, key, out byte[] bytes, out _) ? ChannelValue.Read<T>(bytes) : default);

    public ValueTask<(bool Exists, T? Value, ChannelVersion Version)> TryGetAsync(string key, CancellationToken ct = default) =>
        new(hub.TryGet(name, key, out byte[] bytes, out Stamp stamp) ? (true, ChannelValue.Read<T>(bytes), stamp.ToVersion()) : default);

    public ValueTask<Dictionary<string, T?>> ToDictionaryAsync(CancellationToken ct = default) =>
        new(hub.Snapshot(name, Keys.All).ToDictionary(c => c.Key, c => ChannelValue.Read<T>(c.Value), StringComparer.Ordinal));

    public ValueTask<IAsyncDisposable> OnSetAsync(Keys keys, Action<string, T?> handler, bool onChange = false, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return Subscribe(keys, sets: true, onChange, change =>
        {
            handler(change.Key, ChannelValue.Read<T>(change.Value));
            return default;
        });
    }

    public ValueTask<IAsyncDisposable> OnSetAsync(Keys keys, Func<string, T?, Task> handler, bool onChange = false, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return Subscribe(keys, sets: true, onChange, change => new ValueTask(handler(change.Key, ChannelValue.Read<T>(change.Value))));
    }

    public ValueTask<IAsyncDisposable> OnDeleteAsync(Keys keys, Action<string> handler, CancellationToken ct = default)
    {
        ArgumentNullException.ThrowIfNull(handler);
        return Subscribe(keys, sets: false, onChange: false, change =>
        {
            handler(change.Key);
            return default;
        });
    }

    public async IAsyncEnumerable<ChannelChange<T>> WatchAsync(Keys keys = default, [EnumeratorCancellation] CancellationToken ct = default)
    {
        var queue = new ChangeQueue(keys, sets: true, deletes: true, onlyChanges: false);
        try
        {
            foreach (Change change in hub.Read(name, keys, queue, withSnapshot: true))
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
            hub.Stop(queue);
        }

        _ = hub.Count(name); // throws if that is why it ended
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

        throw new ChannelException(ChannelError.NotFound, name, $"the agent stopped while '{key}' was waited for");
    }

    private static ChannelChange<T> Public(Change change) =>
        new(change.Key, change.Kind == ChangeKind.Delete, ChannelValue.Read<T>(change.Value), change.Version.ToVersion());

    private ValueTask<IAsyncDisposable> Subscribe(Keys keys, bool sets, bool onChange, Func<Change, ValueTask> handle) =>
        new(hub.Subscribe(name, keys, sets, onChange, handle));
}
