namespace GlooX.Tests;

/// <summary>What an agent's channel answers at once, without awaiting.</summary>
internal static class LocalReads
{
    extension<T>(IChannel<T> channel)
    {
        public int Count => channel.CountAsync().AsTask().GetAwaiter().GetResult();

        public ChannelOptions Options => channel.OptionsAsync().AsTask().GetAwaiter().GetResult();

        public T? Get(string key) => channel.GetAsync(key).AsTask().GetAwaiter().GetResult();

        public long Sum(string key) => channel.SumAsync(key).AsTask().GetAwaiter().GetResult();

        public Dictionary<string, T?> ToDictionary() => channel.ToDictionaryAsync().AsTask().GetAwaiter().GetResult();

        public bool TryGet(string key, out T? value, out ChannelVersion version)
        {
            (bool exists, value, version) = channel.TryGetAsync(key).AsTask().GetAwaiter().GetResult();
            return exists;
        }

        public bool TryGet(string key, out T? value) => channel.TryGet(key, out value, out _);

        public IAsyncDisposable OnSet(string key, Action<T?> handler, bool onChange = false) => channel.OnSet(key, (_, value) => handler(value), onChange);

        public IAsyncDisposable OnSet(Keys keys, Action<string, T?> handler, bool onChange = false) =>
            channel.OnSetAsync(keys, handler, onChange).AsTask().GetAwaiter().GetResult();

        public IAsyncDisposable OnSet(Keys keys, Func<string, T?, Task> handler, bool onChange = false) =>
            channel.OnSetAsync(keys, handler, onChange).AsTask().GetAwaiter().GetResult();

        public IAsyncDisposable OnDelete(Keys keys, Action<string> handler) => channel.OnDeleteAsync(keys, handler).AsTask().GetAwaiter().GetResult();
    }
}
