using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using System.Runtime.InteropServices;
using GlooX.Channels.Replication;

namespace GlooX.Channels.Storage;

/// <summary>What a journal held.</summary>
internal sealed record JournalContent(string Name, Entry InDirectory, IReadOnlyList<Entry> Entries, Context Seen, ulong Floor);

/// <summary>
/// One durable channel on disk: a file that begins with all there was when it was made, followed by what was written since. A new file
/// takes its place, by a rename once it is whole, when most of the old one is of no use any more. Each record carries its length and a
/// CRC-32C: reading stops before the first that is torn, and so loses only what was never confirmed. One thread at a time.
/// </summary>
/// <remarks>
/// Whenever the process ends: before the rename the old file counts, and what has a temporary name is deleted; after it the new one, and
/// the old is deleted.
/// </remarks>
internal sealed class Journal : IDisposable
{
    private const string Extension = ".journal";
    private const string Temporary = ".new";
    private const int Head = 8;
    private const long CompactAt = 1 << 20;
    private readonly string _folder;
    private readonly string _stem;
    private readonly Action<string> _step;
    private FileStream _file;
    private long _number;
    private long _baseLength;
    private long _length;

    private Journal(string folder, string stem, FileStream file, long number, long baseLength, Action<string>? step)
    {
        (_folder, _stem, _file, _number, _baseLength, _length, _step) = (folder, stem, file, number, baseLength, file.Length, step ?? (static _ => { }));
    }

    /// <summary>Whether more was written since it was made than it held then, and more than 1 MiB.</summary>
    public bool IsBloated => Volatile.Read(ref _length) - Volatile.Read(ref _baseLength) > Math.Max(CompactAt, Volatile.Read(ref _baseLength));

    /// <summary>Makes a new one, with what there is.</summary>
    public static Journal Create(string folder, JournalContent content, Instant now, Action<string>? step = null)
    {
        string stem = Stem(content.Name);
        long number = Numbers(folder, stem).DefaultIfEmpty(0).Max() + 1;
        FileStream file = Write(folder, stem, number, content, now, step ?? (static _ => { }));
        foreach (long old in Numbers(folder, stem).Where(n => n != number))
        {
            File.Delete(PathOf(folder, stem, old)); // one that the disk has failed
        }

        return new Journal(folder, stem, file, number, file.Length, step);
    }

    /// <summary>Opens all that there are in a folder; what is left of a replacement that did not come about is deleted.</summary>
    public static IReadOnlyList<(Journal Journal, JournalContent Content)> OpenAll(string folder, Instant now, Action<string>? step = null)
    {
        foreach (string abandoned in Directory.GetFiles(folder, $"*{Temporary}"))
        {
            File.Delete(abandoned);
        }

        List<(Journal, JournalContent)> all = [];
        foreach (IGrouping<string, string> files in Directory.GetFiles(folder, $"*{Extension}").GroupBy(f => Path.GetFileName(f).Split('.')[0], StringComparer.Ordinal))
        {
            long number = Numbers(folder, files.Key).Max();
            foreach (long old in Numbers(folder, files.Key).Where(n => n != number))
            {
                File.Delete(PathOf(folder, files.Key, old));
            }

            FileStream file = new(PathOf(folder, files.Key, number), FileMode.Open, FileAccess.ReadWrite, FileShare.Read, 1);
            JournalContent? content = Read(file, now, out long good);
            if (content is null)
            {
                file.Dispose();
                throw new InvalidDataException($"{PathOf(folder, files.Key, number)} is no journal of a channel: its beginning cannot be read");
            }

            file.SetLength(good);
            file.Position = good;
            all.Add((new Journal(folder, files.Key, file, number, good / 2, step), content));
        }

        return all;
    }

    /// <summary>Deletes all that a folder has of a channel; it is not to be open.</summary>
    public static void Delete(string folder, string channel)
    {
        string stem = Stem(channel);
        foreach (long number in Numbers(folder, stem))
        {
            File.Delete(PathOf(folder, stem, number));
        }
    }

    /// <summary>Adds a record for each entry, and for null one of what was seen.</summary>
    public static void Encode(WireWriter writer, Replica replica, Entry? entry, Instant now)
    {
        int at = writer.Length;
        writer.Word(0);
        if (entry is null)
        {
            writer.Byte(3);
            Messages.WriteContext(writer, replica.SeenToKeep());
            writer.Word(replica.Floor);
        }
        else
        {
            WriteEntry(writer, 2, entry, now);
        }

        Seal(writer, at);
    }

    /// <summary>Gives records to the operating system.</summary>
    public void Append(ReadOnlySpan<byte> records)
    {
        _file.Write(records);
        Volatile.Write(ref _length, _length + records.Length);
        _step("append");
    }

    /// <summary>Returns when all is on the disk.</summary>
    public void Flush() => _file.Flush(flushToDisk: true);

    /// <summary>Takes the place of what was written so far.</summary>
    public void Compact(JournalContent content, Instant now)
    {
        FileStream file = Write(_folder, _stem, _number + 1, content, now, _step);
        _file.Dispose();
        File.Delete(PathOf(_folder, _stem, _number));
        _step("delete");
        (_file, _number) = (file, _number + 1);
        Volatile.Write(ref _baseLength, file.Length);
        Volatile.Write(ref _length, file.Length);
    }

    public void Dispose() => _file.Dispose();

    private static FileStream Write(string folder, string stem, long number, JournalContent content, Instant now, Action<string> step)
    {
        string path = PathOf(folder, stem, number);
        FileStream file = new(path + Temporary, FileMode.Create, FileAccess.ReadWrite, FileShare.Read | FileShare.Delete, 1);
        try
        {
            step("create");
            var writer = new WireWriter(64 * 1024);
            writer.Word(0);
            writer.Byte(1);
            writer.String(content.Name);
            Messages.WriteEntry(writer, content.InDirectory, now.Mono);
            Seal(writer, 0);
            int context = writer.Length;
            writer.Word(0);
            writer.Byte(3);
            Messages.WriteContext(writer, content.Seen);
            writer.Word(content.Floor);
            Seal(writer, context);
            foreach (Entry entry in content.Entries.Where(e => !e.IsEphemeral))
            {
                int at = writer.Length;
                writer.Word(0);
                WriteEntry(writer, 2, entry, now);
                Seal(writer, at);
                if (writer.Length > 256 * 1024)
                {
                    file.Write(writer.Written.Span);
                    writer.Clear();
                    step("write");
                }
            }

            file.Write(writer.Written.Span);
            step("write");
            file.Flush(flushToDisk: true);
            File.Move(path + Temporary, path, overwrite: true);
            step("rename");
            FlushFolder(folder);
            return file;
        }
        catch
        {
            // On a disk that is full the attempt must not keep what room there is.
            file.Dispose();
            File.Delete(path + Temporary);
            throw;
        }
    }

    private static void WriteEntry(WireWriter writer, byte kind, Entry entry, Instant now)
    {
        writer.Byte(kind);
        writer.Varint((ulong)now.Wall);
        Messages.WriteEntry(writer, entry, now.Mono);
    }

    private static void Seal(WireWriter writer, int at)
    {
        ReadOnlySpan<byte> payload = writer.Written.Span[(at + Head)..];
        writer.Patch(at, (uint)payload.Length | ((ulong)Checksum(payload) << 32));
    }

    private static JournalContent? Read(FileStream file, Instant now, out long good)
    {
        good = 0;
        (string Name, Entry InDirectory)? head = null;
        List<Entry> entries = [];
        var seen = new Context();
        ulong floor = 0;
        byte[] all = new byte[file.Length];
        file.ReadExactly(all);
        while (all.Length - good >= Head)
        {
            ReadOnlySpan<byte> rest = all.AsSpan((int)good);
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(rest);
            if (length == 0 || length > rest.Length - Head || Checksum(rest.Slice(Head, (int)length)) != BinaryPrimitives.ReadUInt32LittleEndian(rest[4..]))
            {
                break;
            }

            var reader = new WireReader(rest.Slice(Head, (int)length));
            byte kind = reader.Byte();
            if (kind == 1)
            {
                head = (reader.String(), Messages.ReadEntry(ref reader, now.Mono));
            }
            else if (kind == 2)
            {
                // What is left of its time is counted on while nobody runs.
                long written = (long)reader.Varint();
                entries.Add(Messages.ReadEntry(ref reader, now.Mono - Math.Max(0, now.Wall - written)));
            }
            else
            {
                seen.Union(Messages.ReadContext(ref reader));
                floor = Math.Max(floor, reader.Word());
            }

            good += Head + length;
        }

        return head is { } h ? new JournalContent(h.Name, h.InDirectory, entries, seen, floor) : null;
    }

    private static uint Checksum(ReadOnlySpan<byte> bytes)
    {
        uint crc = uint.MaxValue;
        for (; bytes.Length >= sizeof(ulong); bytes = bytes[sizeof(ulong)..])
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
        }

        foreach (byte b in bytes)
        {
            crc = BitOperations.Crc32C(crc, b);
        }

        return ~crc;
    }

    private static IEnumerable<long> Numbers(string folder, string stem) => Directory.GetFiles(folder, $"{stem}.*{Extension}")
        .Select(f => long.TryParse(Path.GetFileName(f).Split('.')[1], NumberStyles.None, CultureInfo.InvariantCulture, out long n) ? n : 0);

    private static string PathOf(string folder, string stem, long number) => Path.Combine(folder, string.Create(CultureInfo.InvariantCulture, $"{stem}.{number:0000000000}{Extension}"));

    // Names may hold anything: the file's name is a hash, the name itself is inside.
    private static string Stem(string name) => Hash.OfKey(name).ToString("x16", CultureInfo.InvariantCulture);

    // A rename is on the disk only when its folder is.
    private static void FlushFolder(string folder)
    {
        if (OperatingSystem.IsLinux() || OperatingSystem.IsMacOS())
        {
            int handle = Native.Open(folder, 0);
            if (handle >= 0)
            {
                _ = Native.Fsync(handle);
                _ = Native.Close(handle);
            }
        }
    }

    private static class Native
    {
        [DllImport("libc", EntryPoint = "open", CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Open([MarshalAs(UnmanagedType.LPUTF8Str)] string path, int flags);

        [DllImport("libc", EntryPoint = "fsync")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Fsync(int handle);

        [DllImport("libc", EntryPoint = "close")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Close(int handle);
    }
}
