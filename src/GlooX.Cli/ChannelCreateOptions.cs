using System.CommandLine;

namespace GlooX.Cli;

/// <summary>The options of a new channel, as options of <c>gloox channel create</c>.</summary>
internal sealed class ChannelCreateOptions
{
    private static readonly Dictionary<string, ChannelDurability> s_durabilities = new(StringComparer.Ordinal)
    {
        ["memory"] = ChannelDurability.Memory,
        ["process"] = ChannelDurability.Process,
        ["every-second"] = ChannelDurability.EverySecond,
        ["every-write"] = ChannelDurability.EveryWrite,
    };

    private readonly Option<string?> _durability = Choice(
        "--durability", "What survives when all nodes crash: nothing, what the system has written, all but the last second, every write. Default: memory",
        s_durabilities.Keys);

    private readonly Option<string?> _acknowledge = Choice(
        "--acknowledge", "Which nodes must have a write before it is done. Default: local",
        Enum.GetNames<Acknowledgement>().Select(static n => n.ToLowerInvariant()));

    private readonly Option<double?> _timeToLive = new("--ttl")
    {
        Description = "How long entries live that are written without a time of their own. Default: for ever",
        HelpName = "SECONDS",
    };

    private readonly Option<int?> _entries = new("--max-entries") { Description = "Most keys. Default: 1,000,000", HelpName = "COUNT" };
    private readonly Option<string?> _size = Size("--max-size", "Most bytes of all keys and values. Default: 1GB");
    private readonly Option<string?> _key = Size("--max-key", "Longest key. Default: 1KB");
    private readonly Option<string?> _value = Size("--max-value", "Largest value. Default: 1MB");

    private readonly Option<string[]> _readers = Roles(
        "--readers", "Which roles may read, agents in any case. Default: everybody", "agent", "client", "child", "observer");

    private readonly Option<string[]> _writers = Roles("--writers", "Which roles may write, agents in any case. Default: agent, client, child", "agent", "client", "child");

    public Option[] Options => [_durability, _acknowledge, _timeToLive, _entries, _size, _key, _value, _readers, _writers];

    /// <summary>Null: none of the options is given, and the channel may exist with any.</summary>
    /// <exception cref="ArgumentException">An option is not a size, or is out of its range.</exception>
    public ChannelOptions? Read(ParseResult parsed)
    {
        var standard = new ChannelOptions();
        ChannelOptions read = standard with
        {
            Durability = parsed.GetValue(_durability) is { } durability ? s_durabilities[durability] : standard.Durability,
            Acknowledge = parsed.GetValue(_acknowledge) is { } level ? Enum.Parse<Acknowledgement>(level, ignoreCase: true) : standard.Acknowledge,
            TimeToLive = parsed.GetValue(_timeToLive) is { } seconds ? TimeSpan.FromSeconds(seconds) : standard.TimeToLive,
            MaxEntries = parsed.GetValue(_entries) ?? standard.MaxEntries,
            MaxBytes = parsed.GetValue(_size) is { } size ? Needs.Size(size) : standard.MaxBytes,
            MaxKeyBytes = parsed.GetValue(_key) is { } key ? checked((int)Needs.Size(key)) : standard.MaxKeyBytes,
            MaxValueBytes = parsed.GetValue(_value) is { } value ? checked((int)Needs.Size(value)) : standard.MaxValueBytes,
            Readers = parsed.GetValue(_readers) is { Length: > 0 } readers ? Roles(readers) : standard.Readers,
            Writers = parsed.GetValue(_writers) is { Length: > 0 } writers ? Roles(writers) : standard.Writers,
        };
        return Array.Exists(Options, o => parsed.GetResult(o) is { Implicit: false }) ? read : null;
    }

    private static RpcRole Roles(string[] names) => names.Aggregate(RpcRole.None, static (all, name) => all | Enum.Parse<RpcRole>(name, ignoreCase: true));

    private static Option<string[]> Roles(string name, string what, params string[] values)
    {
        var option = new Option<string[]>(name) { Description = what, HelpName = string.Join(',', values), AllowMultipleArgumentsPerToken = true };
        option.CustomParser = result =>
        {
            string[] given = [.. result.Tokens.SelectMany(static t => t.Value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))];
            if (Array.Find(given, g => !values.Contains(g, StringComparer.Ordinal)) is { } wrong)
            {
                result.AddError($"{name}: '{wrong}' is none of {string.Join(", ", values)}");
            }

            return given;
        };
        return option;
    }

    private static Option<string?> Size(string name, string what) => new(name) { Description = what, HelpName = "SIZE" };

    private static Option<string?> Choice(string name, string what, IEnumerable<string> values)
    {
        var option = new Option<string?>(name) { Description = what, HelpName = string.Join('|', values) };
        option.AcceptOnlyFromAmong([.. values]);
        return option;
    }
}
