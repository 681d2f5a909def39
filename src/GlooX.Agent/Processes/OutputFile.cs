namespace GlooX.Processes;

/// <summary>
/// One output of a process: a file that the process appends to itself, so that it can go on when its agent is gone. When the file has grown
/// too large, it is copied beside and cut to nothing. Positions count all that was ever written. Thread-safe.
/// </summary>
/// <remarks>
/// What the process writes in the moment between the copy and the cut is lost: to stop the process from writing would slow it down.
/// </remarks>
internal sealed class OutputFile
{
    /// <summary>At most twice this is kept, and what is written between two looks.</summary>
    public const long MaxBytes = 8 * 1024 * 1024;
    private const int MaxMarks = 4_000;
    private const int Block = 64 * 1024;
    private readonly Lock _lock = new();
    private readonly string _path;
    private readonly string _older;
    private readonly long _maxBytes;
    private readonly List<(long Position, DateTimeOffset Time)> _marks = [];
    private long _olderLength;
    private long _begin; // of the file
    private long _seen;

    /// <param name="path">The file, which may have been written by an agent before this one.</param>
    /// <param name="stream">Which output it is.</param>
    /// <param name="maxBytes">When it is cut.</param>
    public OutputFile(string path, OutputStream stream, long maxBytes = MaxBytes)
    {
        (_path, _older, Stream, _maxBytes) = (path, path + ".1", stream, maxBytes);
        _begin = _olderLength = Length(_older);
        _seen = _begin;
    }

    public OutputStream Stream { get; }

    private long Oldest => _begin - _olderLength;

    public static void Delete(string path)
    {
        File.Delete(path);
        File.Delete(path + ".1");
    }

    /// <summary>Notes when what is new was there, and cuts the file if it is too large.</summary>
    /// <param name="now">Null: what is there is older than this agent.</param>
    /// <returns>Whether something is new.</returns>
    public bool Look(DateTimeOffset? now)
    {
        lock (_lock)
        {
            long length = Length(_path);
            if (_begin + length <= _seen)
            {
                return false;
            }

            if (now is { } time)
            {
                Mark(_seen, time);
            }

            _seen = _begin + length;
            if (length > _maxBytes)
            {
                Cut();
            }

            return true;
        }
    }

    /// <summary>When what stands there was seen; null: before this agent.</summary>
    public DateTimeOffset? TimeOf(long position)
    {
        lock (_lock)
        {
            int after = _marks.FindIndex(m => m.Position > position);
            int at = (after < 0 ? _marks.Count : after) - 1;
            return at < 0 ? null : _marks[at].Time;
        }
    }

    /// <summary>Reads on.</summary>
    /// <param name="position">From where; what was cut away is passed over.</param>
    /// <param name="buffer">Where to.</param>
    /// <returns>How many bytes; 0: there are no more now.</returns>
    public int Read(ref long position, Span<byte> buffer)
    {
        lock (_lock)
        {
            position = Math.Max(position, Oldest);
            bool older = position < _begin;
            try
            {
                using var file = new FileStream(
                    older ? _older : _path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete, 0);
                file.Position = position - (older ? Oldest : _begin);
                int read = file.Read(older && buffer.Length > _begin - position ? buffer[..(int)(_begin - position)] : buffer);
                position += read;
                return read;
            }
            catch (FileNotFoundException)
            {
                return 0;
            }
        }
    }

    /// <summary>Where the last lines begin.</summary>
    public long StartOfLast(int lines)
    {
        lock (_lock)
        {
            long end = _begin + Length(_path);
            if (lines <= 0)
            {
                return end;
            }

            byte[] block = new byte[Block];
            int found = 0;
            for (long high = end; lines < int.MaxValue && high > Oldest;)
            {
                long low = Math.Max(Oldest, high - Block);
                int count = ReadAll(low, block.AsSpan(0, (int)(high - low)));
                for (int i = count - 1; i >= 0; i--)
                {
                    if (block[i] == '\n' && low + i != end - 1 && ++found == lines)
                    {
                        return low + i + 1;
                    }
                }

                high = low;
            }

            return Oldest;
        }
    }

    private static long Length(string path) => new FileInfo(path) is { Exists: true } file ? file.Length : 0;

    private int ReadAll(long position, Span<byte> buffer)
    {
        int have = 0;
        for (int read; have < buffer.Length && (read = Read(ref position, buffer[have..])) > 0;)
        {
            have += read;
        }

        return have;
    }

    private void Mark(long position, DateTimeOffset time)
    {
        if (_marks.Count == MaxMarks)
        {
            for (int i = MaxMarks - 2; i > 0; i -= 2)
            {
                _marks.RemoveAt(i); // every other: times get coarser, the further back the more
            }
        }

        _marks.Add((position, time));
    }

    private void Cut()
    {
        using var file = new FileStream(_path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete, 0);
        try
        {
            using var copy = new FileStream(_older, FileMode.Create, FileAccess.Write, FileShare.Read);
            file.CopyTo(copy);
        }
        catch (IOException)
        {
            File.Delete(_older); // the disk is full: all the more reason to cut
        }

        long length = file.Position;
        file.SetLength(0);
        _begin += length;
        _olderLength = Length(_older);
        _seen = _begin;
    }
}
