using System.Text.RegularExpressions;

namespace GlooX.Cli.Tests;

/// <summary>The page that leads through the code.</summary>
public sealed partial class ArchitectureTests
{
    [Fact]
    public void Each_file_that_the_architecture_page_names_exists_and_is_named_once()
    {
        string root = Shell.Repository;
        string[] files = [.. FileName().Matches(File.ReadAllText(Path.Combine(root, "docs", "architecture.md"))).Select(static m => m.Value)];
        Assert.NotEmpty(files);
        Assert.All(files, f => Assert.True(File.Exists(Path.Combine(root, f)), $"{f} is named in docs/architecture.md and does not exist"));
        Assert.Equal(files.Distinct(StringComparer.Ordinal), files);
    }

    [GeneratedRegex(@"src/[\w./]+\.cs", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex FileName();
}
