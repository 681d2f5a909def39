using System.Diagnostics;
using System.IO.Compression;
using System.Text.RegularExpressions;
using System.Xml.Linq;

[assembly: AssemblyFixture(typeof(GlooX.Packages.Tests.Packages))]
[assembly: CollectionBehavior(CollectionBehavior.CollectionPerAssembly)]

namespace GlooX.Packages.Tests;

/// <summary>All packages of the repository, packed once into a folder, and an empty package cache. Both are removed at the end.</summary>
public sealed partial class Packages : IAsyncLifetime
{
    public static readonly TimeSpan Limit = TimeSpan.FromMinutes(8);
    private readonly string _root = Directory.CreateTempSubdirectory("gloox-packages-").FullName;

    /// <summary>A version that no other run packs.</summary>
    public string Version { get; } = $"0.0.{Environment.ProcessId}-test";

    public string Feed => Path.Combine(_root, "feed");

    public static string Repository { get; } = Above("GlooX.slnx");

    public async ValueTask InitializeAsync()
    {
        await RunAsync(Repository, "dotnet", "pack", "GlooX.slnx", "-c", "Release", "--no-build", "-v", "q", "--nologo", $"-p:Version={Version}", "-o", Feed);

        // Packages of others come from this machine's cache when they are there. None of ours does.
        string machine = Environment.GetEnvironmentVariable("NUGET_PACKAGES") is { Length: > 0 } named ? named
            : Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".nuget", "packages");
        Directory.CreateDirectory(machine);
        await File.WriteAllTextAsync(Path.Combine(_root, "nuget.config"), $"""
            <configuration>
              <packageSources>
                <add key="packed" value="{Feed}" />
                <add key="machine" value="{machine}" />
              </packageSources>
              <packageSourceMapping>
                <packageSource key="packed"><package pattern="GlooX*" /></packageSource>
                <packageSource key="machine"><package pattern="*" /></packageSource>
                <packageSource key="nuget.org"><package pattern="*" /></packageSource>
              </packageSourceMapping>
            </configuration>
            """);
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_root, recursive: true);
        return ValueTask.CompletedTask;
    }

    /// <summary>The names of all packages, in order.</summary>
    public string[] Names() =>
        [.. Directory.GetFiles(Feed, "*.nupkg").Select(f => Path.GetFileName(f)[..^$".{Version}.nupkg".Length]).Order(StringComparer.Ordinal)];

    /// <summary>The paths in a package, or in the package of its symbols.</summary>
    public string[] Entries(string package, string extension = "nupkg")
    {
        using ZipArchive archive = ZipFile.OpenRead(Path.Combine(Feed, $"{package}.{Version}.{extension}"));
        return [.. archive.Entries.Select(e => e.FullName)];
    }

    /// <summary>The metadata of a package.</summary>
    public XElement Metadata(string package)
    {
        using ZipArchive archive = ZipFile.OpenRead(Path.Combine(Feed, $"{package}.{Version}.nupkg"));
        using Stream nuspec = archive.GetEntry($"{package}.nuspec")!.Open();
        XElement root = XDocument.Load(nuspec).Root!;
        return root.Element(root.Name.Namespace + "metadata")!;
    }

    /// <summary>An empty folder of a user who has the packages and nothing of the repository.</summary>
    public string Folder(string name) => Directory.CreateDirectory(Path.Combine(_root, "users", name)).FullName;

    /// <summary>A sample as somebody has it who uses the packages: the references to projects are references to packages.</summary>
    public async Task CopySampleAsync(string sample, string folder, Func<string, string>? change = null)
    {
        string text = await File.ReadAllTextAsync(Path.Combine(Repository, "samples", sample));
        text = ProjectDirective().Replace(text, $"#:package ${{project}}@{Version}");
        await File.WriteAllTextAsync(Path.Combine(folder, Path.GetFileName(sample)), change?.Invoke(text) ?? text);
    }

    /// <summary>The only block of C# in the README of a package.</summary>
    public static async Task<string> ExampleAsync(string package) =>
        CSharpBlock().Match(await File.ReadAllTextAsync(Path.Combine(Repository, "src", package, "README.md"))).Groups["code"].Value;

    /// <summary>Runs a command to its end, which must be a good one.</summary>
    /// <returns>Its standard output.</returns>
    public async Task<string> RunAsync(string folder, string command, params string[] arguments)
    {
        using Process process = Start(folder, command, arguments);
        using var limit = new CancellationTokenSource(Limit);
        Task<string> output = process.StandardOutput.ReadToEndAsync(limit.Token);
        Task<string> errors = process.StandardError.ReadToEndAsync(limit.Token);
        try
        {
            await process.WaitForExitAsync(limit.Token);
            Assert.True(process.ExitCode == 0, $"{command} {string.Join(' ', arguments)} exited with {process.ExitCode}\n{await output}{await errors}");
            return await output;
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
    }

    /// <summary>Starts a command with the empty cache and a home of its own.</summary>
    public Process Start(string folder, string command, params string[] arguments)
    {
        var start = new ProcessStartInfo(command, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            UseShellExecute = false,
            WorkingDirectory = folder,
        };
        start.Environment["NUGET_PACKAGES"] = folder == Repository ? null : Path.Combine(_root, "cache");
        start.Environment["GLOOX_HOME"] = Path.Combine(_root, "home");
        start.Environment["DOTNET_CLI_UI_LANGUAGE"] = "en";
        return Process.Start(start)!;
    }

    private static string Above(string file)
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, file)))
            {
                return folder.FullName;
            }
        }

        throw new InvalidOperationException($"no {file} above {AppContext.BaseDirectory}");
    }

    [GeneratedRegex(@"#:project .*/(?<project>[^/]+)\.csproj", RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex ProjectDirective();

    [GeneratedRegex("```csharp\n(?<code>.*?)```", RegexOptions.Singleline | RegexOptions.NonBacktracking | RegexOptions.ExplicitCapture)]
    private static partial Regex CSharpBlock();
}
