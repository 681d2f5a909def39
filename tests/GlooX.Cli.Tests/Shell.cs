using System.Diagnostics;
using System.Net;
using System.Net.Sockets;

[assembly: CollectionBehavior(CollectionBehavior.CollectionPerAssembly)]

namespace GlooX.Cli.Tests;

/// <summary>What a command printed, and its exit code.</summary>
internal sealed record Outcome(int Code, string Output, string Errors);

/// <summary>A shell of a user with a home of its own: runs commands, and ends by their pids those that are still running.</summary>
internal sealed class Shell : IAsyncDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(3);
    private readonly string _home = Directory.CreateTempSubdirectory("gloox-cli-").FullName;
    private readonly List<(Process Process, Task<string[]> Reading)> _running = [];
    private readonly List<Conversation> _talking = [];

    public static string Repository { get; } = Above("GlooX.slnx");

    /// <summary>The assembly of the tool.</summary>
    public static string Tool => typeof(ConsoleLog).Assembly.Location;

    /// <summary>Set for every command.</summary>
    public Dictionary<string, string> Variables { get; } = new(StringComparer.Ordinal);

    /// <summary>Whether what agents write is read on after their first line; true by default.</summary>
    public bool Reads { get; init; } = true;

    /// <summary>What commands are run through, such as a network of their own.</summary>
    public string[] Through { get; init; } = [];

    public string this[string file] => Path.Combine(_home, file);

    /// <summary>A port that is free now, on the loopback address.</summary>
    public static string FreeUrl()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return listener.LocalEndpoint.ToString()!;
    }

    public Task<Outcome> GlooXAsync(params string[] arguments) => RunAsync("dotnet", [Tool, .. arguments]);

    /// <summary>Runs a command to its end.</summary>
    public async Task<Outcome> RunAsync(string command, params string[] arguments)
    {
        using Process process = Start(command, arguments);
        using var limit = new CancellationTokenSource(s_limit);
        Task<string> output = process.StandardOutput.ReadToEndAsync(limit.Token);
        Task<string> errors = process.StandardError.ReadToEndAsync(limit.Token);
        try
        {
            await process.WaitForExitAsync(limit.Token);
            return new Outcome(process.ExitCode, await output, await errors);
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
    }

    /// <summary>Starts an agent and waits until it says that it runs.</summary>
    public async Task<Process> AgentAsync(params string[] arguments)
    {
        Process process = Start("dotnet", [Tool, "agent", "--warm", "0", .. arguments]);
        using var limit = new CancellationTokenSource(s_limit);
        string? line = await process.StandardOutput.ReadLineAsync(limit.Token);
        Assert.True(line?.Contains("is running", StringComparison.Ordinal), $"{line} {(line is null ? await process.StandardError.ReadToEndAsync(limit.Token) : "")}");
        _running.Add((process, Reads ? Task.WhenAll(process.StandardOutput.ReadToEndAsync(), process.StandardError.ReadToEndAsync()) : Task.FromResult<string[]>([])));
        return process;
    }

    /// <summary>Starts a command that is talked to.</summary>
    public Conversation Talk(string command, params string[] arguments)
    {
        var conversation = new Conversation(Start(command, arguments, talk: true));
        _talking.Add(conversation);
        return conversation;
    }

    /// <summary>Builds a sample as <c>dotnet run</c> does.</summary>
    /// <returns>Its assembly, so that it can be run as a process that has a pid of its own.</returns>
    public async Task<string> BuildAsync(string sample)
    {
        Outcome built = await RunAsync("dotnet", "build", "--tl:off", sample);
        Assert.True(built.Code == 0, built.Output);
        string file = $"{Path.GetFileNameWithoutExtension(sample)}.dll";
        return built.Output.Split('\n').Select(l => l.Trim()).Last(l => l.EndsWith($"/{file}", StringComparison.Ordinal)).Split(" -> ")[1];
    }

    /// <summary>All that a stopped agent wrote on its error output.</summary>
    public async Task<string> ErrorsAsync(Process process) => (await _running.Single(r => r.Process == process).Reading.WaitAsync(s_limit))[1];

    /// <summary>As <c>kill -TERM</c>; returns the exit code.</summary>
    public async Task<int> StopAsync(Process process)
    {
        await RunAsync("kill", "-TERM", $"{process.Id}");
        await process.WaitForExitAsync().WaitAsync(s_limit);
        return process.ExitCode;
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Conversation conversation in _talking)
        {
            await conversation.DisposeAsync();
        }

        foreach ((Process process, Task<string[]> reading) in _running)
        {
            if (!process.HasExited)
            {
                await StopAsync(process);
            }

            await reading.WaitAsync(s_limit);
            process.Dispose();
        }

        Directory.Delete(_home, recursive: true);
    }

    private Process Start(string command, string[] arguments, bool talk = false)
    {
        string[] line = [.. Through, command, .. arguments];
        var start = new ProcessStartInfo(line[0], line[1..]) { RedirectStandardOutput = true, RedirectStandardError = true, RedirectStandardInput = talk, UseShellExecute = false, WorkingDirectory = Repository };
        start.Environment["GLOOX_HOME"] = Path.Combine(_home, "home");
        start.Environment["LC_ALL"] = "C.UTF-8";
        foreach ((string name, string value) in Variables)
        {
            start.Environment[name] = value;
        }

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
}
