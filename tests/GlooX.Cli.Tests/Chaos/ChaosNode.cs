using System.Collections.Concurrent;
using System.Diagnostics;

namespace GlooX.Cli.Tests.Chaos;

/// <summary>An agent process with a home and an address of its own, which dies and comes again.</summary>
internal sealed class ChaosNode(string url, string home, string temporary, string mark, string peer) : IAsyncDisposable
{
    public const int Slots = 4;
    private const int KeptLines = 400;
    private static readonly TimeSpan s_limit = TimeSpan.FromMinutes(2);
    private readonly ConcurrentQueue<string> _said = new();
    private Process? _process;
    private Task _reading = Task.CompletedTask;

    public string Url => url;

    public string Home => home;

    public int Pid => _process?.Id ?? 0;

    /// <summary>The last that it wrote, all its lives together.</summary>
    public string Said => string.Join('\n', _said);

    public async Task StartAsync()
    {
        string[] line = [Shell.Tool, "agent", "--url", url, "--peer", peer, "--warm", "1", "--max-slots", $"{Slots}"];
        var start = new ProcessStartInfo("dotnet", line) { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false, WorkingDirectory = temporary };
        start.Environment["GLOOX_HOME"] = home;
        start.Environment["TMPDIR"] = temporary;
        start.Environment[ChaosProcesses.Variable] = mark;
        _process = Process.Start(start)!;
        _said.Enqueue($"-- started as {_process.Id}");
        var up = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _reading = Task.WhenAll(ReadAsync(_process.StandardOutput, up), ReadAsync(_process.StandardError, up));
        await Task.WhenAny(up.Task, _reading).WaitAsync(s_limit);
        Assert.True(up.Task.IsCompletedSuccessfully, $"the agent {url} does not start: {Said}");
    }

    /// <summary>As <c>kill -9</c>.</summary>
    public async Task KillAsync()
    {
        _process!.Kill();
        await EndAsync();
    }

    /// <summary>As <c>kill -TERM</c>; it must end well.</summary>
    public async Task StopAsync()
    {
        using (Process kill = Process.Start("kill", ["-TERM", $"{_process!.Id}"]))
        {
            await kill.WaitForExitAsync().WaitAsync(s_limit);
        }

        int code = await EndAsync();
        Assert.True(code == 0, $"the agent {url} ended with {code}: {Said}");
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
        {
            await KillAsync();
        }
    }

    private async Task<int> EndAsync()
    {
        await _process!.WaitForExitAsync().WaitAsync(s_limit);
        await _reading.WaitAsync(s_limit);
        int code = _process.ExitCode;
        _said.Enqueue($"-- {_process.Id} ended with {code}");
        _process.Dispose();
        _process = null;
        return code;
    }

    private async Task ReadAsync(StreamReader reader, TaskCompletionSource up)
    {
        while (await reader.ReadLineAsync() is { } line)
        {
            _said.Enqueue(line);
            if (_said.Count > KeptLines)
            {
                _said.TryDequeue(out _);
            }

            if (line.Contains("is running", StringComparison.Ordinal))
            {
                up.TrySetResult();
            }
        }
    }
}
