using System.Diagnostics;
using System.Runtime.InteropServices;

namespace GlooX.Bench;

/// <summary>
/// This program again, compiled ahead of time as one would deploy it: how quickly a process starts depends on that more than on anything
/// else, with GlooX as with its peers.
/// </summary>
internal static class ReadyToRun
{
    private const string Variable = "GLOOX_BENCH_READYTORUN";

    /// <summary>Null: this is that program, or it cannot be had.</summary>
    public static async Task<int?> RunAsync(string[] arguments, CancellationToken ct)
    {
        if (Environment.GetEnvironmentVariable(Variable) is not null || FindProject() is not { } project)
        {
            return null;
        }

        string folder = Directory.CreateTempSubdirectory("gloox-bench-program-").FullName;
        try
        {
            Console.WriteLine("compiling this program ahead of time, as it would be deployed …");
            string[] publish =
            [
                "publish", project, "-c", "Release", "-r", RuntimeInformation.RuntimeIdentifier, "--self-contained", "false", "-p:PublishReadyToRun=true", "-p:ErrorOnDuplicatePublishOutputFiles=false", "-p:RunAnalyzers=false", "-v", "q", "--nologo", "-o", folder,
            ];
            if (await ExecuteAsync("dotnet", publish, quiet: true, ct) != 0)
            {
                Console.WriteLine("that did not work (is the package microsoft.netcore.app.crossgen2 to be had?): everything is measured as it was built, compiled when it is needed");
                return null;
            }

            return await ExecuteAsync(Path.Combine(folder, "GlooX.Bench"), arguments, quiet: false, ct);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task<int> ExecuteAsync(string file, string[] arguments, bool quiet, CancellationToken ct)
    {
        var start = new ProcessStartInfo(file, arguments) { UseShellExecute = false, RedirectStandardOutput = quiet };
        start.Environment[Variable] = "1";
        using Process process = Process.Start(start)!;
        if (quiet)
        {
            _ = await process.StandardOutput.ReadToEndAsync(ct);
        }

        await process.WaitForExitAsync(CancellationToken.None); // Ctrl-C reaches it too
        return process.ExitCode;
    }

    private static string? FindProject()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            string project = Path.Combine(folder.FullName, "GlooX.Bench.csproj");
            if (File.Exists(project))
            {
                return project;
            }
        }

        return null;
    }
}
