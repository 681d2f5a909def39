using System.Diagnostics;
using GlooX.Slots;
using GlooX.Tls;

namespace GlooX.Spawning;

/// <summary>What is to be run: an assembly on disk and a class in it. A <c>.cs</c> file is built once for each content.</summary>
internal sealed record Payload(string Assembly, PayloadClass Class)
{
    /// <exception cref="SpawnException">The file is missing, does not compile, or has no such class.</exception>
    public static async Task<Payload> PrepareAsync(string className, string path, CancellationToken ct)
    {
        string assembly = await AssemblyOfAsync(path, ct).ConfigureAwait(false);
        IReadOnlyList<PayloadClass> classes;
        try
        {
            classes = PayloadInspector.ReadClasses(assembly);
        }
        catch (PayloadException e)
        {
            throw new SpawnException(e.Message, e);
        }

        if (classes.FirstOrDefault(c => c.FullName == className || c.Name == className) is { } found)
        {
            return new Payload(assembly, found);
        }

        string there = classes.Count == 0 ? "it has none" : $"it has: {string.Join(", ", classes.Select(c => c.FullName))}";
        bool noAgent = PayloadInspector.ReadClassNames(assembly).Any(n => n == className || n.EndsWith("." + className, StringComparison.Ordinal));
        throw new SpawnException(noAgent
            ? $"{className} in {path} is no Agent: derive it from GlooX.Agent"
            : $"{path} has no class {className} that derives from GlooX.Agent; {there}");
    }

    /// <summary>The assembly of a <c>.dll</c>, or of a <c>.cs</c> file, which is built if its content was not built yet.</summary>
    /// <exception cref="SpawnException">The file is missing or does not compile.</exception>
    public static async Task<string> AssemblyOfAsync(string path, CancellationToken ct)
    {
        string full = Find(path);
        return Path.GetExtension(full) switch
        {
            ".dll" => full,
            ".cs" => await BuildAsync(full, ct).ConfigureAwait(false),
            _ => throw new SpawnException($"{full} cannot be loaded: the code must be a .cs file or a .dll"),
        };
    }

    private static string Find(string path)
    {
        string here = Path.GetFullPath(path);
        if (File.Exists(here))
        {
            return here;
        }

        // A file-based app knows where its source lies; its own folder is a build folder.
        string? source = AppContext.GetData("EntryPointFileDirectoryPath") as string;
        string? beside = source is null ? null : Path.GetFullPath(Path.Combine(source, path));
        return beside is not null && File.Exists(beside)
            ? beside
            : throw new SpawnException($"there is no file {here}{(beside is null || beside == here ? "" : $", and none at {beside}")}");
    }

    private static async Task<string> BuildAsync(string source, CancellationToken ct)
    {
        string hash = await SourceHash.OfAsync(source, ct).ConfigureAwait(false);
        string folder = Path.Combine(GlooXHome.CreateFolder(Path.Combine(GlooXHome.Path, "builds")), hash);
        string assembly = Path.Combine(folder, Path.GetFileNameWithoutExtension(source) + ".dll");
        if (File.Exists(assembly))
        {
            return assembly;
        }

        string unfinished = $"{folder}.{Environment.ProcessId}.{Guid.NewGuid():N}";
        var start = new ProcessStartInfo(DotnetPath.Muxer)
        {
            ArgumentList = { "publish", source, "-c", "Release", "-p:OutputType=Library", "-p:PublishAot=false", "-v", "q", "--nologo", "-o", unfinished },
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = Path.GetDirectoryName(source),
        };
        using Process build = Process.Start(start)!;
        Task<string> output = build.StandardOutput.ReadToEndAsync(ct);
        Task<string> errors = build.StandardError.ReadToEndAsync(ct);
        try
        {
            await build.WaitForExitAsync(ct).ConfigureAwait(false);
            if (build.ExitCode != 0)
            {
                string[] lines = [.. (await output.ConfigureAwait(false) + await errors.ConfigureAwait(false)).Split('\n').Where(l => l.Contains("error", StringComparison.Ordinal)).Distinct(StringComparer.Ordinal).Take(20)];
                throw new SpawnException($"{source} does not compile:\n{string.Join('\n', lines)}");
            }

            Directory.Move(unfinished, folder);
        }
        catch (IOException) when (File.Exists(assembly))
        {
            // somebody else built the same meanwhile
        }
        catch (OperationCanceledException)
        {
            build.Kill(entireProcessTree: true);
            throw;
        }
        finally
        {
            if (Directory.Exists(unfinished))
            {
                Directory.Delete(unfinished, recursive: true);
            }
        }

        return assembly;
    }
}

/// <summary>The <c>dotnet</c> that runs this process.</summary>
internal static class DotnetPath
{
    public static string Muxer { get; } = Path.GetFullPath(Path.Combine(System.Runtime.InteropServices.RuntimeEnvironment.GetRuntimeDirectory(), "../../../dotnet"));
}
