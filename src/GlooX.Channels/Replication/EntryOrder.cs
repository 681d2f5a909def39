namespace GlooX.Channels.Replication;

/// <summary>
/// The entries of a replica in the order in which their keys came, for readers that take them page by page while the replica changes. A key
/// keeps its place as long as it has an entry, tombstones included. Removed entries leave gaps, which are closed now and then. Not
/// thread-safe: used under the replica's lock.
/// </summary>
internal sealed class EntryOrder
{
    private const int MinGaps = 1024;
    private readonly List<Entry?> _slots = [];
    private readonly List<Cursor> _cursors = [];
    private int _gaps;

    /// <summary>An entry takes the place of another of its key or, without one, the last place.</summary>
    public void Put(Entry entry, Entry? old)
    {
        if (old is not null)
        {
            entry.Slot = old.Slot;
            _slots[old.Slot] = entry;
            return;
        }

        entry.Slot = _slots.Count;
        _slots.Add(entry);
    }

    public void Remove(Entry entry)
    {
        _slots[entry.Slot] = null;
        if (++_gaps > MinGaps && _gaps > _slots.Count / 2)
        {
            CloseGaps();
        }
    }

    /// <summary>Begins to read; the caller closes the cursor.</summary>
    public Cursor Open()
    {
        var cursor = new Cursor();
        _cursors.Add(cursor);
        return cursor;
    }

    public void Close(Cursor cursor) => _cursors.Remove(cursor);

    /// <summary>The next entry of a cursor; false: it has passed all.</summary>
    public bool TryNext(Cursor cursor, out Entry? entry)
    {
        entry = cursor.At < _slots.Count ? _slots[cursor.At++] : null;
        return entry is not null || cursor.At < _slots.Count;
    }

    private void CloseGaps()
    {
        Cursor[] cursors = [.. _cursors.OrderBy(static c => c.At)];
        int next = 0;
        int to = 0;
        for (int from = 0; from < _slots.Count; from++)
        {
            while (next < cursors.Length && cursors[next].At <= from)
            {
                cursors[next++].At = to;
            }

            if (_slots[from] is { } entry)
            {
                entry.Slot = to;
                _slots[to++] = entry;
            }
        }

        while (next < cursors.Length)
        {
            cursors[next++].At = to;
        }

        _slots.RemoveRange(to, _slots.Count - to);
        _gaps = 0;
    }

    /// <summary>How far a reader has come.</summary>
    internal sealed class Cursor
    {
        internal int At { get; set; }

        /// <summary>Whether the reader has passed the place of an entry.</summary>
        public bool HasPassed(Entry entry) => entry.Slot < At;
    }
}
