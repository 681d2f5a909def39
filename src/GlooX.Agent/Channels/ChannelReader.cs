using GlooX.Channels.Replication;

namespace GlooX.Channels;

/// <summary>
/// Reads a channel page by page, so that a reader that is slow, or stops, holds one page and no lock. With a queue it gets each key's state
/// once, in a page, and every later change, in order, from the queue: changes of keys that no page has shown yet are left to the page.
/// </summary>
internal sealed class ChannelReader : IDisposable
{
    private const int MostItems = 512;
    private const int MostBytes = 64 * 1024;
    private const int MostLookedAt = 4096; // under one hold of the lock
    private readonly ReplicationLoop _loop;
    private readonly Replica _replica;
    private readonly Keys _keys;
    private readonly ChangeQueue? _queue;
    private EntryOrder.Cursor? _cursor;

    /// <summary>Under the lock.</summary>
    public ChannelReader(ReplicationLoop loop, Replica replica, Keys keys, ChangeQueue? queue)
    {
        (_loop, _replica, _keys, _queue) = (loop, replica, keys, queue);
        _cursor = replica.Order.Open();
        if (queue is not null)
        {
            queue.IsLeftToPages = IsToCome;
            loop.Read(replica, queue);
        }
    }

    /// <summary>The next page; null: all was read.</summary>
    public List<Change>? Next()
    {
        var page = new List<Change>();
        while (_cursor is { } cursor)
        {
            lock (_loop.Gate)
            {
                Fill(page, cursor);
            }

            if (page.Count > 0)
            {
                return page;
            }
        }

        return null;
    }

    public void Dispose()
    {
        lock (_loop.Gate)
        {
            End();
        }

        if (_queue is not null)
        {
            _loop.Stop(_queue);
        }
    }

    private void Fill(List<Change> page, EntryOrder.Cursor cursor)
    {
        int bytes = 0;
        if (_keys.Single is { } single)
        {
            if (_replica.TryGet(single, out byte[] value, out Stamp version))
            {
                page.Add(new Change(_replica, ChangeKind.Set, single, value, null, version));
            }

            End();
            return;
        }

        for (int seen = 0; seen < MostLookedAt && page.Count < MostItems && bytes < MostBytes; seen++)
        {
            if (!_replica.Order.TryNext(cursor, out Entry? entry))
            {
                End();
                return;
            }

            if (entry is { IsLive: true } && Shown(entry) is { } shown && _keys.Contains(shown.Key))
            {
                page.Add(shown);
                bytes += shown.Key.Length + shown.Value.Length;
            }
        }
    }

    // A counter is shown at the place of its first part.
    private Change? Shown(Entry entry)
    {
        if (!entry.IsCounter)
        {
            return new Change(_replica, ChangeKind.Set, entry.Key, entry.Value!, null, entry.Stamp);
        }

        string key = CounterKey.UserKey(entry.Key);
        return _replica.Counters.TryGetValue(key, out Counter? counter) && First(counter) == entry
            ? new Change(_replica, ChangeKind.Set, key, CounterKey.AsValue(counter.Sum), null, default)
            : null;
    }

    private static Entry First(Counter counter) => counter.Parts.Values.MinBy(static p => p.Slot)!;

    // Under the lock. A key that is gone has been passed, or was never there for this reader: to tell is right either way.
    private bool IsToCome(string key)
    {
        if (_cursor is not { } cursor || _keys.Single is not null)
        {
            return _cursor is not null;
        }

        Entry? entry = _replica.Counters.TryGetValue(key, out Counter? counter) ? First(counter) : _replica.Find(key);
        return entry is not null && !cursor.HasPassed(entry);
    }

    private void End()
    {
        if (_cursor is { } cursor)
        {
            _replica.Order.Close(cursor);
            _cursor = null;
        }
    }
}
