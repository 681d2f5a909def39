using System.Buffers.Binary;

namespace GlooX.Channels.Replication;

internal enum MessageKind : byte
{
    /// <summary>Writes of the sender, numbered without a gap.</summary>
    Batch = 1,

    /// <summary>What the sender has seen in each channel, and a hash of what lives there.</summary>
    Digest = 2,

    /// <summary>The sender wants what it lacks of a channel.</summary>
    Pull = 3,

    /// <summary>A part of the answer.</summary>
    Chunk = 4,

    /// <summary>A part has arrived: send another.</summary>
    ChunkTaken = 5,

    /// <summary>The sender has applied the receiver's writes up to a number.</summary>
    Acknowledge = 6,
}

/// <summary>Whether a digest is to be answered with another.</summary>
internal enum Reply : byte
{
    No = 0,

    /// <summary>If it is not the same here.</summary>
    IfDifferent = 1,

    InAnyCase = 2,
}

/// <summary>Writes of this node that wait to be sent to all, of one channel, numbered without a gap.</summary>
internal sealed class PendingBatch(Replica replica, ulong first)
{
    public Replica Replica { get; } = replica;

    public ulong First { get; } = first;

    public List<Entry> Entries { get; } = [];

    public bool WantsAcknowledgement { get; set; }
}

/// <summary>
/// The bytes of messages. Each begins with its kind and its sender. An entry travels with the time that it still has to live, so clocks
/// need not agree.
/// </summary>
internal static class Messages
{
    /// <summary>The origin that a message says it is from; null: it is no message.</summary>
    public static ulong? SenderOf(ReadOnlySpan<byte> message) =>
        message.Length > sizeof(ulong) ? BinaryPrimitives.ReadUInt64LittleEndian(message[1..]) : null;

    // Where a batch or a chunk is full. Less would cost more messages, more would hold up what comes behind it.
    public const int FullAt = 64 * 1024;

    public static WireWriter Begin(MessageKind kind, ulong sender, int capacity = 256)
    {
        var writer = new WireWriter(capacity);
        writer.Byte((byte)kind);
        writer.Word(sender);
        return writer;
    }

    public static void WriteChannel(WireWriter writer, Replica replica)
    {
        writer.String(replica.Name);
        writer.Varint(replica.Spec.Generation);
    }

    /// <summary>An entry without its origin and number.</summary>
    public static void WriteWrite(WireWriter writer, Entry entry, long now)
    {
        bool expires = entry.ExpiresAt > 0;
        writer.Byte((byte)((int)entry.Flags | (expires ? 0x80 : 0)));
        writer.String(entry.Key);
        writer.Word(entry.Stamp.Time);
        if (expires)
        {
            writer.Varint((ulong)Math.Max(1, entry.ExpiresAt - now));
        }

        if (entry.IsLive)
        {
            writer.Bytes(entry.Value);
        }
    }

    public static Entry ReadWrite(ref WireReader reader, ulong origin, ulong sequence, long now)
    {
        byte head = reader.Byte();
        string key = reader.String();
        ulong time = reader.Word();
        ulong left = (head & 0x80) != 0 ? reader.Varint() : 0;
        var flags = (EntryFlags)(head & 0x7F);
        if (time >= Stamp.Latest || left > long.MaxValue / 2 || (int)flags > 7 || sequence == 0 || (key.StartsWith(CounterKey.Mark) && !CounterKey.IsWellFormed(key))
            || ((flags & EntryFlags.Counter) != EntryFlags.None) != key.StartsWith(CounterKey.Mark))
        {
            throw new InvalidDataException("an entry is malformed");
        }

        byte[]? value = (flags & EntryFlags.Tombstone) == EntryFlags.None ? reader.Bytes().ToArray() : null;
        return new Entry(key, value, new Stamp(time, origin), sequence, flags, left == 0 ? 0 : now + (long)left);
    }

    public static void WriteEntry(WireWriter writer, Entry entry, long now)
    {
        writer.Word(entry.Stamp.Node);
        writer.Varint(entry.Sequence);
        WriteWrite(writer, entry, now);
    }

    public static Entry ReadEntry(ref WireReader reader, long now)
    {
        ulong origin = reader.Word();
        ulong sequence = reader.Varint();
        return ReadWrite(ref reader, origin, sequence, now);
    }

    public static void WriteContext(WireWriter writer, Context context)
    {
        writer.Varint((ulong)context.Origins.Count);
        foreach ((ulong origin, SequenceSet seen) in context.Origins)
        {
            writer.Word(origin);
            writer.Varint(seen.UpTo);
            writer.Varint((ulong)seen.Beyond.Count);
            foreach ((ulong from, ulong to) in seen.Beyond)
            {
                writer.Varint(from);
                writer.Varint(to - from);
            }
        }
    }

    public static Context ReadContext(ref WireReader reader)
    {
        var context = new Context();
        for (int origins = reader.Count(); origins > 0; origins--)
        {
            ulong origin = reader.Word();
            context.Add(origin, 1, reader.Varint());
            for (int ranges = reader.Count(); ranges > 0; ranges--)
            {
                ulong from = reader.Varint();
                ulong to = from + reader.Varint();
                if (from == 0 || to < from || to == ulong.MaxValue)
                {
                    throw new InvalidDataException("a range is malformed");
                }

                context.Add(origin, from, to);
            }
        }

        return context;
    }

    /// <summary>Batches as messages for all: each is encoded once, whoever gets it.</summary>
    public static IReadOnlyList<byte[]> Encode(ulong sender, IReadOnlyList<PendingBatch> batches, long now)
    {
        var messages = new List<byte[]>(1);
        WireWriter? writer = null;
        foreach (PendingBatch batch in batches)
        {
            for (int done = 0; done < batch.Entries.Count;)
            {
                writer ??= Begin(MessageKind.Batch, sender, 512);
                WriteChannel(writer, batch.Replica);
                writer.Byte(batch.WantsAcknowledgement ? (byte)1 : (byte)0);
                writer.Varint(batch.First + (ulong)done);
                int at = writer.Length;
                writer.Word(0);
                int from = done;
                while (done < batch.Entries.Count && (done == from || writer.Length < FullAt))
                {
                    WriteWrite(writer, batch.Entries[done++], now);
                }

                writer.Patch(at, (ulong)(done - from));
                if (writer.Length >= FullAt)
                {
                    messages.Add(writer.ToArray());
                    writer = null;
                }
            }
        }

        if (writer is not null)
        {
            messages.Add(writer.ToArray());
        }

        return messages;
    }
}
