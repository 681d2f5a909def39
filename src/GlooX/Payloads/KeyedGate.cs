namespace GlooX.Payloads;

/// <summary>A lock for each key. Keys that are not in use take no memory. Thread-safe.</summary>
internal sealed class KeyedGate
{
    private readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);

    /// <summary>Waits; the caller disposes what it gets to let the next in.</summary>
    public async Task<IDisposable> EnterAsync(string key, CancellationToken ct)
    {
        Entry? entry;
        lock (_entries)
        {
            if (!_entries.TryGetValue(key, out entry))
            {
                _entries[key] = entry = new Entry(this, key);
            }

            entry.Count++;
        }

        try
        {
            await entry.Turn.WaitAsync(ct).ConfigureAwait(false);
        }
        catch
        {
            Leave(entry);
            throw;
        }

        return entry;
    }

    private void Leave(Entry entry)
    {
        lock (_entries)
        {
            if (--entry.Count == 0)
            {
                _entries.Remove(entry.Key);
            }
        }
    }

    // Held by one caller at a time.
    private sealed class Entry(KeyedGate gate, string key) : IDisposable
    {
        public string Key { get; } = key;

        public SemaphoreSlim Turn { get; } = new(1);

        public int Count { get; set; }

        public void Dispose()
        {
            Turn.Release();
            gate.Leave(this);
        }
    }
}
