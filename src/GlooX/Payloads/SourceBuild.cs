using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Text;
using GlooX.Workers;

namespace GlooX.Payloads;

/// <summary>
/// Builds a <c>.cs</c> file or a project once for each content: processes that want the same build at the same time wait for the one that
/// makes it. What is built is compiled ahead of time for this machine's kind (ReadyToRun), where the compiler for that can be had.
/// </summary>
internal static class SourceBuild
{
    private const string NoEntryPoint = "CS5001";
    private const string StatementsInLibrary = "CS8805";
    private static readonly TimeSpan s_tryAgain = TimeSpan.FromDays(1);

    // A build file that is newer than what was built would have all projects built again.
    private static readonly DateTime s_old = new(2001, 1, 1, 0, 0, 0, DateTimeKind.Utc);

    private static readonly TimeSpan s_look = TimeSpan.FromMilliseconds(20);

    /// <summary>The build, whose main assembly is in a folder of its own with all that it needs; the caller disposes it.</summary>
    /// <param name="source">A <c>.cs</c> file or a project, as a full path.</param>
    /// <param name="program">Whether it is more likely a program than a library: the other is tried after.</param>
    /// <param name="building">Told when there is something to build.</param>
    /// <param name="ct">Cancels the operation; the compiler is ended.</param>
    /// <exception cref="SpawnException">It does not compile.</exception>
    public static async Task<BuildLease> RunAsync(string source, bool program, Action? building, CancellationToken ct)
    {
        string builds = Builds.Folder;
        string folder = Path.Combine(builds, await SourceHash.OfAsync(source, ct).ConfigureAwait(false));
        while (true)
        {
            if (Builds.TryHold(folder) is { } held)
            {
                try
                {
                    return new BuildLease(Main(source, folder), held);
                }
                catch
                {
                    held.Dispose();
                    throw;
                }
            }

            FileStream? alone = FileLock.TryTake(Builds.LockOf(folder));
            if (alone is null)
            {
                await Task.Delay(s_look, ct).ConfigureAwait(false); // another process builds it
                continue;
            }

            await using (alone.ConfigureAwait(false))
            {
                if (!Directory.Exists(folder)) // unless another process has built it meanwhile
                {
                    building?.Invoke();
                    await BuildAsync(source, program, builds, folder, ct).ConfigureAwait(false);
                }
            }
        }
    }

    private static async Task BuildAsync(string source, bool program, string builds, string folder, CancellationToken ct)
    {
        string unfinished = Builds.UnfinishedOf(folder);
        WorkFolder.Remove(unfinished); // of a process that died
        try
        {
            await PublishAsync(source, program, builds, unfinished, ct).ConfigureAwait(false);
            _ = Main(source, unfinished);
            Builds.Trim(builds, Builds.MaxBytes - FolderSize.Of(unfinished));
            Directory.Move(unfinished, folder);
        }
        finally
        {
            WorkFolder.Remove(unfinished);
        }
    }

    private static async Task PublishAsync(string source, bool program, string builds, string to, CancellationToken ct)
    {
        string plain = Path.Combine(builds, "no-ready-to-run");
        bool ready = !File.Exists(plain) || File.GetLastWriteTimeUtc(plain) < DateTime.UtcNow - s_tryAgain;
        Built built = await PublishAsync(source, program, ready, builds, to, ct).ConfigureAwait(false);
        if (!built.Succeeded && ready && !built.IsSourceFaulty)
        {
            built = await PublishAsync(source, program, ready: false, builds, to, ct).ConfigureAwait(false);
            if (built.Succeeded)
            {
                await File.WriteAllTextAsync(
                    plain, "The compiler for ReadyToRun could not be had. It is tried again a day after this file's time, or when this file is gone.\n", ct).ConfigureAwait(false);
            }
        }

        if (!built.Succeeded)
        {
            throw built.ToException(source);
        }
    }

    // Only the compiler knows whether a file has statements of its own.
    private static async Task<Built> PublishAsync(string source, bool program, bool ready, string builds, string to, CancellationToken ct)
    {
        if (Path.GetExtension(source) != ".cs")
        {
            return await PublishAsync(source, null, ready, builds, to, ct).ConfigureAwait(false);
        }

        Built first = await PublishAsync(source, program ? "Exe" : "Library", ready, builds, to, ct).ConfigureAwait(false);
        return first.Diagnostics.Any(d => d.Code == (program ? NoEntryPoint : StatementsInLibrary))
            ? await PublishAsync(source, program ? "Library" : "Exe", ready, builds, to, ct).ConfigureAwait(false)
            : first;
    }

    private static async Task<Built> PublishAsync(string source, string? type, bool ready, string builds, string to, CancellationToken ct)
    {
        WorkFolder.Remove(to);
        var start = new ProcessStartInfo(DotnetPath.Muxer)
        {
            ArgumentList = { "publish", source, "-c", "Release", "-p:PublishAot=false", "-p:PublishSingleFile=false", "-v", "q",
                "--nologo", "-tl:off", "-o", to },
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = Path.GetDirectoryName(source),
        };
        if (type is not null)
        {
            start.ArgumentList.Add($"-p:OutputType={type}");
        }

        if (ready)
        {
            foreach (string argument in (string[])["-p:PublishReadyToRun=true", "-r", RuntimeInformation.RuntimeIdentifier,
                "--self-contained", "false", "-p:ErrorOnDuplicatePublishOutputFiles=false",
                $"-p:CustomAfterMicrosoftCommonTargets={await ExcludedAsync(builds, ct).ConfigureAwait(false)}"])
            {
                start.ArgumentList.Add(argument);
            }
        }

        start.Environment["DOTNET_CLI_UI_LANGUAGE"] = "en"; // what it says is read
        using Process build = Process.Start(start)!;
        try
        {
            Task<string> output = build.StandardOutput.ReadToEndAsync(ct);
            Task<string> errors = build.StandardError.ReadToEndAsync(ct);
            await build.WaitForExitAsync(ct).ConfigureAwait(false);
            return new Built(build.ExitCode, await output.ConfigureAwait(false) + await errors.ConfigureAwait(false));
        }
        catch (OperationCanceledException)
        {
            build.Kill(entireProcessTree: true);
            await build.WaitForExitAsync(CancellationToken.None).ConfigureAwait(false);
            throw;
        }
    }

    // What every agent has does not travel: compiling it would be for nothing, and takes longest.
    private static async Task<string> ExcludedAsync(string builds, CancellationToken ct)
    {
        string text = $"<Project><ItemGroup><PublishReadyToRunExclude Include=\"{string.Join(';', AssemblyFiles.Provided.Order(StringComparer.Ordinal).Select(static a => a + ".dll"))};gloox-host.dll\" /></ItemGroup></Project>\n";
        string file = Path.Combine(
            builds, $"ready-to-run-{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text)))[..12]}.targets");
        if (!File.Exists(file))
        {
            string unfinished = $"{file}.{Guid.NewGuid():N}";
            await File.WriteAllTextAsync(unfinished, text, ct).ConfigureAwait(false);
            File.SetLastWriteTimeUtc(unfinished, s_old);
            File.Move(unfinished, file, overwrite: true);
        }

        return file;
    }

    private static string Main(string source, string folder)
    {
        string named = Path.Combine(folder, Path.GetFileNameWithoutExtension(source) + ".dll");
        return File.Exists(named) ? named
            : Directory.GetFiles(folder, "*.deps.json") is [string only]
                && Path.Combine(folder, Path.GetFileName(only)[..^".deps.json".Length] + ".dll") is string other && File.Exists(other)
                ? other
            : throw new SpawnException(
                $"{source} was built, but which of the assemblies in {folder} is to be run is not clear: give the project the name of its assembly, or name the .dll itself");
    }

    /// <summary>How a run of the compiler ended.</summary>
    private sealed class Built(int exitCode, string output)
    {
        public bool Succeeded => exitCode == 0;

        public IReadOnlyList<BuildDiagnostic> Diagnostics { get; } = BuildDiagnostic.ReadErrors(output);

        // Errors of the compiler itself, not of finding packages or running tools.
        public bool IsSourceFaulty => Diagnostics.Any(static d => d.Code.StartsWith("CS", StringComparison.Ordinal));

        public SpawnException ToException(string source)
        {
            string said = Diagnostics.Count > 0
                ? string.Join('\n', Diagnostics.Take(20))
                : string.Join('\n', output.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
                    .TakeLast(20));
            return new SpawnException($"{source} does not compile:\n{said}") { Diagnostics = Diagnostics };
        }
    }
}

/// <summary>The <c>dotnet</c> that runs this process.</summary>
internal static class DotnetPath
{
    public static string Muxer { get; } = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "../../../dotnet"));
}
