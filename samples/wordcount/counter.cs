#:project ../../src/GlooX/GlooX.csproj
using System.Globalization;
using System.Text;
using GlooX;

/// <summary>Counts the words of files, one call for each file, and keeps how often it met each word.</summary>
[Provision(Memory = "100MB")]
public sealed class Counter : Worker, ICounter
{
    private readonly Dictionary<string, long> _words = new(StringComparer.Ordinal);
    private List<KeyValuePair<string, long>>? _list;

    public ValueTask<FileCount> CountAsync(string path, byte[] before, bool utf8)
    {
        var count = new WordCount(utf8);
        using FileStream file = File.OpenRead(path);
        byte[] buffer = new byte[64 * 1024];
        int kept = before.Length;
        before.CopyTo(buffer, 0);
        for (int read; (read = file.Read(buffer, kept, buffer.Length - kept)) > 0;)
        {
            int have = kept + read;
            int used = count.Add(buffer.AsSpan(0, have), last: false);
            kept = have - used;
            buffer.AsSpan(used, kept).CopyTo(buffer);
        }

        count.Add(buffer.AsSpan(0, kept), last: true);
        lock (_words)
        {
            _list = null;
            foreach ((string word, long times) in count.Times)
            {
                _words[word] = _words.GetValueOrDefault(word) + times;
            }
        }

        return new(count.Result);
    }

    public ValueTask<Dictionary<string, long>> WordsAsync(int from, int atMost)
    {
        lock (_words)
        {
            _list ??= [.. _words];
            return new(new Dictionary<string, long>(_list.Skip(from).Take(atMost), StringComparer.Ordinal));
        }
    }
}

/// <summary>
/// A word as <c>wc -w</c> has it: printable characters between white space. What is neither (control characters, and outside of UTF-8
/// every byte from 128 up) does not end a word and does not make one.
/// </summary>
public sealed class WordCount(bool utf8)
{
    private readonly StringBuilder _word = new();
    private long _words;
    private bool _inWord;
    private bool? _beginsWithWord;

    public Dictionary<string, long> Times { get; } = new(StringComparer.Ordinal);

    public FileCount Result => new(_words + (_inWord ? 1 : 0), _beginsWithWord is not null, _beginsWithWord == true, _inWord);

    /// <summary>Returns how many bytes were used: a character that is cut off at the end is left for the next call.</summary>
    public int Add(ReadOnlySpan<byte> bytes, bool last)
    {
        int at = 0;
        while (at < bytes.Length)
        {
            if (!utf8 || bytes[at] < 0x80)
            {
                Take((char)bytes[at], bytes[at] is >= 0x20 and < 0x7F, bytes[at] is (byte)' ' or (>= 9 and <= 13));
                at++;
                continue;
            }

            System.Buffers.OperationStatus status = Rune.DecodeFromUtf8(bytes[at..], out Rune rune, out int length);
            if (status == System.Buffers.OperationStatus.NeedMoreData && !last)
            {
                break;
            }

            if (status != System.Buffers.OperationStatus.Done)
            {
                at++;
                continue;
            }

            UnicodeCategory category = Rune.GetUnicodeCategory(rune);
            bool space = category == UnicodeCategory.SpaceSeparator || rune.Value == 0x2060;
            bool printable = category is not (UnicodeCategory.Control or UnicodeCategory.OtherNotAssigned or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator);
            Take(rune, printable, space);
            at += length;
        }

        if (last)
        {
            End();
        }

        return at;
    }

    private void Take(char c, bool printable, bool space) => Take(new Rune(c), printable, space);

    private void Take(Rune rune, bool printable, bool space)
    {
        if (space)
        {
            _beginsWithWord ??= false;
            _words += _inWord ? 1 : 0;
            _inWord = false;
            End();
        }
        else if (printable)
        {
            _beginsWithWord ??= true;
            _inWord = true;
            _word.Append(Rune.ToLowerInvariant(rune).ToString());
        }
    }

    private void End()
    {
        string word = _word.ToString().Trim('.', ',', ';', ':', '"', '\'', '(', ')', '!', '?', '-', '*');
        _word.Clear();
        if (word.Length > 0)
        {
            Times[word] = Times.GetValueOrDefault(word) + 1;
        }
    }
}

/// <summary>The words of a file, and how it joins with its neighbours: a word may go on from one file to the next.</summary>
public sealed record FileCount(long Words, bool Any, bool BeginsWithWord, bool EndsInWord);

[RpcService]
public interface ICounter
{
    [Rpc("count", TimeoutMilliseconds = -1)]
    ValueTask<FileCount> CountAsync(string path, byte[] before, bool utf8);

    [Rpc("words", TimeoutMilliseconds = -1)]
    ValueTask<Dictionary<string, long>> WordsAsync(int from, int atMost);
}
