using System.CommandLine;

namespace GlooX.Cli;

/// <summary>What a process needs, as options of a command.</summary>
internal sealed class Needs
{
    private readonly Option<string?> _memory = new("--memory") { Description = "The memory that it needs. Default, as for the others: what its class says", HelpName = "SIZE" };
    private readonly Option<string?> _disk = new("--disk") { Description = "The disk that it needs", HelpName = "SIZE" };
    private readonly Option<string[]> _resource = new("--resource") { Description = "What else it needs, whole or fractional: cores=0.5, gpu=1", HelpName = "NAME=AMOUNT", AllowMultipleArgumentsPerToken = false };

    private readonly Option<int?> _most = new("--max-per-node") { Description = "How many of its kind a node runs at most", HelpName = "COUNT" };

    public Option[] Options => [_memory, _disk, _resource, _most];

    /// <summary>Null: none of the options is given.</summary>
    /// <exception cref="ArgumentException">One is no size or amount.</exception>
    public Provision? Read(ParseResult parsed)
    {
        (string? memory, string? disk, string[]? resources, int? most) = (parsed.GetValue(_memory), parsed.GetValue(_disk), parsed.GetValue(_resource), parsed.GetValue(_most));
        return memory is null && disk is null && resources is not { Length: > 0 } && most is null
            ? null
            : Provision.FromBytes(memory is null ? 0 : Size(memory), disk is null ? 0 : Size(disk), Resources(resources)) with { MaxPerNode = PerNode(most) };
    }

    public static ResourceAmounts Resources(string[]? amounts) => Valid(() => ResourceAmounts.Parse(string.Join(',', amounts ?? [])));

    public static long Size(string text) => Valid(() => ByteSize.Parse(text));

    private static int? PerNode(int? most) => most is null or >= 1 ? most : throw new ArgumentException($"{most} per node would run nowhere: give 1 or more");

    private static T Valid<T>(Func<T> read)
    {
        try
        {
            return read();
        }
        catch (FormatException e)
        {
            throw new ArgumentException(e.Message, e);
        }
    }
}
