using System.CommandLine;

namespace GlooX.Cli;

/// <summary>What the tool's exit code says.</summary>
internal static class ExitCode
{
    public const int Done = 0;
    public const int Failed = 1;
    public const int Usage = 2;
    public const int Interrupted = 130;
}

/// <summary>The options that several commands have.</summary>
internal static class Shared
{
    public const string DefaultUrl = "127.0.0.1:9999";

    public static Option<string> Agent() => new("--agent", "-a")
    {
        Description = $"The agent to ask: any of the grid. Default: $GLOOX_AGENT, else {DefaultUrl}",
        HelpName = "HOST:PORT",
        DefaultValueFactory = _ => Environment.GetEnvironmentVariable("GLOOX_AGENT") is { Length: > 0 } url ? url : DefaultUrl,
    };

    public static Command Command(string name, string what, string example) => new(name, $"{what}\n\nExample:\n  {example}");
}
