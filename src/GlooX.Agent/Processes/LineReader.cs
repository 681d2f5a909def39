using System.Text;

namespace GlooX.Processes;

/// <summary>Reads an output line by line; what is not ended yet is kept for the next time.</summary>
internal sealed class LineReader(OutputFile file, long position)
{
    private const int MaxLine = 64 * 1024;
    private readonly byte[] _buffer = new byte[MaxLine];
    private long _position = position; // of what is read next
    private int _count;

    /// <summary>Some lines; empty: there are no more now.</summary>
    /// <param name="whole">The last line counts although nothing ends it.</param>
    public List<LogLine> Read(bool whole)
    {
        List<LogLine> lines = [];
        while (lines.Count == 0)
        {
            int read = file.Read(ref _position, _buffer.AsSpan(_count));
            _count += read;
            int start = 0;
            for (int end; (end = _buffer.AsSpan(start, _count - start).IndexOf((byte)'\n')) >= 0; start += end + 1)
            {
                lines.Add(Line(start, end));
            }

            if (_count > start && ((start == 0 && _count == MaxLine) || (whole && read == 0)))
            {
                lines.Add(Line(start, _count - start));
                start = _count;
            }

            _buffer.AsSpan(start, _count - start).CopyTo(_buffer);
            _count -= start;
            if (read == 0)
            {
                break;
            }
        }

        return lines;
    }

    private LogLine Line(int start, int length)
    {
        DateTimeOffset? time = file.TimeOf(_position - _count + start);
        ReadOnlySpan<byte> text = _buffer.AsSpan(start, length);
        return new LogLine(file.Stream, Encoding.UTF8.GetString(text is [.. var rest, (byte)'\r'] ? rest : text), time);
    }
}
