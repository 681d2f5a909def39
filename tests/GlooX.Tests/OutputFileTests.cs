using System.Text;
using GlooX.Processes;

namespace GlooX.Tests;

/// <summary>A file that somebody else appends to, kept within bounds.</summary>
public sealed class OutputFileTests : IDisposable
{
    private readonly string _path = Path.Combine(TestGrid.Home, $"{Guid.NewGuid():N}.log");

    public void Dispose() => OutputFile.Delete(_path);

    [Fact]
    public void What_was_cut_away_is_read_from_beside_and_positions_go_on()
    {
        var file = new OutputFile(_path, OutputStream.Output, maxBytes: 100);
        var reader = new LineReader(file, 0);
        for (int i = 0; i < 30; i++)
        {
            Append($"line {i:00}\n"); // 8 bytes: it is cut at each 13th
            Assert.True(file.Look(DateTimeOffset.UnixEpoch.AddSeconds(i)));
            LogLine line = Assert.Single(reader.Read(whole: false));
            Assert.Equal(($"line {i:00}", DateTimeOffset.UnixEpoch.AddSeconds(i)), (line.Text, line.Time));
        }

        Assert.False(file.Look(DateTimeOffset.UnixEpoch));
        Assert.True(new FileInfo(_path).Length <= 100);
        Assert.Equal(Enumerable.Range(13, 17).Select(i => $"line {i:00}"), All(new LineReader(file, 0))); // 26 were cut, the last 13 of them are beside
        Assert.Equal(Enumerable.Range(23, 7).Select(i => $"line {i:00}"), All(new LineReader(file, file.StartOfLast(7))));
        Assert.Empty(All(new LineReader(file, file.StartOfLast(0))));

        var taken = new OutputFile(_path, OutputStream.Output, maxBytes: 100);
        Assert.Equal(Enumerable.Range(13, 17).Select(i => $"line {i:00}"), All(new LineReader(taken, 0)));
    }

    [Fact]
    public void A_line_comes_when_it_is_whole_and_one_without_end_in_pieces()
    {
        var file = new OutputFile(_path, OutputStream.Error);
        var reader = new LineReader(file, 0);
        Append("hal");
        Assert.Empty(reader.Read(whole: false));
        Append("f\r\nrest");
        Assert.Equal("half", Assert.Single(reader.Read(whole: false)).Text);
        Assert.Equal("rest", Assert.Single(reader.Read(whole: true)).Text);
        Append(new string('x', 70_000));
        Assert.Equal([65_536, 70_000 - 65_536], All(reader).Select(l => l.Length));
    }

    private static List<string> All(LineReader reader)
    {
        List<string> all = [];
        for (List<LogLine> lines; (lines = reader.Read(whole: true)).Count > 0;)
        {
            all.AddRange(lines.Select(l => l.Text));
        }

        return all;
    }

    private void Append(string text) => File.AppendAllText(_path, text, Encoding.ASCII);
}
