using System.CommandLine;

namespace GlooX.Cli;

/// <summary>As whom and with which variables a process runs, as options of a command.</summary>
internal sealed class Surroundings
{
    private readonly Option<string[]> _variables = new("--env") { Description = "A variable of the process, beside those that its agent passes on; no place for secrets", HelpName = "NAME=VALUE", AllowMultipleArgumentsPerToken = false };
    private readonly Option<string?> _user = new("--user") { Description = "The user as whom it runs, on a node that was started with --allow-user. Default: its agent's", HelpName = "NAME" };

    public Option[] Options => [_variables, _user];

    public Dictionary<string, string> Variables(ParseResult parsed) => Pairs(parsed.GetValue(_variables));

    public string? User(ParseResult parsed) => parsed.GetValue(_user);

    /// <exception cref="ArgumentException">One is no pair.</exception>
    public static Dictionary<string, string> Pairs(string[]? values)
    {
        Dictionary<string, string> pairs = new(StringComparer.Ordinal);
        foreach (string value in values ?? [])
        {
            int equals = value.IndexOf('=', StringComparison.Ordinal);
            if (equals <= 0)
            {
                throw new ArgumentException($"'{value}' is no KEY=VALUE");
            }

            pairs[value[..equals]] = value[(equals + 1)..];
        }

        return pairs;
    }
}
