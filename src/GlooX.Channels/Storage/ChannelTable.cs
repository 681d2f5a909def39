using System.Text;
using GlooX.Channels.Replication;

namespace GlooX.Channels.Storage;

/// <summary>What the state file holds of one channel.</summary>
internal sealed record StoredChannel(long Id, string Name, Entry InDirectory, IReadOnlyList<Entry> Entries, Context Seen, ulong Floor,
    IReadOnlyDictionary<ulong, long> AbsentFor);

/// <summary>A key's row as it is to be; without a value: there is to be none.</summary>
internal readonly record struct StoredRow(byte[] Key, byte[]? Value);

/// <summary>
/// The durable channels in a state file: a row for each channel, with what it has seen, and one for each key. The channel's row
/// carries the number of its keys' rows and the sum of their checksums, so that a lost or stale row is noticed: a replica must
/// never claim to have seen what it lacks, since others would delete that. Encoding needs the hub's lock, writing does not.
/// </summary>
internal sealed class ChannelTable(StateFile file)
{
    /// <summary>Everything there is, checked.</summary>
    /// <exception cref="DamagedStateException">Something is missing or changed; nothing of the file is to be used.</exception>
    public IReadOnlyList<StoredChannel> Load(Instant now)
    {
        try
        {
            return LoadUnguarded(now);
        }
        catch (Exception e) when (e is InvalidDataException or InvalidCastException or InvalidOperationException)
        {
            throw new DamagedStateException(e.Message, e);
        }
    }

    private List<StoredChannel> LoadUnguarded(Instant now)
    {
        Dictionary<long, (long Rows, long Sum, List<Entry> Entries)> entries = [];
        foreach ((long id, byte[] key, long crc, byte[] value) in file.Read(
            "SELECT channel, key, crc, value FROM entry", static r => (r.GetInt64(0), (byte[])r[1], r.GetInt64(2), (byte[])r[3])))
        {
            if (crc != Checksum.Of(value))
            {
                throw new DamagedStateException($"the checksum of an entry of channel {id} is wrong");
            }

            var reader = new WireReader(value);
            long written = (long)reader.Varint();
            Entry entry = Messages.ReadEntry(ref reader, now.Mono - Math.Max(0, now.Wall - written));
            if (!key.AsSpan().SequenceEqual(Encoding.UTF8.GetBytes(entry.Key)))
            {
                throw new DamagedStateException($"an entry of channel {id} has the key of another");
            }

            (long rows, long sum, List<Entry> all) = entries.GetValueOrDefault(id, (0, 0, []));
            all.Add(entry);
            entries[id] = (rows + 1, sum + crc, all);
        }

        List<StoredChannel> channels = [];
        foreach ((long id, byte[] head, byte[] seen, long rows, long sum) in file.Read(
            "SELECT id, head, seen, rows, sum FROM channel", static r => (r.GetInt64(0), (byte[])r[1], (byte[])r[2], r.GetInt64(3), r.GetInt64(4))))
        {
            entries.Remove(id, out (long Rows, long Sum, List<Entry> Entries) found);
            if (found.Rows != rows || found.Sum != sum)
            {
                throw new DamagedStateException($"channel {id} should have {rows} entries; {found.Rows} can be read, or some of them are old");
            }

            var reader = new WireReader(Checksum.Open(head, "a channel"));
            string name = reader.String();
            Entry inDirectory = Messages.ReadEntry(ref reader, now.Mono);
            reader = new WireReader(Checksum.Open(seen, "what a channel has seen"));
            Context context = Messages.ReadContext(ref reader);
            ulong floor = reader.Word();
            channels.Add(new StoredChannel(id, name, inDirectory, found.Entries ?? [], context, floor, ReadAbsences(ref reader, now)));
        }

        return entries.Count == 0 ? channels : throw new DamagedStateException($"{entries.Count} channels are missing whose entries are there");
    }

    private static Dictionary<ulong, long> ReadAbsences(ref WireReader reader, Instant now)
    {
        Dictionary<ulong, long> absentFor = [];
        long sinceThen = Math.Max(0, now.Wall - (long)reader.Varint());
        while (!reader.IsAtEnd)
        {
            absentFor[reader.Word()] = (long)reader.Varint() + sinceThen;
        }

        return absentFor;
    }

    /// <summary>A channel's row: its entry in the directory, and what was seen.</summary>
    public static (byte[] Head, byte[] Seen) Encode(Replica replica, Entry inDirectory, IReadOnlyDictionary<ulong, long> absentSince, Instant now)
    {
        var writer = new WireWriter();
        writer.String(replica.Name);
        Messages.WriteEntry(writer, inDirectory, now.Mono);
        byte[] head = Checksum.Seal(writer.Written.Span);
        writer.Clear();
        Messages.WriteContext(writer, replica.SeenToKeep());
        writer.Word(replica.Floor);
        writer.Varint((ulong)now.Wall);
        foreach (ulong origin in replica.Seen.Origins.Keys.Where(absentSince.ContainsKey))
        {
            writer.Word(origin);
            writer.Varint((ulong)(now.Mono - absentSince[origin]));
        }

        return (head, Checksum.Seal(writer.Written.Span));
    }

    /// <summary>A key's row as the replica has it now. Ephemeral entries are not kept.</summary>
    public static StoredRow Encode(Replica replica, string key, Instant now)
    {
        byte[] name = Encoding.UTF8.GetBytes(key);
        if (replica.Find(key) is not { IsEphemeral: false } entry)
        {
            return new StoredRow(name, null);
        }

        // What is left of its time is counted on while nobody runs, by the wall clock.
        var writer = new WireWriter(64 + name.Length + (entry.Value?.Length ?? 0));
        writer.Varint((ulong)now.Wall);
        Messages.WriteEntry(writer, entry, now.Mono);
        return new StoredRow(name, writer.ToArray());
    }

    /// <summary>Writes a channel's row, within a transaction.</summary>
    public void Put(long channel, (byte[] Head, byte[] Seen) row) => file.Execute(
        "INSERT INTO channel(id, head, seen) VALUES($1, $2, $3) ON CONFLICT DO UPDATE SET head = excluded.head, seen = excluded.seen",
        channel, row.Head, row.Seen);

    /// <summary>Writes or deletes a key's row, within a transaction.</summary>
    public void Put(long channel, StoredRow row)
    {
        if (row.Value is { } value)
        {
            file.Execute(
                "INSERT INTO entry VALUES($1, $2, $3, $4) ON CONFLICT DO UPDATE SET crc = excluded.crc, value = excluded.value",
                channel, row.Key, (long)Checksum.Of(value), value);
        }
        else
        {
            file.Execute("DELETE FROM entry WHERE channel = $1 AND key = $2", channel, row.Key);
        }
    }

    /// <summary>Deletes a channel and all its keys, within a transaction.</summary>
    public void Delete(long channel)
    {
        file.Execute("DELETE FROM entry WHERE channel = $1", channel);
        file.Execute("DELETE FROM channel WHERE id = $1", channel);
    }
}
