using System.CommandLine;

namespace GlooX.Cli;

/// <summary>The values that a process is given, as options of a command. A secret comes from a file or from standard input, and so is in no list of processes.</summary>
internal sealed class ValueOptions
{
    private const int MaxLength = 1 << 20;

    private readonly Option<string[]> _values = new("--set")
    {
        Description = "A value for the process's Options.Values: the text itself, @FILE for what a file holds (@@ for a text that begins with @), or - for standard input. Use the last two for secrets",
        HelpName = "KEY=VALUE|@FILE|-",
        AllowMultipleArgumentsPerToken = false,
    };

    public Option[] Options => [_values];

    /// <exception cref="ArgumentException">One is no pair, or what it names cannot be read.</exception>
    public Dictionary<string, string> Read(ParseResult parsed)
    {
        Dictionary<string, string> values = Surroundings.Pairs(parsed.GetValue(_values));
        if (values.Count(static v => v.Value == "-") > 1)
        {
            throw new ArgumentException("standard input holds one value: give --set KEY=- once");
        }

        foreach ((string key, string value) in values.ToArray())
        {
            values[key] = value switch
            {
                "-" => Text(Console.In, "standard input"),
                ['@', '@', ..] => value[1..],
                ['@', .. var file] => Text(key, file),
                _ => value,
            };
        }

        return values;
    }

    private static string Text(string key, string file)
    {
        try
        {
            using StreamReader reader = File.OpenText(file);
            return Text(reader, file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new ArgumentException($"--set {key}=@{file}: {e.Message}", e);
        }
    }

    // Without the end of the last line, which editors and echo add.
    private static string Text(TextReader reader, string from)
    {
        char[] buffer = new char[MaxLength + 1];
        int length = reader.ReadBlock(buffer);
        if (length > MaxLength)
        {
            throw new ArgumentException($"{from} holds more than {MaxLength} characters, the most that a value has");
        }

        ReadOnlySpan<char> text = buffer.AsSpan(0, length);
        return (text is [.., '\r', '\n'] ? text[..^2] : text is [.., '\n'] ? text[..^1] : text).ToString();
    }
}
